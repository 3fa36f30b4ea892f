; Multiboot entry for 32-bit guests: flat segments, exception stubs, and 16-bit code for real and virtual-8086 mode.
bits 32
section .multiboot
align 4
    dd 0x1badb002, 3, -(0x1badb002 + 3)

section .text
extern main, trap, recover_eip, recover_esp, trap_hook
global low_gate16, low_v8086, start, gdt, gdt_end, idt_stubs, tss, second_tss, stack_top, low_code, low_code_end, enter_real_mode, real_result, gate_entry, gate_seen

start:
    cli
    cld
    mov esp, stack_top
    lgdt [gdt_pointer]
    jmp 0x08:.flat
.flat:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    call main
.halt:
    cli
    hlt
    jmp .halt

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
    push ds
    push es
    pushad
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    cld
    mov eax, [esp + 40]
    mov [trap], eax
    mov eax, [esp + 44]
    mov [trap + 4], eax
    mov eax, [esp + 48]
    mov [trap + 8], eax
    mov eax, [esp + 52]
    mov [trap + 12], eax
    mov eax, [esp + 56]
    mov [trap + 16], eax
    mov eax, [esp + 60]
    mov [trap + 20], eax
    mov eax, [esp + 64]
    mov [trap + 24], eax
    mov eax, cr2
    mov [trap + 28], eax
    lea eax, [esp + 48]
    mov [trap + 32], eax
    xor eax, eax
    mov ax, ss
    mov [trap + 36], eax
    pushfd
    pop dword [trap + 40]
    mov eax, dr6
    mov [trap + 44], eax
    mov eax, [esp + 36]          ; DS as interrupted
    mov [trap + 48], eax
    mov eax, [esp + 68]          ; ES, DS, FS, GS of virtual-8086 mode
    mov [trap + 52], eax
    mov eax, [esp + 72]
    mov [trap + 56], eax
    mov eax, [trap_hook]
    test eax, eax
    jz .no_hook
    lea edx, [esp + 48]
    push edx
    call eax
    add esp, 4
.no_hook:
    mov eax, [recover_eip]
    test eax, eax
    jz .plain
    mov ecx, 0x10
    mov ss, ecx
    mov esp, [recover_esp]
    push 2
    popfd
    jmp eax
.plain:
    popad
    pop es
    pop ds
    add esp, 8
    iretd

; The target of the call gate: what it finds, then back.
gate_entry:
    mov [gate_seen], esp
    mov eax, [esp]
    mov [gate_seen + 4], eax
    mov eax, [esp + 4]
    mov [gate_seen + 8], eax
    mov eax, [esp + 8]
    mov [gate_seen + 12], eax
    mov eax, [esp + 12]
    mov [gate_seen + 16], eax
    mov eax, [esp + 16]
    mov [gate_seen + 20], eax
    mov eax, [esp + 20]
    mov [gate_seen + 24], eax
    mov eax, cs
    mov [gate_seen + 28], eax
    mov eax, ss
    mov [gate_seen + 32], eax
    retf 8

; Goes to real mode, executes INT 0x60 there, and comes back. low_code lies at 0x8000.
enter_real_mode:
    pushad
    mov [saved_esp], esp
    lidt [real_idt]
    jmp 0xb8:(0x8000 + real16 - low_code)
back_to_protected:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, [saved_esp]
    popad
    ret

; --- Copied to 0x8000
bits 16
low_code:
    ; +0: virtual-8086 mode ends up here: INT 0x60 and more
    int 0x60
    hlt
align 16
real16:
    mov ax, 0xc0
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0:(0x8000 + .real - low_code)
.real:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    mov word [0x60 * 4], 0x8000 + .handler - low_code
    mov word [0x60 * 4 + 2], 0
    mov word [0 * 4], 0x8000 + .divide - low_code
    mov word [0 * 4 + 2], 0
    mov word [6 * 4], 0x8000 + .undefined - low_code
    mov word [6 * 4 + 2], 0
    mov word [13 * 4], 0x8000 + .protection - low_code
    mov word [13 * 4 + 2], 0
    mov dword [0x7e00], 0
    mov dword [0x7e04], 0
    mov dword [0x7e08], 0
    mov dword [0x7e0c], 0
    sti
    pushf
    pop word [0x7e0e]
    int 0x60
    cli
    xor dx, dx
    mov ax, 1
    xor bx, bx
    div bx
    mov byte [0x7e06], 1         ; skipped by the handler's 2 bytes only
    ud2
    mov ax, 0xffff
    mov es, ax
    mov byte [es:0x10], 0x5a     ; 0x100000: above 1 MB, no wrap
    mov bx, 0xffff
    mov ax, [bx]                 ; beyond the limit
    lldt ax                      ; #UD in real mode
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 0x08:back_to_protected
.handler:
    mov [0x7e00], sp
    push bp
    mov bp, sp
    mov ax, [bp + 6]             ; FLAGS
    mov [0x7e02], ax
    pop bp
    pushf
    pop word [0x7e04]
    iret
.divide:
    inc byte [0x7e08]
    push bp
    mov bp, sp
    add word [bp + 2], 2
    pop bp
    iret
.undefined:
    inc byte [0x7e09]
    push bp
    mov bp, sp
    push bx
    mov bx, [bp + 2]
    cmp word [bx], 0x0b0f        ; UD2 is 2 bytes long, LLDT AX 3
    je .two
    inc word [bp + 2]
.two:
    add word [bp + 2], 2
    pop bx
    pop bp
    iret
.protection:
    inc byte [0x7e0a]
    push bp
    mov bp, sp
    add word [bp + 2], 2
    pop bp
    iret
bits 32
align 16
low_gate16:                      ; through a 16-bit gate: words on the stack
    mov ax, [esp]
    mov [gate_seen], ax
    mov ax, [esp + 2]
    mov [gate_seen + 2], ax
    mov ax, [esp + 4]
    mov [gate_seen + 4], ax
    mov [gate_seen + 8], esp
    int 0x41                     ; a return would need a return address below 64 KB
low_gate16_end:
bits 16
align 16
low_v8086:                       ; +offset: what runs in virtual-8086 mode
    push cs
    pop ax
    mov bx, ds
    mov byte [bx + 0x40], 0x77   ; DS = 0x900: linear 0x9000 + 0x900 + 0x40
    mov cx, sp
    int 0x60
    int 0x80
low_code_end:
bits 32

section .data
align 16
gdt:
    dq 0
    dq 0x00cf9a000000ffff    ; 08 code, level 0
    dq 0x00cf92000000ffff    ; 10 data, level 0
    dq 0x00cffa000000ffff    ; 18 code, level 3
    dq 0x00cff2000000ffff    ; 20 data, level 3
    dq 0                     ; 28 TSS, filled by main
    dq 0                     ; 30 second TSS
    dq 0                     ; 38 call gate
    dq 0                     ; 40 task gate
    dq 0x0040920000000fff    ; 48 data, limit 0xfff
    dq 0x0040960000000fff    ; 50 expand-down data, valid above 0xfff
    dq 0x00cf90000000ffff    ; 58 read-only data
    dq 0x00cf98000000ffff    ; 60 execute-only code
    dq 0x00cf12000000ffff    ; 68 data, not present
    dq 0x00cf9e000000ffff    ; 70 conforming code, level 0
    dq 0                     ; 78 LDT
    dq 0x0000960000000fff    ; 80 expand-down 16-bit data, 0x1000..0xffff
    dq 0x0040fa0000000fff    ; 88 code, level 3, limit 0xfff
    dq 0x00cf1a000000ffff    ; 90 code, not present
    dq 0x0000f2000000ffff    ; 98 16-bit data, level 3
    dq 0x00cfb2000000ffff    ; a0 data, level 1
    dq 0x00cf92000000ffff    ; a8
    dq 0x00cf92000000ffff    ; b0
    dq 0x00009a000000ffff    ; b8 16-bit code
    dq 0x000092000000ffff    ; c0 16-bit data
gdt_end:
gdt_pointer:
    dw gdt_end - gdt - 1
    dd gdt
real_idt:
    dw 0x3ff
    dd 0
real_result: dd 0x7e00

section .bss
alignb 4096
tss: resb 0x3000
second_tss: resb 4096
gate_seen: resd 16
saved_esp: resd 1
alignb 16
    resb 16384
stack_top:
