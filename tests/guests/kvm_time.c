// CPUID and time stamps at CPL 0: in loops, in interrupt handlers, single-stepped, with the TSC moved. A site is followed by a NOP that names it, so that a
// test can replace it as a kernel's are (harness/boot/text_patches.h); the guest is right either way.
#include "tests/guests/guest64.h"

#define SITE "nopl 0x77(%%rax)\n"
#define RDTSC "rdtsc\n" SITE
#define RDTSCP "rdtscp\n" SITE
#define CPUID "cpuid\n" SITE

static volatile u32* const apic = (volatile u32*)0xfee00000;
enum { kSpurious = 0xf0 / 4, kEoi = 0xb0 / 4, kTimerLvt = 0x320 / 4, kTimerCount = 0x380 / 4, kDivide = 0x3e0 / 4 };
enum { kTimerVector = 0x40, kTscMsr = 0x10, kTscAuxMsr = 0xc0000103, kAux = 0x12345678 };

static volatile u64 ticks, traps, last, last_in_handler, backwards;

static u64 rdtsc(void) {
  u64 low, high;
  asm volatile(RDTSC : "=a"(low), "=d"(high));
  return high << 32 | low;
}
static u64 rdtscp(void) {
  u64 low, high, aux;
  asm volatile(RDTSCP : "=a"(low), "=d"(high), "=c"(aux));
  if (aux != kAux) ++failures;
  return high << 32 | low;
}
static void note(u64 now) {
  if (now < last) ++backwards;
  last = now;
}
// The code that was interrupted may have read the time, and not noted it yet.
static void note_in_handler(u64 now) {
  if (now < last || now < last_in_handler) ++backwards;
  last_in_handler = now;
}

static void on_interrupt(u64* frame) {
  (void)frame;
  if (trap.vector == kTimerVector) {
    ++ticks;
    note_in_handler(rdtsc());
    note_in_handler(rdtscp());
    apic[kEoi] = 0;
  } else if (trap.vector == DB) {
    ++traps;
    WRITE_DR(6, 0xffff0ff0);
  }
}

// The registers that are written, and those that are not.
static void test_registers(void) {
  u64 rax = ~0ull, rdx = ~0ull, rcx = ~0ull, rbx = 0x1122334455667788, flags;
  asm volatile("pushfq\n orq $0x8d5, (%%rsp)\n popfq\n" RDTSC "pushfq\n pop %4\n cld"
               : "+a"(rax), "+d"(rdx), "+c"(rcx), "+b"(rbx), "=r"(flags) : : "cc", "memory");
  check("rdtsc: upper half of RAX", rax >> 32, 0);
  check("rdtsc: upper half of RDX", rdx >> 32, 0);
  check("rdtsc: RCX", rcx, ~0ull);
  check("rdtsc: RBX", rbx, 0x1122334455667788);
  check("rdtsc: flags", flags & 0x8d5, 0x8d5);
  rax = rdx = rcx = ~0ull;
  asm volatile("pushfq\n andq $~0x8d5, (%%rsp)\n popfq\n" RDTSCP "pushfq\n pop %4"
               : "+a"(rax), "+d"(rdx), "+c"(rcx), "+b"(rbx), "=r"(flags) : : "cc", "memory");
  check("rdtscp: upper half of RAX", rax >> 32, 0);
  check("rdtscp: upper half of RDX", rdx >> 32, 0);
  check("rdtscp: RCX", rcx, kAux);
  check("rdtscp: flags", flags & 0x8d5, 0);
}

// What the CPU model hides is hidden, and the answer is that of the leaf.
static void test_cpuid(void) {
  u64 rax = 0xffffffff00000001, rbx = ~0ull, rcx = ~0ull << 32, rdx = ~0ull;
  asm volatile(CPUID : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
  check("cpuid: upper halves", (rax | rbx | rcx | rdx) >> 32, 0);
  check("cpuid: XSAVE, OSXSAVE, AVX, RDRAND", rcx & (1u << 26 | 1u << 27 | 1u << 28 | 1u << 30), 0);
  check("cpuid: FPU, TSC", rdx & 0x11, 0x11);
  rax = 0x80000008, rcx = 0;
  asm volatile("outb %%al, $0xe6" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
  check("another port", rax, 0x80000008);
}

// Nothing but the immediate form with AL or AX is a time stamp.
static void test_other_writes(void) {
  u64 rax = 0x5a5a5a5a5a5a5a5a, rdx = 0xe4, rcx = 2;
  static const u8 bytes[2] = {1, 2};
  const u8* from = bytes;
  asm volatile("outb %%al, %%dx\n outw %%ax, %%dx\n outl %%eax, %%dx\n outl %%eax, $0xe4\n rep outsb" : "+a"(rax), "+d"(rdx), "+c"(rcx), "+S"(from) : : "memory");
  check("other writes: RAX", rax, 0x5a5a5a5a5a5a5a5a);
  check("other writes: RDX", rdx, 0xe4);
  check("other writes: RCX", rcx, 0);
  check("other writes: RSI", (u64)(from - bytes), 2);
}

static void test_loops(void) {
  apic[kSpurious] = 0x1ff;
  apic[kDivide] = 0xb;
  apic[kTimerLvt] = 0x20000 | kTimerVector;
  apic[kTimerCount] = 1500000;
  asm volatile("sti" : : : "memory");
  u64 work = 1;
  for (unsigned round = 0; round < 400 || ticks < 4; ++round) {
    note(rdtsc());
    for (unsigned i = 0; i < 50; ++i) work = work * 3 + 1;
    note(rdtscp());
    // No events for a while: on KVM the interrupt comes out of nowhere.
    if (round % 128 == 127) {
      for (const u64 before = ticks; ticks == before;) work = work * 5 + 1;
    }
  }
  asm volatile("cli" : : : "memory");
  apic[kTimerLvt] = 0x10000;
  check("time went backwards", backwards, 0);
}

static void test_single_steps(void) {
  u64 low, high;
  asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n" RDTSC "pushfq\n andq $~0x100, (%%rsp)\n popfq\n" : "=a"(low), "=d"(high) : : "cc", "memory");
  note(high << 32 | low);
  check("single steps", traps, 5);
  check("time went backwards", backwards, 0);
}

static void test_moved(void) {
  const u64 begin = 0x1122334400000000;
  wrmsr(kTscMsr, begin);
  const u64 now = rdtsc();
  check("moved TSC", now >= begin && now - begin < 60000000000, 1);
  check("moved TSC, RDTSCP", rdtscp() >= now, 1);
}

void main(void) {
  set_up_tables();
  trap_hook = on_interrupt;
  wrmsr(kTscAuxMsr, kAux);
  test_registers();
  test_cpuid();
  test_other_writes();
  test_loops();
  test_single_steps();
  test_moved();
  finish();
}
