// Exceptions with their error codes and priorities, segments, gates and privilege changes in long mode.
#include "tests/guests/guest64.h"

static u8 page[4 * 4096] __attribute__((aligned(4096)));
static const u64 kNonCanonical = 0x8000000000000000;
static const u64 kUnmapped = 0x100000000000;

// --- Faults at CPL 0

static void test_faults(void) {
  EXPECT("divide", DE, 0, TRY("xor %%ecx, %%ecx\n mov $1, %%eax\n xor %%edx, %%edx\n div %%ecx", "i"(0)));
  EXPECT("ud2", UD, 0, TRY("ud2", "i"(0)));
  EXPECT("int3", BP, 0, TRY("int3", "i"(0)));
  EXPECT("int n", 0x42, 0, TRY("int $0x42", "i"(0)));
  EXPECT_STRICT("icebp", DB, 0, TRY(".byte 0xf1", "i"(0)));
  EXPECT("non-canonical data", GP, 0, TRY("mov (%0), %%rax", "r"(kNonCanonical)));
  EXPECT_STRICT("non-canonical stack", SS, 0, TRY("mov %0, %%rbp\n mov (%%rbp), %%rax\n", "r"(kNonCanonical)));
  set_gate(SS, (u64)idt_stubs + 16 * SS, kCode0, 1, kInterruptGate);
  set_gate(GP, (u64)idt_stubs + 16 * GP, kCode0, 1, kInterruptGate);
  EXPECT_STRICT("non-canonical push", SS, 0, TRY("mov %0, %%rsp\n push %%rax", "r"(kNonCanonical)));
  default_gate(SS);
  default_gate(GP);
  EXPECT("absent page, read", PF, 0, TRY("mov (%0), %%rax", "r"(kUnmapped)));
  check("cr2", trap.cr2, kUnmapped);
  EXPECT("absent page, write", PF, 2, TRY("mov %%rax, 8(%0)", "r"(kUnmapped)));
  check("cr2", trap.cr2, kUnmapped + 8);
  EXPECT("absent page, fetch", PF, 0x10, TRY("jmp *%0", "r"(kUnmapped)));
  check("cr2 of a fetch", trap.cr2, kUnmapped);
  check("rip of a fetch fault", trap.rip, kUnmapped);
  if (!is_tcg()) check("RF is set by a fault", trap.rflags >> 16 & 1, 1);
}

// --- Segment registers

#define LOAD_SEGMENT(name, seg, selector, vector, error) EXPECT(name, vector, error, TRY("mov %w0, %%" seg, "r"(selector)))

static void test_segment_loads(void) {
  LOAD_SEGMENT("null ds", "ds", 0, NONE, 0xbad);
  LOAD_SEGMENT("null ds, RPL 3", "ds", 3, NONE, 0xbad);
  LOAD_SEGMENT("ds", "ds", kData0, NONE, 0xbad);
  LOAD_SEGMENT("absent ds", "ds", kAbsentData, NP, kAbsentData);
  LOAD_SEGMENT("ds beyond the table", "ds", 0x7ff8, GP, 0x7ff8);
  if (!is_tcg()) LOAD_SEGMENT("ds from an absent LDT", "ds", 0x0c, GP, 0x0c);
  LOAD_SEGMENT("ds is a TSS", "ds", kTss, GP, kTss);
  LOAD_SEGMENT("ds is readable code", "ds", kCode0, NONE, 0xbad);
  LOAD_SEGMENT("ss null at CPL 0", "ss", 0, NONE, 0xbad);
  if (!is_tcg()) LOAD_SEGMENT("ss null with RPL 1", "ss", 1, GP, 0);
  LOAD_SEGMENT("ss read-only", "ss", kReadOnly, GP, kReadOnly);
  LOAD_SEGMENT("ss absent", "ss", kAbsentData, SS, kAbsentData);
  LOAD_SEGMENT("ss of level 3", "ss", kUserData, GP, kUserData & ~3);
  LOAD_SEGMENT("ss", "ss", kData0, NONE, 0xbad);
  EXPECT("mov to cs", UD, 0, TRY(".byte 0x8e, 0xc8", "i"(0)));
  check("not accessed yet", gdt[kFreshData / 8] >> 40 & 1, 0);
  LOAD_SEGMENT("fresh es", "es", kFreshData, NONE, 0xbad);
  check("accessed bit", gdt[kFreshData / 8] >> 40 & 1, 1);
  LOAD_SEGMENT("es back", "es", kData0, NONE, 0xbad);
  LOAD_SEGMENT("ds back", "ds", kData0, NONE, 0xbad);

  set_system_descriptor(kLdt, (u64)page, 15, 0x82);
  *(u64*)(page + 8) = 0x00cf92000000ffff;
  EXPECT("lldt", NONE, 0xbad, TRY("lldt %w0", "r"(kLdt)));
  LOAD_SEGMENT("ds from the LDT", "ds", 0x0c, NONE, 0xbad);
  check("accessed bit in the LDT", page[13], 0x93);
  LOAD_SEGMENT("beyond the LDT", "ds", 0x14, GP, 0x14);
  EXPECT("lldt of data", GP, kData0, TRY("lldt %w0", "r"(kData0)));
  EXPECT("ltr of a busy TSS", GP, kTss, TRY("ltr %w0", "r"(kTss)));
  EXPECT_STRICT("ltr null", GP, 0, TRY("ltr %w0", "r"(0)));
  LOAD_SEGMENT("ds back", "ds", kData0, NONE, 0xbad);
  EXPECT("lldt null", NONE, 0xbad, TRY("lldt %w0", "r"(0)));

  wrmsr(0xc0000100, 0x123456789);
  check("fs base", rdmsr(0xc0000100), 0x123456789);
  asm volatile("mov %w0, %%fs" : : "r"(kData0));
  check("fs base after a load", rdmsr(0xc0000100), 0);
  EXPECT_STRICT("wrmsr of a non-canonical base", GP, 0, TRY("mov $0xc0000100, %%ecx\n xor %%eax, %%eax\n mov $0x80000000, %%edx\n wrmsr", "i"(0)));
}

static void test_examine(void) {
  u64 value = 0;
  u8 zf = 0;
  asm volatile("lar %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(kData0));
  check("lar data", zf, 1);
  check("lar data value", value & 0xf0ff00, 0xc09300);
  asm volatile("lar %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(kTss));
  check("lar TSS", zf, 1);
  check("lar TSS value", value & 0xff00, 0x8b00);
  asm volatile("lar %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(0));
  check("lar null", zf, 0);
  asm volatile("lar %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(0x7ff8));
  check("lar beyond", zf, 0);
  asm volatile("lsl %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(kData0));
  check("lsl data", value, 0xffffffff);
  asm volatile("lsl %w2, %k0\n setz %1" : "=r"(value), "=r"(zf) : "r"(kSmallCode32));
  check("lsl small", value, 0xfff);
  asm volatile("verr %w1\n setz %0" : "=r"(zf) : "r"(kReadOnly));
  check("verr read-only", zf, 1);
  asm volatile("verw %w1\n setz %0" : "=r"(zf) : "r"(kReadOnly));
  check("verw read-only", zf, 0);
  asm volatile("verw %w1\n setz %0" : "=r"(zf) : "r"(kData0));
  check("verw data", zf, 1);
  asm volatile("verr %w1\n setz %0" : "=r"(zf) : "r"(kData0 | 3));
  check("verr with RPL 3", zf, 0);
  asm volatile("str %k0" : "=r"(value) : "0"(~0ull));
  check("str", value, kTss);
}

// --- Interrupt delivery

static void test_delivery(void) {
  // IST, stack alignment, and what is pushed.
  set_gate(0x42, (u64)idt_stubs + 16 * 0x42, kCode0, 1, kInterruptGate);
  TRY("sub $3, %%rsp\n int $0x42", "i"(0));
  check("IST frame", trap.frame, stack_end(ist_stack) - 40);
  check("pushed rsp", trap.rsp & 15, (recover_rsp - 3) & 15);
  check("pushed ss", trap.ss, kData0);
  check("pushed cs", trap.cs, kCode0);
  if (!is_tcg()) check("ss in the handler at the same level", trap.handler_ss, kData0);
  default_gate(0x42);
  TRY("sub $3, %%rsp\n int $0x42", "i"(0));
  check("aligned frame", trap.frame & 15, 8);
  TRY("sti\n int $0x42", "i"(0));
  check("IF cleared by an interrupt gate", trap.handler_flags >> 9 & 1, 0);
  check("IF in the image", trap.rflags >> 9 & 1, 1);
  set_gate(0x42, (u64)idt_stubs + 16 * 0x42, kCode0, 0, kTrapGate);
  TRY("sti\n int $0x42", "i"(0));
  check("IF kept by a trap gate", trap.handler_flags >> 9 & 1, 1);
  asm volatile("cli");

  // Bad gates.
  set_gate(0x42, (u64)idt_stubs, kCode0, 0, 0x0e);
  EXPECT_STRICT("absent gate", NP, 0x42 * 8 + 2, TRY("int $0x42", "i"(0)));
  set_gate(0x42, (u64)idt_stubs, kCode0, 0, 0x8c);
  EXPECT_STRICT("call gate in the IDT", GP, 0x42 * 8 + 2, TRY("int $0x42", "i"(0)));
  set_gate(0x42, (u64)idt_stubs, 0, 0, kInterruptGate);
  EXPECT("gate with a null selector", GP, 0, TRY("int $0x42", "i"(0)));
  set_gate(0x42, (u64)idt_stubs, kData0, 0, kInterruptGate);
  EXPECT("gate to data", GP, kData0, TRY("int $0x42", "i"(0)));
  set_gate(0x42, (u64)idt_stubs, kAbsentCode, 0, kInterruptGate);
  EXPECT("gate to absent code", NP, kAbsentCode, TRY("int $0x42", "i"(0)));
  set_gate(0x42, (u64)idt_stubs, kCode32, 0, kInterruptGate);
  EXPECT("gate to 32-bit code", GP, kCode32, TRY("int $0x42", "i"(0)));
  default_gate(0x42);
  const struct table_pointer small = {0x42 * 16 + 14, (u64)idt}, whole = {sizeof idt - 1, (u64)idt};
  asm volatile("lidt %0" : : "m"(small));
  EXPECT_STRICT("vector beyond the IDT", GP, 0x42 * 8 + 2, TRY("int $0x42", "i"(0)));
  asm volatile("lidt %0" : : "m"(whole));

  // An exception during an exception: EXT is set. #UD through an absent gate.
  set_gate(UD, (u64)idt_stubs, kCode0, 0, 0x0e);
  EXPECT_STRICT("#NP while delivering #UD", NP, UD * 8 + 2 + 1, TRY("ud2", "i"(0)));
  default_gate(UD);
  // Contributory + contributory, and page fault + contributory: double fault.
  set_gate(GP, (u64)idt_stubs, kCode0, 0, 0x0e);
  EXPECT("#GP, #NP: #DF", DF, 0, TRY("mov (%0), %%rax", "r"(kNonCanonical)));
  default_gate(GP);
  set_gate(PF, (u64)idt_stubs, kCode0, 0, 0x0e);
  EXPECT("#PF, #NP: #DF", DF, 0, TRY("mov (%0), %%rax", "r"(kUnmapped)));
  default_gate(PF);
  set_gate(DF, (u64)idt_stubs + 16 * DF, kCode0, 1, kInterruptGate);
  set_gate(PF, (u64)idt_stubs + 16 * PF, kCode0, 0, kInterruptGate);
  EXPECT("#PF on the stack of #PF: #DF", DF, 0, TRY("mov %0, %%rsp\n push %%rax", "r"(kUnmapped)));
  check("cr2 of the second fault", trap.cr2, kUnmapped - 8);
  default_gate(DF);
  set_gate(DE, (u64)idt_stubs + 16 * DE, kCode0, 0, kInterruptGate);
}

// --- Privilege changes

static void test_user(void) {
  EXPECT("user round trip", 0x80, 0, TRY_USER("nop", "i"(0)));
  check("cs", trap.cs, kUserCode64);
  check("ss", trap.ss, kUserData);
  check("rsp", trap.rsp, stack_end(user_stack));
  check("ss in the handler after a change of level", trap.handler_ss, 0);
  check("frame on RSP0", trap.frame, stack_end(stack0) - 40);
  EXPECT_STRICT("int n without rights", GP, 0x42 * 8 + 2, TRY_USER("int $0x42", "i"(0)));
  EXPECT("int3 from user", BP, 0, TRY_USER("int3", "i"(0)));
  EXPECT("hlt", GP, 0, TRY_USER("hlt", "i"(0)));
  EXPECT("cli", GP, 0, TRY_USER("cli", "i"(0)));
  EXPECT("cli with IOPL 3", 0x80, 0, TRY_AT(kUserCode64, kUserData, 0x3202, "cli", "i"(0)));
  check("IF clear", trap.rflags, 0x3002);
  EXPECT("out", GP, 0, TRY_USER("out %%al, $0x80", "i"(0)));
  EXPECT("out with IOPL 3", 0x80, 0, TRY_AT(kUserCode64, kUserData, 0x3002, "out %%al, $0x80", "i"(0)));
  tss[0x68 + 0x80 / 8] = 0xfe;
  EXPECT("out by the permission map", 0x80, 0, TRY_USER("out %%al, $0x80", "i"(0)));
  EXPECT("word out by the permission map", GP, 0, TRY_USER("out %%ax, $0x80", "i"(0)));
  tss[0x68 + 0x80 / 8] = 0xff;
  EXPECT("mov from cr0", GP, 0, TRY_USER("mov %%cr0, %%rax", "i"(0)));
  EXPECT("mov from dr7", GP, 0, TRY_USER("mov %%dr7, %%rax", "i"(0)));
  EXPECT("rdmsr", GP, 0, TRY_USER("rdmsr", "i"(0)));
  EXPECT("invlpg", GP, 0, TRY_USER("invlpg (%%rsp)", "i"(0)));
  EXPECT("swapgs", GP, 0, TRY_USER("swapgs", "i"(0)));
  EXPECT("lgdt", GP, 0, TRY_USER("lgdt (%%rsp)", "i"(0)));
  EXPECT("sysret", GP, 0, TRY_USER("sysretq", "i"(0)));
  EXPECT("wbinvd", GP, 0, TRY_USER("wbinvd", "i"(0)));
  EXPECT("sgdt", 0x80, 0, TRY_USER("sgdt -16(%%rsp)", "i"(0)));
  EXPECT("popf keeps IF and IOPL", 0x80, 0, TRY_USER("pushq $0x3202\n popfq", "i"(0)));
  check("flags after popf", trap.rflags, 0x002);
  EXPECT("user null ss", GP, 0, TRY_USER("xor %%eax, %%eax\n mov %%eax, %%ss", "i"(0)));
  EXPECT("user loads level 0", GP, kData0, TRY_USER("mov $0x10, %%eax\n mov %%eax, %%ds", "i"(0)));
  EXPECT("rdtsc", 0x80, 0, TRY_USER("rdtsc", "i"(0)));
  WRITE_CR(4, READ_CR(4) | 4);
  EXPECT("rdtsc with TSD", GP, 0, TRY_USER("rdtsc", "i"(0)));
  WRITE_CR(4, READ_CR(4) & ~4ull);
  EXPECT("alignment unchecked", 0x80, 0, TRY_AT(kUserCode64, kUserData, 0x40002, "mov -7(%%rsp), %%eax", "i"(0)));
  WRITE_CR(0, READ_CR(0) | 1 << 18);
  EXPECT_STRICT("alignment", AC, 0, TRY_AT(kUserCode64, kUserData, 0x40002, "mov -7(%%rsp), %%eax", "i"(0)));
  EXPECT("alignment without AC", 0x80, 0, TRY_USER("mov -7(%%rsp), %%eax", "i"(0)));
  WRITE_CR(0, READ_CR(0) & ~(1ull << 18));

  // IRET takes the data segments away that the outer level may not have.
  static u16 ds;
  ds = 1;
  TRY_USER("mov %%ds, %w[out_]\n mov %w[out_], %[mem_]", [out_] "r"(0), [mem_] "m"(ds));
  check("ds dropped by iret", ds, 0);
  asm volatile("mov %w0, %%ds\n mov %w0, %%es" : : "r"(kData0));

  // Compatibility mode.
  EXPECT("compatibility mode", 0x80, 0, TRY_AT(kUserCode32, kUserData, 2, ".code32\n mov $0x12345678, %%eax\n inc %%eax\n .code64", "i"(0)));
  check("compatibility cs", trap.cs, kUserCode32);
  EXPECT_STRICT("syscall in compatibility mode is for others", UD, 0, TRY_AT(kUserCode32, kUserData, 2, "syscall", "i"(0)));
  EXPECT("into", OF, 0, TRY_AT(kUserCode32, kUserData, 0x802, ".code32\n into\n .code64", "i"(0)));
  EXPECT("bound", BR, 0, TRY_AT(kUserCode32, kUserData, 2, ".code32\n movl $1, -8(%%esp)\n movl $2, -4(%%esp)\n mov $3, %%eax\n bound %%eax, -8(%%esp)\n .code64", "i"(0)));
  EXPECT("32-bit wrap", 0x80, 0, TRY_AT(kUserCode32, kUserData, 2, ".code32\n mov $0x23, %%eax\n mov %%eax, %%ds\n mov $0xfffffff0, %%eax\n mov %%esp, %%edx\n add $0x10, %%edx\n movb $1, -16(%%eax,%%edx)\n.code64", "i"(0)));
}

// --- IRET

#define TRY_IRET(ss, sp, flags, cs, rip) \
  TRY("push %0\n push %1\n push %2\n push %3\n push %4\n iretq", "r"((u64)(ss)), "r"((u64)(sp)), "r"((u64)(flags)), "r"((u64)(cs)), "r"((u64)(rip)))

static void test_iret(void) {
  const u64 sp = stack_end(user_stack);
  EXPECT("iret to null cs", GP, 0, TRY_IRET(kData0, sp, 2, 0, 0));
  EXPECT("iret to data", GP, kData0, TRY_IRET(kData0, sp, 2, kData0, 0));
  EXPECT("iret to absent code", NP, kAbsentCode, TRY_IRET(kData0, sp, 2, kAbsentCode, 0));
  EXPECT("iret beyond the table", GP, 0x7ff8, TRY_IRET(kData0, sp, 2, 0x7ff8, 0));
  EXPECT_STRICT("iret to L and D", GP, kCodeLD, TRY_IRET(kData0, sp, 2, kCodeLD, 0));
  EXPECT("iret with the wrong ss", GP, kUserData & ~3, TRY_IRET(kUserData, sp, 2, kCode0, 0));
  EXPECT("iret to user with kernel ss", GP, kData0, TRY_IRET(kData0, sp, 2, kUserCode64, 0));
  EXPECT("iret to user with null ss", GP, 0, TRY_IRET(0, sp, 2, kUserCode64, 0));
  EXPECT_STRICT("iret with absent ss", SS, kAbsentData, TRY_IRET(kAbsentData, sp, 2, kCode0, 0));
  EXPECT("iret to a non-canonical rip", GP, 0, TRY_IRET(kUserData, sp, 2, kUserCode64, kNonCanonical));
  EXPECT("iret with NT", GP, 0, TRY("pushfq\n orq $0x4000, (%%rsp)\n popfq\n iretq", "i"(0)));
  EXPECT_STRICT("iret beyond the limit", GP, 0, TRY_IRET(kData0, sp, 2, kSmallCode32, 0x1000));
  // A null SS at CPL 0, and flags.
  u64 flags;
  asm volatile("mov %%rsp, %%rax\n push $0\n push %%rax\n push $0x247cd7\n push $0x08\n lea 1f(%%rip), %%rax\n push %%rax\n iretq\n1: pushfq\n pop %0\n mov $0x10, %%eax\n mov %%eax, %%ss\n push $2\n popfq"
               : "=r"(flags) : : "rax", "memory", "cc");
  check("flags loaded by iret at CPL 0", flags, 0x247cd7);
}

// --- Far transfers and call gates

static void test_far(void) {
  EXPECT("lretq to the same level", 0x42, 0, TRY("push $0x08\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n1: int $0x42", "i"(0)));
  EXPECT("lret to null", GP, 0, TRY("push $0\n push $0\n lretq", "i"(0)));
  EXPECT("lret to an inner level", GP, kCode0, TRY_USER("push $0x08\n push $0\n lretq", "i"(0)));
  static struct { u64 offset; u16 selector; } __attribute__((packed)) far;
  far.offset = (u64)idt_stubs;
  far.selector = kData0;
  EXPECT("far jump to data", GP, kData0, TRY("rex.w ljmp *%0", "m"(far)));
  far.selector = kUserCode64;
  EXPECT("far jump to an outer level", GP, kUserCode64 & ~3, TRY("rex.w ljmp *%0", "m"(far)));
  far.selector = kAbsentCode;
  EXPECT("far jump to absent code", NP, kAbsentCode, TRY("rex.w ljmp *%0", "m"(far)));
  far.selector = kTss;
  EXPECT("far jump to a TSS", GP, kTss, TRY("rex.w ljmp *%0", "m"(far)));
  far.selector = 0;
  EXPECT("far call to null", GP, 0, TRY("rex.w lcall *%0", "m"(far)));

  // A 64-bit call gate from user to kernel: stack switch, SS:RSP, CS:RIP on the new stack.
  static u64 seen_rsp, seen_cs;
  u64 entry;
  asm volatile("lea 1f(%%rip), %0\n jmp 2f\n1: mov %%rsp, %%rcx\n mov %%cs, %%edx\n mov %%ss, %%r8d\n lretq\n2:" : "=r"(entry));
  set_call_gate(entry, kCode0, 0xec);
  static struct { u32 offset; u16 selector; } __attribute__((packed)) gate = {0, kCallGate | 3};
  EXPECT("call gate", 0x80, 0, TRY_USER("lcall *%[gate_]\n mov %%rcx, %[rsp_]\n mov %%rdx, %[scs_]", [gate_] "m"(gate), [rsp_] "m"(seen_rsp), [scs_] "m"(seen_cs)));
  check("call gate stack", seen_rsp, stack_end(stack0) - 32);
  check("call gate cs", seen_cs, kCode0);
  check("back in user", trap.cs, kUserCode64);
  check("back on the user stack", trap.rsp, stack_end(user_stack));
  set_call_gate(entry, kCode0, 0x8c);
  EXPECT("call gate without rights", GP, kCallGate, TRY_USER("lcall *%[gate_]", [gate_] "m"(gate)));
  set_call_gate(entry, kCode0, 0x6c);
  EXPECT("absent call gate", NP, kCallGate, TRY_USER("lcall *%[gate_]", [gate_] "m"(gate)));
  set_call_gate(entry, kCode32, 0xec);
  EXPECT("call gate to 32-bit code", GP, kCode32, TRY_USER("lcall *%[gate_]", [gate_] "m"(gate)));
  set_call_gate(entry, kCode0, 0xec);
  gdt[kCallGate / 8 + 1] |= 0x0000080000000000;
  EXPECT("call gate with a type in its upper half", GP, kCallGate, TRY_USER("lcall *%[gate_]", [gate_] "m"(gate)));
  set_call_gate(entry, kConforming, 0xec);
  EXPECT("call gate to conforming code stays at CPL 3", 0x80, 0, TRY_USER("lcall *%[gate_]\n mov %%rdx, %[scs_]", [gate_] "m"(gate), [scs_] "m"(seen_cs)));
  if (!is_tcg()) check("conforming cs", seen_cs, kConforming | 3);
}

// --- SYSCALL, SYSENTER

static void test_fast_calls(void) {
  wrmsr(0xc0000081, (u64)0x18 << 48 | (u64)0x08 << 32);
  wrmsr(0xc0000082, (u64)syscall_entry);
  wrmsr(0xc0000084, 0x40700);
  EXPECT("syscall", SYSCALLED, 0xbad, TRY_AT(kUserCode64, kUserData, 0x40202, "syscall", "i"(0)));
  check("syscall cs", trap.cs, kCode0);
  check("syscall ss", trap.handler_ss, kData0);
  check("syscall r11", trap.rflags, 0x40202);
  check("syscall flags", trap.handler_flags & 0x40302, 2);
  check("syscall keeps rsp", trap.rsp, stack_end(user_stack));
  EXPECT("sysret", 0x80, 0, TRY("mov %%rsp, %%r9\n lea 1f(%%rip), %%rcx\n mov $0x3202, %%r11d\n mov %0, %%rsp\n sysretq\n1: int $0x80", "r"(stack_end(user_stack))));
  check("sysret cs", trap.cs, kUserCode64);
  check("sysret ss", trap.ss, kUserData);
  check("sysret flags", trap.rflags, 0x3202);
  EXPECT("sysret to compatibility mode", 0x80, 0, TRY("lea 1f(%%rip), %%rcx\n mov $2, %%r11d\n mov %0, %%rsp\n sysretl\n1: int $0x80", "r"(stack_end(user_stack))));
  check("sysretl cs", trap.cs, kUserCode32);
  asm volatile("mov %w0, %%ds\n mov %w0, %%es" : : "r"(kData0));
  wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ull);
  EXPECT("syscall without SCE", UD, 0, TRY_USER("syscall", "i"(0)));
  wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
  EXPECT_STRICT("lstar must be canonical", GP, 0, TRY("mov $0xc0000082, %%ecx\n mov $0x80000000, %%edx\n wrmsr", "i"(0)));

  wrmsr(0x174, 0);
  EXPECT("sysenter without a segment", GP, 0, TRY_USER("sysenter", "i"(0)));
  wrmsr(0x174, kCode0);
  wrmsr(0x175, stack_end(stack0));
  wrmsr(0x176, (u64)sysenter_entry);
  EXPECT("sysenter", SYSENTERED, 0xbad, TRY_USER("sysenter", "i"(0)));
  check("sysenter cs", trap.cs, kCode0);
  check("sysenter rsp", trap.rsp, stack_end(stack0));
  check("sysenter ss", trap.handler_ss, kData0);
  EXPECT("sysexit", 0x80, 0, TRY("lea 1f(%%rip), %%rdx\n mov %0, %%rcx\n rex.w sysexit\n1: int $0x80", "r"(stack_end(user_stack))));
  check("sysexit cs", trap.cs, (kCode0 + 32) | 3);
  check("sysexit ss", trap.ss, (kCode0 + 40) | 3);
  check("sysexit rsp", trap.rsp, stack_end(user_stack));

  wrmsr(0xc0000101, 0x1111);
  wrmsr(0xc0000102, 0x2222);
  asm volatile("swapgs");
  check("swapgs", rdmsr(0xc0000101), 0x2222);
  check("swapgs back", rdmsr(0xc0000102), 0x1111);
  EXPECT("rdfsbase without FSGSBASE", UD, 0, TRY("rdfsbase %%rax", "i"(0)));
  WRITE_CR(4, READ_CR(4) | 1 << 16);
  u64 base;
  EXPECT("wrfsbase", 0x80, 0, TRY_USER("mov $0x5555, %%eax\n wrfsbase %%rax", "i"(0)));
  check("fs base by wrfsbase", rdmsr(0xc0000100), 0x5555);
  asm volatile("rdgsbase %0" : "=r"(base));
  check("rdgsbase", base, 0x2222);
  EXPECT_STRICT("wrgsbase of a non-canonical base", GP, 0, TRY("wrgsbase %0", "r"(kNonCanonical)));
}

// --- Control registers

static void test_control(void) {
  EXPECT_STRICT("PG without PE", GP, 0, TRY("mov %%cr0, %%rax\n and $~1, %%eax\n mov %%rax, %%cr0", "i"(0)));
  EXPECT_STRICT("NW without CD", GP, 0, TRY("mov %%cr0, %%rax\n bts $29, %%rax\n btr $30, %%rax\n mov %%rax, %%cr0", "i"(0)));
  EXPECT_STRICT("high bits of cr0", GP, 0, TRY("mov %%cr0, %%rax\n bts $40, %%rax\n mov %%rax, %%cr0", "i"(0)));
  EXPECT_STRICT("PG off in 64-bit code", GP, 0, TRY("mov %%cr0, %%rax\n btr $31, %%rax\n mov %%rax, %%cr0", "i"(0)));
  EXPECT_STRICT("PAE off in long mode", GP, 0, TRY("mov %%cr4, %%rax\n btr $5, %%rax\n mov %%rax, %%cr4", "i"(0)));
  EXPECT_STRICT("reserved bit of cr4", GP, 0, TRY("mov %%cr4, %%rax\n bts $40, %%rax\n mov %%rax, %%cr4", "i"(0)));
  EXPECT_STRICT("reserved bit of cr3", GP, 0, TRY("mov %%cr3, %%rax\n bts $55, %%rax\n mov %%rax, %%cr3", "i"(0)));
  EXPECT_STRICT("LME off under paging", GP, 0, TRY("mov $0xc0000080, %%ecx\n rdmsr\n btr $8, %%eax\n wrmsr", "i"(0)));
  EXPECT_STRICT("reserved bit of EFER", GP, 0, TRY("mov $0xc0000080, %%ecx\n rdmsr\n bts $3, %%eax\n wrmsr", "i"(0)));
  EXPECT_STRICT("unknown MSR", GP, 0, TRY("mov $0x12345, %%ecx\n rdmsr", "i"(0)));
  EXPECT("cr1", UD, 0, TRY(".byte 0x0f, 0x20, 0xc8", "i"(0)));
  EXPECT_STRICT("cr8 beyond 15", GP, 0, TRY("mov $16, %%eax\n mov %%rax, %%cr8", "i"(0)));
  WRITE_CR(8, 5);
  check("cr8", READ_CR(8), 5);
  WRITE_CR(8, 0);
  u64 msw = 0;
  asm volatile("smsw %0" : "=r"(msw));
  check("smsw", msw & 0xffffffff, READ_CR(0));
  asm volatile("mov $8, %%eax\n lmsw %%ax" : : : "rax");
  check("lmsw cannot clear PE", READ_CR(0) & 0xf, 9);
  EXPECT("x87 with TS", NM, 0, TRY("fninit", "i"(0)));
  asm volatile("clts");
  check("clts", READ_CR(0) & 0xf, 1);
  EXPECT("dr4 without DE", NONE, 0xbad, TRY("mov %%dr4, %%rax", "i"(0)));
  WRITE_CR(4, READ_CR(4) | 8);
  EXPECT("dr4 with DE", UD, 0, TRY("mov %%dr4, %%rax", "i"(0)));
  WRITE_CR(4, READ_CR(4) & ~8ull);
  EXPECT_STRICT("high half of dr7", GP, 0, TRY("mov $1, %%eax\n shl $32, %%rax\n mov %%rax, %%dr7", "i"(0)));
}

void main(void) {
  set_up_tables();
  test_faults();
  test_segment_loads();
  test_examine();
  test_delivery();
  test_user();
  test_iret();
  test_far();
  test_fast_calls();
  test_control();
  finish();
}
