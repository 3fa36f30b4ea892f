// String I/O and device memory while a timer interrupts: every width and direction, across pages, into pages that are mapped on demand, and
// accesses of which one part is RAM and the other a device's. What is read may depend on the time; a recording knows it.
#include "tests/guests/guest64.h"

enum { kTimerVector = 0x40, kApic = 0xfee00000, kScratch = 0x3ff, kPmTimer = 0x608, kPitCounter = 0x40 };
enum { kRounds = 6 };
#define WINDOW 0x140000000ull  // five pages of our own: RAM, APIC, RAM, mapped on demand, RAM

static volatile u32* const apic = (volatile u32*)kApic;
static volatile u64 ticks, faults;
static u64 directory[512] __attribute__((aligned(4096))), table[512] __attribute__((aligned(4096)));
static u8 pages[4][4096] __attribute__((aligned(4096)));
static u64 hash = 14695981039346656037u;

static void mix(u64 value) { hash = (hash ^ value) * 1099511628211u; }

static void on_trap(u64* frame) {
  if (trap.vector == kTimerVector) {
    ++ticks;
    apic[0xb0 / 4] = 0;
    mix(frame[0]);  // where it was interrupted
    return;
  }
  if (trap.vector == PF && trap.cr2 >> 12 == (WINDOW >> 12) + 3 && !(table[3] & 1)) {
    table[3] = (u64)pages[2] | 3;
    ++faults;
    mix(trap.error);
    return;
  }
  fail_at_trap();
}

#define STRING(instruction, to, from, n, port) \
  ({                                           \
    void* to_ = (void*)(to);                   \
    const void* from_ = (const void*)(from);   \
    u64 n_ = (n);                              \
    asm volatile(instruction "\n cld" : "+D"(to_), "+S"(from_), "+c"(n_) : "d"(port), "a"(0x5a5a5a5a) : "memory", "cc"); \
    mix(n_);                                   \
    mix((u64)to_);                             \
    mix((u64)from_);                           \
  })

static void unmap_last(void) {
  table[3] = 0;
  invlpg((void*)(WINDOW + 0x3000));
}
static void mix_pages(void) {
  for (unsigned p = 0; p < 4; ++p)
    for (unsigned i = 0; i < 4096; i += 8) mix(*(u64*)(pages[p] + i));
}

static void ports(void) {
  u8* const ram = (u8*)WINDOW;
  STRING("rep outsb", 0, pages[0] + 100, 40, kScratch);
  STRING("std; rep outsb", 0, pages[0] + 100, 20, kScratch);
  STRING("rep outsw", 0, pages[0] + 4090, 9, kScratch);  // across a page
  STRING("rep outsl", 0, pages[0] + 8, 11, 0x80);
  STRING("addr32 rep outsb", 0, pages[0] + 1, 7, kScratch);
  STRING("outsb", 0, pages[0] + 1, 5, kScratch);
  STRING("rep insb", ram + 10, 0, 50, kScratch);
  STRING("rep insb", ram + 200, 0, 30, kPitCounter);
  STRING("rep insl", ram + 300, 0, 30, kPmTimer);
  STRING("std; rep insl", ram + 800, 0, 21, kPmTimer);
  STRING("rep insw", pages[0] + 4091, 0, 20, kPmTimer);
  STRING("addr32 rep insb", pages[1] + 9, 0, 3, kScratch);
  STRING("insl", ram, 0, 3, kPmTimer);
  STRING("rep insb", ram, 0, 0, kPmTimer);
  unmap_last();
  STRING("rep insl", ram + 0x3000 - 4096 + 4080, 0, 9, kPmTimer);  // runs from RAM into the page that is not there
  unmap_last();
  STRING("insl", ram + 0x3000 + 64, 0, 9, kPmTimer);  // begins there
}

static void device_memory(void) {
  u8* const ram = (u8*)WINDOW;
  u8* const device = ram + 4096;
  STRING("rep movsl", ram + 8, device, 300, 0);          // out of the APIC, byte offsets 0..1200
  STRING("rep movsb", ram + 2000, device + 0x20, 40, 0);
  STRING("std; rep movsl", ram + 3000, device + 0x390, 20, 0);
  STRING("rep movsq", ram + 1500, device + 0x80, 12, 0);
  STRING("rep movsl", device + 0x80, pages[3], 1, 0);    // the task priority: zero
  STRING("rep stosl", device + 0x3f0, 0, 4, 0);          // nothing is there
  STRING("rep lodsl", 0, device + 0x300, 25, 0);
  STRING("mov $0, %%eax\n repe scasl", device + 0x40, 0, 9, 0);
  STRING("repne cmpsl", device + 0x400, pages[3], 9, 0);
  unmap_last();
  STRING("rep movsl", ram + 0x3000, device + 0x20, 6, 0);
  // Across the pages: RAM below, the device; the device below, RAM.
  for (unsigned i = 1; i < 8; ++i) {
    mix(*(volatile u64*)(device - i));
    mix(*(volatile u64*)(device + 4096 - i));
    *(volatile u64*)(device - i) = ~hash & 0xff00ff00ff;  // what lands in the APIC's first bytes is ignored
    *(volatile u64*)(device + 4096 - i) = hash;
    mix(*(volatile u32*)(device + 0x2f + i));
    asm volatile("lock xaddl %0, %1" : "+r"(((u32*)pages[3])[1]), "+m"(*(volatile u32*)(device + 0x3e0)));
    asm volatile("addl $0, %0\n incl %0\n decl %0" : "+m"(*(volatile u32*)(device + 0x3e0)) : : "cc");
  }
  u64 pair[2];
  asm volatile("movups %1, %%xmm1\n movups %%xmm1, %0\n movups (%2), %%xmm2\n paddq %%xmm2, %%xmm1" : "=m"(pair) : "m"(*(u8*)(device + 0x20)), "r"(device - 5) : "memory");
  mix(pair[0]);
  mix(pair[1]);
  asm volatile("pushq %1\n popq %0" : "=m"(pair[0]) : "m"(*(u64*)(device + 0x30)) : "memory");
  mix(pair[0]);
}

void main(void) {
  set_up_tables();
  trap_hook = on_trap;
  pdpt[5] = (u64)directory | 3;
  directory[0] = (u64)table | 3;
  table[0] = (u64)pages[0] | 3;
  table[1] = kApic | 3;
  table[2] = (u64)pages[1] | 3;
  table[4] = (u64)pages[3] | 3;
  WRITE_CR(3, READ_CR(3));
  apic[0xf0 / 4] = 0x1ff;
  apic[0x3e0 / 4] = 0xb;
  apic[0x320 / 4] = 0x20000 | kTimerVector;
  apic[0x380 / 4] = 400000;
  asm volatile("sti");
  for (unsigned round = 0; round < kRounds; ++round) {
    for (unsigned i = 0; i < 4096; ++i) pages[3][i] = 0;
    ports();
    device_memory();
    mix_pages();
    apic[0x3e0 / 4] = 0xb;
    for (u64 before = ticks; ticks == before;) mix(1);
  }
  asm volatile("cli");
  check("pages on demand", faults, 3 * kRounds);
  check("interrupted", ticks >= kRounds, 1);
  put("hash ");
  put_hex(hash);
  put("\n");
  finish();
}
