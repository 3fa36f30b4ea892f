// Ports, device memory and the interrupts of devices, as an operating system uses them: polled and interrupt-driven serial output, string
// I/O, MMIO of several sizes, timer interrupts into a loop without exits, nested interrupts. No corner cases: a guest for every engine.
#include "tests/guests/guest64.h"

static volatile u32* const apic = (volatile u32*)0xfee00000;
enum { kSpurious = 0xf0 / 4, kEoi = 0xb0 / 4, kTimerLvt = 0x320 / 4, kTimerCount = 0x380 / 4, kTimerNow = 0x390 / 4, kDivide = 0x3e0 / 4 };
enum { kTimerVector = 0x40, kLowVector = 0x38, kPicVector = 0x20 };

static volatile u64 ticks, low_ticks, nested, transmitted;
static const char* volatile text;

static void on_interrupt(u64* frame) {
  (void)frame;
  switch (trap.vector) {
    case kTimerVector:
      ++ticks;
      apic[kEoi] = 0;
      break;
    case kLowVector: {  // lets a timer interrupt in
      const u64 before = ticks;
      ++low_ticks;
      apic[kTimerCount] = 200000;
      asm volatile("sti" : : : "memory");
      while (ticks == before) asm volatile("pause");
      asm volatile("cli" : : : "memory");
      ++nested;
      apic[kEoi] = 0;
      break;
    }
    case kPicVector + 4:  // COM1: the transmitter is empty
      inb(0x3fa);
      if (text && *text) {
        outb(0x3f8, (u8)*text);
        ++text;
        ++transmitted;
      } else {
        outb(0x3f9, 0);
      }
      outb(0x20, 0x20);
      break;
    default:
      break;
  }
}

static void test_string_io(void) {
  static const char line[] = "string output\n";
  const char* from = line;
  u64 n = sizeof line - 1;
  asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(0x3f8) : "memory");
  check("rep outs count", n, 0);
  check("rep outs source", (u64)from, (u64)line + sizeof line - 1);
  u8 read[6];
  u8* to = read;
  n = sizeof read;
  asm volatile("cld; rep insb" : "+D"(to), "+c"(n) : "d"(0x3fd) : "memory");
  check("rep ins", read[0] & 0x60 & read[5], 0x60);
}

static void test_mmio(void) {
  apic[kSpurious] = 0x1ff;
  check("mmio read back", apic[kSpurious], 0x1ff);
  apic[kDivide] = 0xb;  // by 1
  asm volatile("orl $0x10000, %0" : "+m"(apic[kTimerLvt]));
  check("mmio read-modify-write", apic[kTimerLvt] >> 16 & 1, 1);
  u32 value = 0x00010041;
  asm volatile("xchg %0, %1" : "+r"(value), "+m"(apic[kTimerLvt]));
  check("mmio xchg", apic[kTimerLvt] & 0xff, 0x41);
  // Nothing is mapped at the end of the APIC's page: an access across its end reads what is there, and ones.
  const u64 crossing = *(volatile u64*)0xfee00ffc;
  check("mmio across a page", crossing >> 32, 0xffffffff);
}

static void test_timer(void) {
  apic[kTimerLvt] = kTimerVector;
  asm volatile("sti" : : : "memory");
  u64 work = 0;
  for (unsigned round = 0; round < 5; ++round) {
    const u64 before = ticks;
    apic[kTimerCount] = 300000;
    // No exits in here: on KVM the interrupt comes out of nowhere.
    while (ticks == before) work = work * 3 + 1;
  }
  asm volatile("cli" : : : "memory");
  check("timer interrupts", ticks, 5);
  // A periodic timer interrupting a halted CPU.
  apic[kTimerLvt] = 0x20000 | kTimerVector;
  apic[kTimerCount] = 2000000;  // long enough for a host on which kernel code is emulated
  while (ticks < 10) asm volatile("sti; hlt; cli" : : : "memory");
  apic[kTimerLvt] = 0x10000;
  apic[kTimerCount] = 0;
  check("periodic timer", ticks >= 10, 1);
}

static void test_nested(void) {
  ticks = 0;
  apic[kTimerLvt] = kTimerVector;
  asm volatile("sti" : : : "memory");
  for (unsigned i = 0; i < 3; ++i) {
    apic[0x310 / 4] = 0;
    apic[0x300 / 4] = 0x40000 | kLowVector;  // to itself
    while (low_ticks == i) asm volatile("pause");
  }
  asm volatile("cli" : : : "memory");
  check("nested interrupts", nested, 3);
}

static void test_serial_interrupts(void) {
  static const char line[] = "interrupt-driven output\n";
  outb(0x20, 0x11);  // the 8259s to vectors 0x20.., everything masked but IRQ 4
  outb(0x21, kPicVector);
  outb(0x21, 4);
  outb(0x21, 1);
  outb(0x21, 0xef);
  apic[0x350 / 4] = 0x700;  // LINT0: ExtINT
  text = line;
  outb(0x3fc, 0x0b);
  asm volatile("sti" : : : "memory");
  outb(0x3f9, 2);
  while (*text) asm volatile("pause");
  asm volatile("cli" : : : "memory");
  outb(0x3f9, 0);
  outb(0x21, 0xff);
  check("bytes by interrupt", transmitted, sizeof line - 1);
}

void main(void) {
  set_up_tables();
  asm volatile("lldt %w0" : : "r"(0));  // as every kernel does that has no LDT
  trap_hook = on_interrupt;
  put("polled output\n");
  test_string_io();
  test_mmio();
  test_timer();
  test_nested();
  test_serial_interrupts();
  finish();
}
