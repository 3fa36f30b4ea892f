; Multiboot entry to 64-bit code, the first gigabyte mapped one to one.
bits 32
section .multiboot
align 4
    dd 0x1badb002, 3, -(0x1badb002 + 3)

section .text
extern main
global start

start:
    cli
    cld
    mov esp, stack_top
    mov edi, ebx             ; the boot information, main's argument
    mov dword [pml4], pdpt + 3
    mov dword [pdpt], pd + 3
    mov esi, pd
    mov eax, 0x83
    mov ecx, 512
.map:
    mov [esi], eax
    add eax, 0x200000
    add esi, 8
    loop .map
    mov eax, cr4
    or eax, 0x20             ; PAE
    mov cr4, eax
    mov eax, pml4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100            ; LME
    wrmsr
    mov eax, cr0
    or eax, 0x80000000       ; PG
    mov cr0, eax
    lgdt [gdt_pointer]
    jmp 0x08:long_mode
bits 64
long_mode:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rsp, stack_top
    xor ebp, ebp
    call main
    hlt

section .data
align 8
gdt:
    dq 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    dw gdt_pointer - gdt - 1
    dq gdt

section .bss
alignb 4096
pml4: resb 4096
pdpt: resb 4096
pd: resb 4096
    resb 16384
stack_top:
