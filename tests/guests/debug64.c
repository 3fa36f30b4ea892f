// Single steps, breakpoints, and what STI and MOV SS hold back.
#include "tests/guests/guest64.h"

static volatile u64 variable[4] __attribute__((aligned(64)));
static u64 addresses[16];
static u64 status[16];
static u64 resume[16];  // RF in the image
static unsigned hits;

// Records #DB and goes on; RF in the image lets an instruction breakpoint pass.
static void record_debug(u64* frame) {
  if (trap.vector != DB) return;
  if (hits < 16) {
    addresses[hits] = frame[0];
    status[hits] = trap.dr6;
    resume[hits] = frame[2] >> 16 & 1;
  }
  ++hits;
  WRITE_DR(6, 0);
  frame[2] |= 1 << 16;
}

static void begin(void) {
  hits = 0;
  recover_rip = 0;
  trap_hook = record_debug;
  WRITE_DR(6, 0);
  WRITE_DR(7, 0x400);
}
static void end(void) {
  WRITE_DR(7, 0x400);
  trap_hook = 0;
}

// Runs `code` with TF set. The first trap comes after the instruction that follows POPF.
#define STEP(code) asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n" code "\n pushfq\n andq $~0x100, (%%rsp)\n popfq" : : : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc")

static void test_single_step(void) {
  begin();
  STEP("nop\n nop\n nop");
  check("steps of three nops", hits, 3 + 3);  // and pushfq, andq, popfq
  check("BS", status[0], 0xffff4ff0);
  check("steps advance", addresses[1] - addresses[0], 1);
  begin();
  STEP("mov %%ss, %%eax\n mov %%eax, %%ss\n nop\n nop");
  check("MOV SS holds one trap back", hits, 3 + 3);
  begin();
  STEP("xor %%eax, %%eax\n cpuid");
  check("a step over CPUID", hits, 2 + 3);
  begin();
  asm volatile("cld\n lea variable(%%rip), %%rdi\n mov $4, %%ecx\n xor %%eax, %%eax\n pushfq\n orq $0x100, (%%rsp)\n popfq\n rep stosq\n pushfq\n andq $~0x100, (%%rsp)\n popfq"
               : : : "rax", "rcx", "rdi", "memory", "cc");
  check("a step per iteration", hits, 4 + 3);
  check("RIP stays at REP", addresses[0], addresses[1]);
  check("RIP after REP", addresses[3] - addresses[2], 3);
  if (!is_tcg()) check("RF between iterations", resume[0], 1);
  check("RF after the last iteration", resume[3], 0);
  end();
  // INT n clears TF without a trap in the handler; afterwards stepping goes on.
  begin();
  STEP("int $0x42\n nop");
  check("int n is stepped over", hits, 1 + 3);
  end();
}

static void test_step_into_syscall(void) {
  wrmsr(0xc0000081, (u64)0x18 << 48 | (u64)0x08 << 32);
  wrmsr(0xc0000082, (u64)syscall_entry);
  wrmsr(0xc0000084, 0x100);
  trap.vector = NONE;
  EXPECT("syscall with TF and FMASK.TF", SYSCALLED, 0xbad, TRY_USER("nop\n syscall", "i"(0)));
}

static void test_instruction_breakpoints(void) {
  begin();
  u64 at;
  asm volatile("lea 1f(%%rip), %%rax\n mov %%rax, %%dr0\n mov $0x402, %%eax\n mov %%rax, %%dr7\n nop\n1: nop\n lea 1b(%%rip), %0" : "=r"(at) : : "rax", "memory");
  check("breakpoint taken once", hits, 1);
  check("at the instruction", addresses[0], at);
  check("B0", status[0], 0xffff0ff1);
  begin();
  asm volatile("lea 1f(%%rip), %%rax\n mov %%rax, %%dr3\n mov $0x400, %%eax\n mov %%rax, %%dr7\n1: nop" : : : "rax", "memory");
  check("disabled breakpoint", hits, 0);
  begin();
  // Through a loop it is taken each time.
  asm volatile("lea 1f(%%rip), %%rax\n mov %%rax, %%dr1\n mov $0x408, %%eax\n mov %%rax, %%dr7\n mov $3, %%ecx\n1: dec %%ecx\n jnz 1b" : : : "rax", "rcx", "memory", "cc");
  check("breakpoint in a loop", hits, 3);
  check("B1", status[2], 0xffff0ff2);
  end();
}

#define DATA_BREAKPOINT(address, rw, len) \
  do {                                    \
    begin();                              \
    WRITE_DR(2, address);                 \
    WRITE_DR(7, 0x420 | (u64)(rw) << 24 | (u64)(len) << 26); \
  } while (0)

static void test_data_breakpoints(void) {
  DATA_BREAKPOINT(&variable[0], 1, 3);
  asm volatile("movl $5, variable\n nop" : : : "memory");
  check("write breakpoint", hits, 1);
  check("B2", status[0], 0xffff0ff4);
  DATA_BREAKPOINT(&variable[0], 1, 3);
  asm volatile("mov variable, %%eax" : : : "rax");
  check("a read does not hit a write breakpoint", hits, 0);
  DATA_BREAKPOINT(&variable[0], 3, 3);
  asm volatile("mov variable, %%eax" : : : "rax");
  check("a read hits an access breakpoint", hits, 1);
  DATA_BREAKPOINT((u64)&variable[0] + 2, 1, 0);
  asm volatile("movl $5, variable" : : : "memory");
  check("overlap", hits, 1);
  DATA_BREAKPOINT((u64)&variable[0] + 4, 1, 0);
  asm volatile("movl $5, variable" : : : "memory");
  check("beside", hits, 0);
  DATA_BREAKPOINT(&variable[0], 1, 2);
  asm volatile("movb $5, variable+7" : : : "memory");
  check("8-byte breakpoint", hits, 1);
  DATA_BREAKPOINT(&variable[1], 1, 3);
  asm volatile("cld\n lea variable(%%rip), %%rdi\n mov $3, %%ecx\n xor %%eax, %%eax\n rep stosq" : : : "rax", "rcx", "rdi", "memory");
  check("breakpoint within REP", hits, 1);
  DATA_BREAKPOINT(&variable[0], 1, 3);
  asm volatile("mov %%ss, %%eax\n mov %%eax, %%ss\n movl $5, variable\n nop\n nop" : : : "rax", "memory");
  check("after MOV SS", hits, 1);
  end();
}

static void test_general_detect(void) {
  WRITE_DR(6, 0);
  asm volatile("mov $0x2400, %%eax\n mov %%rax, %%dr7" : : : "rax");
  EXPECT_STRICT("general detect", DB, 0, TRY("mov %%dr0, %%rcx", "i"(0)));
  if (!is_tcg()) check("BD", trap.dr6, 0xffff2ff0);
  if (!is_tcg()) check("GD is cleared", READ_DR(7), 0x400);
  WRITE_DR(6, 0);
}

// --- The local APIC sends interrupts to itself.

static volatile u32* const apic = (volatile u32*)0xfee00000;
static volatile u64 interrupted_at[8];
static volatile unsigned interrupts;
static void record_interrupt(u64* frame) {
  if (trap.vector != 0x51) return;
  if (interrupts < 8) interrupted_at[interrupts] = frame[0];
  ++interrupts;
  apic[0xb0 / 4] = 0;
}

static void test_shadows(void) {
  trap_hook = record_interrupt;
  apic[0xf0 / 4] = 0x1ff;
  // The interrupt is pending while IF is clear, and comes one instruction after STI.
  u64 after_nop;
  asm volatile("movl $0x40051, (%%rbx)\n nop\n nop\n sti\n nop\n1: nop\n cli\n lea 1b(%%rip), %0" : "=r"(after_nop) : "b"(0xfee00300ull) : "memory");
  check("one interrupt", interrupts, 1);
  check("after the instruction that follows STI", interrupted_at[0], after_nop);
  interrupts = 0;
  asm volatile("movl $0x40051, (%%rbx)\n nop\n sti\n cli\n nop" : : "b"(0xfee00300ull) : "memory");
  check("STI, CLI lets nothing in", interrupts, 0);
  asm volatile("sti\n nop\n cli" : : : "memory");
  check("it was still pending", interrupts, 1);
  interrupts = 0;
  asm volatile("sti\n movl $0x40051, (%%rbx)\n nop\n nop\n cli" : : "b"(0xfee00300ull) : "memory");
  check("at once with IF set", interrupts, 1);
  interrupts = 0;
  asm volatile("movl $0x40051, (%%rbx)\n nop\n sti\n hlt\n cli" : : "b"(0xfee00300ull) : "memory");
  check("STI, HLT wakes up", interrupts, 1);
  interrupts = 0;
  WRITE_CR(8, 15);
  asm volatile("movl $0x40051, (%%rbx)\n nop\n sti\n nop\n nop\n cli" : : "b"(0xfee00300ull) : "memory");
  check("held back by CR8", interrupts, 0);
  asm volatile("sti\n nop\n xor %%eax, %%eax\n mov %%rax, %%cr8\n nop\n cli" : : : "rax", "memory");
  check("let in by CR8", interrupts, 1);
  interrupts = 0;
  asm volatile("movl $0x40051, (%%rbx)\n nop\n pushfq\n orq $0x200, (%%rsp)\n popfq\n nop\n cli" : : "b"(0xfee00300ull) : "memory", "cc");
  check("POPF has no shadow", interrupts, 1);
  interrupts = 0;
  trap_hook = 0;
}

void main(void) {
  set_up_tables();
  test_single_step();
  test_step_into_syscall();
  test_instruction_breakpoints();
  test_data_breakpoints();
  test_general_detect();
  test_shadows();
  finish();
}
