// Interrupts in every place: out of a halt into a handler that computes while others come, in shadows and windows, behind a raised task
// priority, NMIs among them. Where they come depends on the time; the hash over it is what a recording has to give again.
#include "tests/guests/guest64.h"

static volatile u32* const apic = (volatile u32*)0xfee00000;
enum { kEoi = 0xb0 / 4, kTpr = 0x80 / 4, kIcr = 0x300 / 4, kTimerLvt = 0x320 / 4, kTimerCount = 0x380 / 4, kDivide = 0x3e0 / 4 };
enum { kPit = 0x20, kWake = 0x38, kHigh = 0x60, kSelf = 0x70 };

static volatile u64 pit_ticks, wakes, highs, selfs, nmis, traps;
static u64 hash = 14695981039346656037u;
static void mix(u64 value) { hash = (hash ^ value) * 1099511628211u; }

static u64 work(u64 n) {
  u64 x = n;
  for (u64 i = 0; i < n; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

static void on_trap(u64* frame) {
  mix(trap.vector);
  mix(frame[0]);
  mix(frame[2]);
  switch (trap.vector) {
    case kPit:
      ++pit_ticks;
      outb(0x20, 0x20);
      break;
    case kWake: {  // lets others in, and ends itself only when two of them have come; no events in between
      const u64 before = pit_ticks;
      ++wakes;
      asm volatile("sti" : : : "memory");
      while (pit_ticks < before + 2) mix(work(50));
      asm volatile("cli" : : : "memory");
      apic[kEoi] = 0;
      break;
    }
    case kHigh:
      ++highs;
      mix(work(200));
      apic[kEoi] = 0;
      break;
    case kSelf:
      ++selfs;
      asm volatile("sti; nop; nop; cli" : : : "memory");
      apic[kEoi] = 0;
      break;
    case NMI:
      ++nmis;
      mix(work(100));
      break;
    case DB:
      ++traps;
      if (traps % 64 == 0) frame[2] &= ~0x100ull;
      break;
    default:
      fail_at_trap();
  }
}

static void set_pit(unsigned reload) {
  outb(0x43, 0x34);
  outb(0x40, (u8)reload);
  outb(0x40, (u8)(reload >> 8));
}
static void arm(unsigned vector, u32 ticks) {
  apic[kTimerLvt] = vector;
  apic[kTimerCount] = ticks;
}
static void send(u32 command) {
  apic[0x310 / 4] = 0;
  apic[kIcr] = command;
}

static void halts(void) {
  for (unsigned i = 0; i < 3; ++i) {
    const u64 before = wakes;
    arm(kWake, 3000 + 70000 * i);
    while (wakes == before) asm volatile("sti; hlt; cli" : : : "memory");
    mix(work(1000));
  }
}

// Interrupts that wait for a window: STI and MOV SS shadows, POPF, CLI, the task priority.
static void windows(void) {
  for (unsigned i = 0; i < 6; ++i) {
    const u64 before = highs;
    arm(kHigh, 20000);
    while (highs == before) {
      asm volatile("cli" : : : "memory");
      mix(work(30));
      asm volatile("sti\n mov %%ss, %%eax\n mov %%eax, %%ss\n nop\n cli\n pushfq\n orl $0x200, (%%rsp)\n popfq\n nop\n pushfq\n andl $~0x200, (%%rsp)\n popfq" : : : "rax", "memory", "cc");
    }
    asm volatile("mov %0, %%cr8\n sti" : : "r"(6ull) : "memory");
    arm(kHigh, 1000);
    send(0x4000 | kSelf);
    mix(work(20000 + 977 * i));
    asm volatile("mov %0, %%cr8\n nop" : : "r"(0ull) : "memory");
    asm volatile("cli" : : : "memory");
  }
  for (u64 before = highs; highs < before + 1;) {
    arm(kHigh, 3000);
    asm volatile("sti; hlt; cli" : : : "memory");
  }
}

static void nmis_and_steps(void) {
  for (unsigned i = 0; i < 5; ++i) {
    arm(kHigh, 5000);
    asm volatile("sti" : : : "memory");
    send(0x4400);  // an NMI to itself
    const u64 before = traps;
    asm volatile("pushfq\n orl $0x100, (%%rsp)\n popfq" : : : "memory", "cc");
    while (traps < before + 64 - before % 64) mix(traps);
    const u64 seen = highs;
    arm(kHigh, 5000);
    while (highs == seen && i % 2) mix(1);
    asm volatile("cli" : : : "memory");
  }
}

void main(void) {
  set_up_tables();
  trap_hook = on_trap;
  outb(0x20, 0x11);
  outb(0x21, kPit);
  outb(0x21, 4);
  outb(0x21, 1);
  outb(0x21, 0xfe);
  apic[0x350 / 4] = 0x700;  // LINT0: ExtINT
  apic[0xf0 / 4] = 0x1ff;
  apic[kDivide] = 0xb;
  set_pit(3000);  // 2.5 ms, long enough for a host on which kernel code is emulated
  halts();
  windows();
  nmis_and_steps();
  check("wakes", wakes, 3);
  check("NMIs", nmis, 5);
  check("to itself", selfs, 6);
  check("ticks", pit_ticks >= 6, 1);
  put("hash ");
  put_hex(hash);
  put("\n");
  finish();
}
