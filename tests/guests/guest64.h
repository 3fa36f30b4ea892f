// The 64-bit guests' view of entry64.asm: descriptors, the trap record, and the macros that try an instruction.
#pragma once

#include "tests/guests/report.h"

struct trap_record {
  u64 vector, error, rip, cs, rflags, rsp, ss, cr2, dr6, count, frame, handler_ss, handler_flags;
};
struct trap_record trap;
u64 recover_rip, recover_rsp;
void (*trap_hook)(u64* frame);

// Of an exception that nobody expected: says so and ends the run.
static inline void fail_at_trap(void) {
  put("FAIL unexpected exception ");
  put_hex(trap.vector);
  put(" at ");
  put_hex(trap.rip);
  put("\n");
  outl(0xf4, 1);
}

extern u64 gdt[], pml4[], pdpt[], pd0[];
extern u8 tss[], idt_stubs[], syscall_entry[], sysenter_entry[], gdt_end[];

enum {
  kCode0 = 0x08, kData0 = 0x10, kUserCode32 = 0x1b, kUserData = 0x23, kUserCode64 = 0x2b, kTss = 0x30, kCode32 = 0x40, kAbsentData = 0x48, kLdt = 0x50,
  kCallGate = 0x60, kConforming = 0x70, kAbsentCode = 0x78, kReadOnly = 0x80, kCodeLD = 0x88, kSmallCode32 = 0x90, kFreshData = 0x98
};
enum { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, NONE = 0xff };
enum { SYSCALLED = 0x100, SYSENTERED = 0x101 };

struct __attribute__((packed)) table_pointer {
  u16 limit;
  u64 base;
};
static u64 idt[512] __attribute__((aligned(4096)));

static u64 rdmsr(u32 index) {
  u32 low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
  return (u64)high << 32 | low;
}
static void wrmsr(u32 index, u64 value) { asm volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory"); }
#define READ_CR(n) ({ u64 v_; asm volatile("mov %%cr" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_CR(n, value) asm volatile("mov %0, %%cr" #n : : "r"((u64)(value)) : "memory")
#define READ_DR(n) ({ u64 v_; asm volatile("mov %%dr" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_DR(n, value) asm volatile("mov %0, %%dr" #n : : "r"((u64)(value)) : "memory")
static void invlpg(void* p) { asm volatile("invlpg (%0)" : : "r"(p) : "memory"); }

enum { kInterruptGate = 0x8e, kTrapGate = 0x8f, kUserGate = 0xee };
static void set_gate(unsigned vector, u64 target, unsigned selector, unsigned ist, unsigned access) {
  idt[2 * vector] = (target & 0xffff) | (u64)selector << 16 | (u64)ist << 32 | (u64)access << 40 | (target >> 16 & 0xffff) << 48;
  idt[2 * vector + 1] = target >> 32;
}
static void default_gate(unsigned vector) { set_gate(vector, (u64)idt_stubs + 16 * vector, kCode0, 0, vector == 0x80 || vector == BP || vector == OF ? kUserGate : kInterruptGate); }

static u8 stack0[8192] __attribute__((aligned(16))), ist_stack[8192] __attribute__((aligned(16))), user_stack[8192] __attribute__((aligned(16)));
static u64 stack_end(u8* stack) { return (u64)stack + 8192; }

static void set_system_descriptor(unsigned selector, u64 base, u32 limit, unsigned access) {
  u64* d = &gdt[selector / 8];
  d[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (base >> 24 & 0xff) << 56;
  d[1] = base >> 32;
}
static void set_call_gate(u64 target, unsigned selector, unsigned access) {
  gdt[kCallGate / 8] = (target & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (target >> 16 & 0xffff) << 48;
  gdt[kCallGate / 8 + 1] = target >> 32;
}

static void set_up_tables(void) {
  outb(0x21, 0xff);  // firmware may have left the timer running
  outb(0xa1, 0xff);
  for (unsigned v = 0; v < 256; ++v) default_gate(v);
  const struct table_pointer pointer = {sizeof idt - 1, (u64)idt};
  asm volatile("lidt %0" : : "m"(pointer));
  *(u64*)(tss + 4) = stack_end(stack0);
  *(u64*)(tss + 0x24) = stack_end(ist_stack);
  *(u16*)(tss + 0x66) = 0x68;
  for (unsigned i = 0; i < 32; ++i) tss[0x68 + i] = 0xff;
  tss[0x68 + 0x3f8 / 8] = 0xff;
  set_system_descriptor(kTss, (u64)tss, 0x68 + 0x2000, 0x89);
  for (unsigned i = 0; i <= 0x2000; ++i) tss[0x68 + (i & 0x3ff)] = 0xff;
  asm volatile("ltr %w0" : : "r"(kTss));
}

// Runs `code` at CPL 0; the value is the vector of the exception that ended it, or NONE. `code` may change RAX, RCX, RDX, RBP and R8-R11.
#define TRY(code, ...)                                                                                                       \
  ({                                                                                                                         \
    trap.vector = NONE;                                                                                                      \
    trap.error = 0xbad;                                                                                                      \
    asm volatile("lea 9f(%%rip), %%rax\n mov %%rax, recover_rip\n mov %%rsp, recover_rsp\n" code "\n9: movq $0, recover_rip" \
                 : : __VA_ARGS__ : "rax", "rcx", "rdx", "rbp", "r8", "r9", "r10", "r11", "memory", "cc");                                                                   \
    trap.vector;                                                                                                             \
  })

// The same in a ring-3 segment; int $0x80 ends it, so that a clean run gives 0x80. RAX, RCX, RDX, R8-R11 may be changed.
#define TRY_AT(cs, ss, flags, code, ...)                                                                                                    \
  ({                                                                                                                                        \
    trap.vector = NONE;                                                                                                                     \
    trap.error = 0xbad;                                                                                                                     \
    asm volatile("lea 9f(%%rip), %%rax\n mov %%rax, recover_rip\n mov %%rsp, recover_rsp\n push %[ss_]\n push %[sp_]\n push %[fl_]\n push %[cs_]\n" \
                 "lea 8f(%%rip), %%rax\n push %%rax\n iretq\n8:\n" code "\n int $0x80\n9: movq $0, recover_rip"                              \
                 : : [ss_] "r"((u64)(ss)), [sp_] "r"(stack_end(user_stack)), [fl_] "r"((u64)(flags)), [cs_] "r"((u64)(cs)), ##__VA_ARGS__    \
                 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");                                                          \
    trap.vector;                                                                                                                            \
  })
#define TRY_USER(code, ...) TRY_AT(kUserCode64, kUserData, 2, code, ##__VA_ARGS__)

#define EXPECT(name, want_vector, want_error, attempt) \
  do {                                                 \
    check(name, (attempt), (want_vector));             \
    check(name " error code", trap.error, (want_error)); \
  } while (0)
// For what TCG is known to get wrong.
#define EXPECT_STRICT(name, want_vector, want_error, attempt) \
  do {                                                        \
    if (!is_tcg()) EXPECT(name, want_vector, want_error, attempt); \
  } while (0)
