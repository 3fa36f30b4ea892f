; Multiboot entry, long mode with everything identity-mapped for both privilege levels, and the exception stubs.
bits 32
section .multiboot
align 4
    dd 0x1badb002, 3, -(0x1badb002 + 3)

section .text
extern main, trap, recover_rip, recover_rsp, trap_hook
global start, gdt, gdt_end, tss, idt_stubs, pml4, pdpt, pd0, syscall_entry, sysenter_entry, compat_return

start:
    cli
    cld
    mov esp, stack_top
    mov eax, pdpt
    or eax, 7
    mov [pml4], eax
    mov edi, pdpt
    mov eax, pd0
    or eax, 7
    mov ecx, 4
.pdpt:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .pdpt
    mov edi, pd0
    mov eax, 0x87
    mov ecx, 2048
.pd:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .pd
    mov eax, cr4
    or eax, 0x620            ; PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov eax, pml4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x901            ; SCE, LME, NXE
    wrmsr
    mov eax, cr0
    and eax, ~4
    or eax, 0x80010022       ; PG, WP, NE, MP
    mov cr0, eax
    lgdt [gdt_pointer]
    jmp 0x08:.long
bits 64
.long:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov rsp, stack_top
    call main
.halt:
    cli
    hlt
    jmp .halt

; Every stub leaves: error code (0 if there is none), vector.
%macro stub 1
    align 16
    %if %1 = 8 || (%1 >= 10 && %1 <= 14) || %1 = 17
    %else
    push 0
    %endif
    push %1
    jmp all_vectors
%endmacro
align 16
idt_stubs:
%assign v 0
%rep 256
    stub v
%assign v v + 1
%endrep

all_vectors:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rax, [rsp + 72]
    mov [trap], rax
    mov rax, [rsp + 80]
    mov [trap + 8], rax
    mov rax, [rsp + 88]
    mov [trap + 16], rax
    mov rax, [rsp + 96]
    mov [trap + 24], rax
    mov rax, [rsp + 104]
    mov [trap + 32], rax
    mov rax, [rsp + 112]
    mov [trap + 40], rax
    mov rax, [rsp + 120]
    mov [trap + 48], rax
    mov rax, cr2
    mov [trap + 56], rax
    mov rax, dr6
    mov [trap + 64], rax
    inc qword [trap + 72]
    lea rax, [rsp + 88]
    mov [trap + 80], rax     ; where the frame lies
    mov rax, ss
    mov [trap + 88], rax     ; SS in the handler
    pushfq
    pop qword [trap + 96]    ; RFLAGS in the handler
    lea rdi, [rsp + 88]
    mov rax, [trap_hook]
    test rax, rax
    jz .no_hook
    cld
    call rax
.no_hook:
    mov rax, [recover_rip]
    test rax, rax
    jz .plain
    mov [rsp + 88], rax
    mov qword [rsp + 96], 0x08
    and qword [rsp + 104], ~0x54700 ; TF, IF, DF.. NT, RF, AC
    mov rax, [recover_rsp]
    mov [rsp + 112], rax
    mov qword [rsp + 120], 0x10
.plain:
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

; SYSCALL and SYSENTER end where TRY wants them, with what they changed in `trap`.
syscall_entry:
    mov [trap + 16], rcx
    mov [trap + 32], r11
    mov [trap + 40], rsp
    mov rax, cs
    mov [trap + 24], rax
    mov rax, ss
    mov [trap + 88], rax
    mov rsp, [recover_rsp]
    pushfq
    pop qword [trap + 96]
    mov qword [trap], 0x100
    jmp [recover_rip]
sysenter_entry:
    mov [trap + 40], rsp
    mov rax, cs
    mov [trap + 24], rax
    mov rax, ss
    mov [trap + 88], rax
    mov rsp, [recover_rsp]
    pushfq
    pop qword [trap + 96]
    mov qword [trap], 0x101
    jmp [recover_rip]

section .data
align 16
gdt:
    dq 0
    dq 0x00af9a000000ffff    ; 08 code64, level 0 (not accessed yet)
    dq 0x00cf92000000ffff    ; 10 data, level 0
    dq 0x00cffa000000ffff    ; 18 code32, level 3
    dq 0x00cff2000000ffff    ; 20 data, level 3
    dq 0x00affa000000ffff    ; 28 code64, level 3
    dq 0, 0                  ; 30 TSS, filled by main
    dq 0x00cf9a000000ffff    ; 40 code32, level 0
    dq 0x00cf12000000ffff    ; 48 data, not present
    dq 0, 0                  ; 50 LDT
    dq 0, 0                  ; 60 call gate
    dq 0x00af9e000000ffff    ; 70 conforming code64, level 0
    dq 0x00af1a000000ffff    ; 78 code64, not present
    dq 0x00cf90000000ffff    ; 80 read-only data
    dq 0x00ef9a000000ffff    ; 88 code with L and D
    dq 0x00409a0000000fff    ; 90 code32, limit 0xfff
    dq 0x00cf92000000ffff    ; 98 data, level 0, for the accessed bit
gdt_end:
gdt_pointer:
    dw gdt_end - gdt - 1
    dq gdt

section .bss
alignb 4096
pml4: resb 4096
pdpt: resb 4096
pd0: resb 4 * 4096
tss: resb 4096
    resb 16384
stack_top:
