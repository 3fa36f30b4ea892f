// 32-bit protected mode: segment limits and types, gates, stack switches, task switches, virtual-8086 and real mode.
#include "tests/guests/report.h"

struct trap_record {
  u32 vector, error, eip, cs, eflags, esp, ss, cr2, frame, handler_ss, handler_flags, dr6, ds, v8086_es, v8086_ds;
};
struct trap_record trap;
u32 recover_eip, recover_esp;
void (*trap_hook)(u32* frame);
extern u64 gdt[];
extern u8 idt_stubs[], tss[], second_tss[], low_code[], low_code_end[], gate_entry[], low_gate16[], low_v8086[];
extern u32 gate_seen[];
void enter_real_mode(void);

enum {
  kCode = 0x08, kData = 0x10, kUserCode = 0x1b, kUserData = 0x23, kTss = 0x28, kSecondTss = 0x30, kCallGate = 0x38, kTaskGate = 0x40, kSmall = 0x48,
  kExpandDown = 0x50, kReadOnly = 0x58, kExecuteOnly = 0x60, kAbsent = 0x68, kConforming = 0x70, kLdt = 0x78, kExpandDown16 = 0x80, kSmallUserCode = 0x8b,
  kAbsentCode = 0x90, kUserData16 = 0x9b, kLevel1 = 0xa0
};
enum { DE = 0, DB = 1, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, AC = 17, NONE = 0xff };

static u64 idt[256] __attribute__((aligned(4096)));
static u8 stack0[4096] __attribute__((aligned(4096))), user_stack[4096] __attribute__((aligned(4096)));
#define STACK_END(s) ((u32)(s) + 4096)

struct __attribute__((packed)) table_pointer {
  u16 limit;
  u32 base;
};

static void set_gate(unsigned vector, u32 target, unsigned selector, unsigned access) {
  idt[vector] = (target & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (u64)(target >> 16) << 48;
}
static void default_gate(unsigned v) { set_gate(v, (u32)idt_stubs + 16 * v, kCode, v == 0x80 || v == BP || v == OF ? 0xee : 0x8e); }
static void set_descriptor(unsigned selector, u32 base, u32 limit, unsigned access) {
  gdt[selector / 8] = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}
static void set_call_gate(u32 target, unsigned selector, unsigned access, unsigned parameters) {
  gdt[kCallGate / 8] = (target & 0xffff) | (u64)selector << 16 | (u64)parameters << 32 | (u64)access << 40 | (u64)(target >> 16) << 48;
}
static u8 access_of(unsigned selector) { return (u8)(gdt[selector / 8] >> 40); }

struct tss32 {
  u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
  u16 trap, map;
};
#define TSS1 ((struct tss32*)tss)
#define TSS2 ((struct tss32*)second_tss)

static void set_up(void) {
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  for (unsigned v = 0; v < 256; ++v) default_gate(v);
  const struct table_pointer pointer = {sizeof idt - 1, (u32)idt};
  asm volatile("lidt %0" : : "m"(pointer));
  TSS1->ss0 = kData;
  TSS1->esp0 = STACK_END(stack0);
  TSS1->map = 0x68;
  for (unsigned i = 0x68; i < 0x68 + 0x2001; ++i) tss[i] = 0xff;
  set_descriptor(kTss, (u32)tss, 0x68 + 0x2000, 0x89);
  asm volatile("ltr %w0" : : "r"(kTss));
  for (u8 *from = low_code, *to = (u8*)0x8000; from < low_code_end;) *to++ = *from++;
}

static u32 low_address(void* p) { return 0x8000 + (u32)((u8*)p - low_code); }

#define TRY(code, ...)                                                                                                       \
  ({                                                                                                                         \
    trap.vector = NONE;                                                                                                      \
    trap.error = 0xbad;                                                                                                      \
    asm volatile("push %%ebp\n movl $9f, recover_eip\n movl %%esp, recover_esp\n" code "\n9: movl $0, recover_eip\n pop %%ebp" \
                 : : __VA_ARGS__ : "eax", "ebx", "ecx", "edx", "memory", "cc");                                                     \
    trap.vector;                                                                                                             \
  })
#define TRY_AT(cs, ss, flags, code, ...)                                                                                              \
  ({                                                                                                                                  \
    trap.vector = NONE;                                                                                                               \
    trap.error = 0xbad;                                                                                                               \
    asm volatile("push %%ebp\n movl $9f, recover_eip\n movl %%esp, recover_esp\n push %[ss_]\n push %[sp_]\n push %[fl_]\n push %[cs_]\n push $8f\n iret\n8:\n" \
                 code "\n int $0x80\n9: movl $0, recover_eip\n pop %%ebp\n mov $0x10, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es"       \
                 : : [ss_] "i"(ss), [sp_] "i"(user_stack + 4096), [fl_] "i"(flags), [cs_] "i"(cs), ##__VA_ARGS__                       \
                 : "eax", "ecx", "edx", "memory", "cc");                                                                              \
    trap.vector;                                                                                                                      \
  })
#define TRY_USER(code, ...) TRY_AT(kUserCode, kUserData, 2, "mov $0x23, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n" code, ##__VA_ARGS__)
#define EXPECT(name, want_vector, want_error, attempt)   \
  do {                                                   \
    check(name, (attempt), (want_vector));               \
    check(name " error code", trap.error, (want_error)); \
  } while (0)
#define EXPECT_STRICT(name, want_vector, want_error, attempt) \
  do {                                                        \
    if (!is_tcg()) EXPECT(name, want_vector, want_error, attempt); \
  } while (0)
#define OK(name, attempt) EXPECT(name, NONE, 0xbad, attempt)

// --- Limits and types: TCG does not check limits, so most of these are strict.

#define WITH_ES(selector, code) TRY("mov %0, %%eax\n mov %%eax, %%es\n" code "\n mov $0x10, %%eax\n mov %%eax, %%es", "i"(selector))

static void test_segments(void) {
  OK("within the limit", WITH_ES(kSmall, "mov %%es:0xfff, %%al"));
  EXPECT_STRICT("beyond the limit", GP, 0, WITH_ES(kSmall, "mov %%es:0x1000, %%al"));
  EXPECT_STRICT("across the limit", GP, 0, WITH_ES(kSmall, "mov %%es:0xffd, %%eax"));
  EXPECT_STRICT("across 4 GB", GP, 0, WITH_ES(kSmall, "mov %%es:0xffffffff, %%eax"));
  OK("expand-down, above", WITH_ES(kExpandDown, "mov %%es:0x1000, %%eax"));
  EXPECT_STRICT("expand-down, below", GP, 0, WITH_ES(kExpandDown, "mov %%es:0xfff, %%al"));
  OK("expand-down 16, inside", WITH_ES(kExpandDown16, "mov %%es:0xffff, %%al"));
  EXPECT_STRICT("expand-down 16, above", GP, 0, WITH_ES(kExpandDown16, "mov %%es:0x10000, %%al"));
  EXPECT_STRICT("write to read-only", GP, 0, WITH_ES(kReadOnly, "mov %%al, %%es:0x8000"));
  OK("read from code", WITH_ES(kCode, "mov %%es:0x8000, %%al"));
  EXPECT_STRICT("write to code", GP, 0, WITH_ES(kCode, "mov %%al, %%es:0x8000"));
  EXPECT("load execute-only", GP, kExecuteOnly, WITH_ES(kExecuteOnly, ""));
  EXPECT_STRICT("read from execute-only", GP, 0, TRY("ljmp $0x60, $1f\n1: mov %%cs:0x8000, %%al", "i"(0)));
  asm volatile("ljmp $0x08, $1f\n1:");
  EXPECT_STRICT("use of null", GP, 0, WITH_ES(0, "mov %%es:0, %%al"));
  EXPECT("absent", NP, kAbsent, WITH_ES(kAbsent, ""));
  EXPECT("absent ss", SS, kAbsent, TRY("mov %0, %%eax\n mov %%eax, %%ss", "i"(kAbsent)));
  EXPECT("null ss", GP, 0, TRY("xor %%eax, %%eax\n mov %%eax, %%ss", "i"(0)));
  EXPECT("ss of another level", GP, kLevel1, TRY("mov %0, %%eax\n mov %%eax, %%ss", "i"(kLevel1)));
  EXPECT("jump beyond the limit of a segment", GP, kSmallUserCode & ~3, TRY("ljmp $0x8b, $0", "i"(0)));
  EXPECT("les", NONE, 0xbad, TRY("pushl $0x10\n pushl $0x1234\n les (%%esp), %%ecx\n add $8, %%esp", "i"(0)));
  EXPECT("les of a bad selector", GP, 0x7ff8, TRY("pushl $0x7ff8\n pushl $0\n les (%%esp), %%ecx", "i"(0)));
  u32 value;
  u8 zf;
  asm volatile("mov $0x10, %%eax\n mov $3, %%ecx\n arpl %%cx, %%ax\n setz %1\n mov %%eax, %0" : "=r"(value), "=q"(zf) : : "eax", "ecx");
  check("arpl raises", value, 0x13);
  check("arpl zf", zf, 1);
  asm volatile("mov $0x13, %%eax\n mov $1, %%ecx\n arpl %%cx, %%ax\n setz %1\n mov %%eax, %0" : "=r"(value), "=q"(zf) : : "eax", "ecx");
  check("arpl keeps", value, 0x13);
  check("arpl zf", zf, 0);
  EXPECT("into", OF, 0, TRY("mov $0x7fffffff, %%eax\n inc %%eax\n into", "i"(0)));
  OK("into without overflow", TRY("xor %%eax, %%eax\n into", "i"(0)));
}

// --- Interrupts and privilege levels

static void test_interrupts(void) {
  EXPECT("user", 0x80, 0, TRY_USER("nop", "i"(0)));
  check("cs", trap.cs, kUserCode);
  check("ss", trap.ss, kUserData);
  check("esp", trap.esp, STACK_END(user_stack));
  check("frame", trap.frame, STACK_END(stack0) - 20);
  check("ss in the handler", trap.handler_ss, kData);
  check("ds is not touched", trap.ds & 0xffff, kUserData);
  EXPECT("int n without rights", GP, 0x42 * 8 + 2, TRY_USER("int $0x42", "i"(0)));
  EXPECT("cli", GP, 0, TRY_USER("cli", "i"(0)));
  EXPECT("in", GP, 0, TRY_USER("in $0x80, %%al", "i"(0)));
  tss[0x68 + 0x80 / 8] = 0xfc;
  EXPECT("in by the map", 0x80, 0, TRY_USER("in $0x80, %%al", "i"(0)));
  EXPECT("word in by the map", 0x80, 0, TRY_USER("in $0x80, %%ax", "i"(0)));
  EXPECT("dword in by the map", GP, 0, TRY_USER("in $0x80, %%eax", "i"(0)));
  tss[0x68 + 0x80 / 8] = 0xff;
  EXPECT_STRICT("user code beyond its limit", GP, 0, TRY("pushl $0x23\n pushl $0\n pushl $2\n pushl $0x8b\n pushl $0x1000\n iret", "i"(0)));
  EXPECT("user with 16-bit stack", 0x80, 0, TRY_AT(kUserCode, kUserData16, 2, "push %%eax\n pop %%eax", "i"(0)));

  // A 16-bit gate pushes words.
  set_gate(0x42, low_address(low_gate16), kCode, 0x86);
  EXPECT("16-bit gate", 0x41, 0, TRY("int $0x42", "i"(0)));
  check("pushed cs", gate_seen[0] >> 16, kCode);
  check("pushed flags", gate_seen[1] & 0xffff & ~0x8d5, 2);
  check("words", gate_seen[2], recover_esp - 6);
  default_gate(0x42);
}

// --- Call gates

static void test_call_gates(void) {
  set_call_gate((u32)gate_entry, kCode, 0xec, 2);
  EXPECT("call gate with parameters", 0x80, 0, TRY_USER("pushl $0x1111\n pushl $0x2222\n lcall $0x3b, $0", "i"(0)));
  check("inner esp", gate_seen[0], STACK_END(stack0) - 24);
  check("return eip is user code", gate_seen[1] != 0, 1);
  check("return cs", gate_seen[2], kUserCode);
  check("parameter", gate_seen[3], 0x2222);
  check("parameter", gate_seen[4], 0x1111);
  check("outer esp", gate_seen[5], STACK_END(user_stack) - 8);
  check("outer ss", gate_seen[6] & 0xffff, kUserData);
  check("cs in the gate", gate_seen[7] & 0xffff, kCode);
  check("ss in the gate", gate_seen[8] & 0xffff, kData);
  check("parameters removed", trap.esp, STACK_END(user_stack));
  set_call_gate((u32)gate_entry, kCode, 0x8c, 2);
  EXPECT("call gate without rights", GP, kCallGate, TRY_USER("lcall $0x3b, $0", "i"(0)));
  set_call_gate((u32)gate_entry, kCode, 0x6c, 2);
  EXPECT("absent call gate", NP, kCallGate, TRY_USER("lcall $0x3b, $0", "i"(0)));
  set_call_gate((u32)gate_entry, kAbsentCode, 0xec, 2);
  EXPECT("call gate to absent code", NP, kAbsentCode, TRY_USER("lcall $0x3b, $0", "i"(0)));
  set_call_gate((u32)gate_entry, kData, 0xec, 2);
  EXPECT("call gate to data", GP, kData, TRY_USER("lcall $0x3b, $0", "i"(0)));
  set_call_gate((u32)gate_entry, 0, 0xec, 2);
  EXPECT("call gate to null", GP, 0, TRY_USER("lcall $0x3b, $0", "i"(0)));
  set_call_gate((u32)gate_entry, kCode, 0xec, 0);
  EXPECT("jump through a gate to an inner level", GP, kCode, TRY_USER("ljmp $0x3b, $0", "i"(0)));
  EXPECT("far call to inner code", GP, kCode, TRY_USER("lcall $0x0b, $0", "i"(0)));
}

// --- Tasks

u32 task_runs;
static u8 task_stack[4096] __attribute__((aligned(16)));

static void prepare_task(void (*code)(void)) {
  struct tss32* t = TSS2;
  for (unsigned i = 0; i < sizeof *t; ++i) ((u8*)t)[i] = 0;
  t->eip = (u32)code;
  t->esp = STACK_END(task_stack);
  t->cs = kCode;
  t->ss = t->ds = t->es = kData;
  t->eflags = 2;
  asm volatile("mov %%cr3, %0" : "=r"(t->cr3));
  t->map = 0x68;
  set_descriptor(kSecondTss, (u32)t, 0x67, 0x89);
}

// Returns with IRET each time it is entered; NT is set by the switch.
extern void task_body(void);
asm("task_body:\n incl task_runs\n pushf\n pop task_flags\n str task_tr\n iret\n jmp task_body");
u32 task_flags;
u16 task_tr;
// Entered with an error code on its stack; repairs SS0, so that what failed succeeds when it is tried again.
extern void task_error_body(void);
asm("task_error_body:\n incl task_runs\n pop task_error\n movl $0x10, tss+8\n iret\n jmp task_error_body");
u32 task_error;

static void test_tasks(void) {
  prepare_task(task_body);
  OK("call to a task", TRY("lcall $0x30, $0", "i"(0)));
  check("it ran", task_runs, 1);
  check("NT in the task", task_flags, 0x4002);
  check("TR in the task", task_tr, kSecondTss);
  check("back link", TSS2->link & 0xffff, kTss);
  check("available again", access_of(kSecondTss), 0x89);
  check("first task busy", access_of(kTss), 0x8b);
  u32 tr = 0, cr0;
  asm volatile("str %0\n" : "=r"(tr));
  check("TR back", tr, kTss);
  asm volatile("mov %%cr0, %0" : "=r"(cr0));
  check("TS is set", cr0 >> 3 & 1, 1);
  asm volatile("clts");
  check("state saved by the return: eip follows iret", TSS2->eip > (u32)task_body, 1);
  check("NT not saved", TSS2->eflags & 0x4000, 0);
  EXPECT("registers survive a task", NONE, 0xbad, TRY("mov $0x12345678, %%ecx\n lcall $0x30, $0\n cmp $0x12345678, %%ecx\n je 1f\n ud2\n1:", "i"(0)));
  asm volatile("clts");
  prepare_task(task_body);
  gdt[kTaskGate / 8] = (u64)kSecondTss << 16 | 0x0000850000000000;
  OK("call through a task gate", TRY("lcall $0x40, $0", "i"(0)));
  check("it ran", task_runs, 3);
  idt[0x42] = (u64)kSecondTss << 16 | 0x0000850000000000;
  prepare_task(task_body);
  OK("interrupt through a task gate", TRY("int $0x42", "i"(0)));
  check("it ran", task_runs, 4);
  EXPECT("call to a busy task", GP, kTss, TRY("lcall $0x28, $0", "i"(0)));
  gdt[kSecondTss / 8] &= ~0x0000800000000000ull;
  EXPECT("call to an absent task", NP, kSecondTss, TRY("lcall $0x30, $0", "i"(0)));
  prepare_task(task_body);
  gdt[kSecondTss / 8] = (gdt[kSecondTss / 8] & ~0xffffull) | 0x66;
  EXPECT("too small a TSS", TS, kSecondTss, TRY("lcall $0x30, $0", "i"(0)));
  check("nothing happened", access_of(kSecondTss), 0x89);

  // Error codes are pushed on the new task's stack: a bad inner stack gives #TS, which is taken by a task.
  prepare_task(task_error_body);
  idt[TS] = idt[SS] = idt[GP] = (u64)kSecondTss << 16 | 0x0000850000000000;
  task_runs = 0;
  static const struct { u16 ss; u32 error; } cases[] = {{0, 0}, {kUserData, kUserData & ~3}, {kReadOnly, kReadOnly}, {kAbsent, kAbsent}, {0x7ff8, 0x7ff8}};
  for (unsigned i = 0; i < 5; ++i) {
    prepare_task(task_error_body);
    task_error = 0xbad;
    TSS1->ss0 = cases[i].ss;
    TRY_USER("int $0x80", "i"(0));
    check("#TS error code in a task", task_error, cases[i].error);
  }
  default_gate(TS);
  default_gate(SS);
  default_gate(GP);
  default_gate(0x42);
  TSS1->ss0 = kData;
}

// --- Virtual-8086 mode: DS = 0x900, SS:SP = 0:0x7000, code at 0x800:low_v8086

#define TRY_V8086(flags)                                                                                                                          \
  TRY("pushl $0x0a00\n pushl $0x0b00\n pushl $0x900\n pushl $0x0c00\n pushl $0\n pushl $0x7000\n push %0\n pushl $0x800\n push %1\n iret",      \
      "i"(flags), "r"(low_address(low_v8086) - 0x8000))

static void test_v8086(void) {
  EXPECT("INT n with IOPL 0", GP, 0, TRY_V8086(0x20002));
  EXPECT("INT n with IOPL 3, gate of level 0", GP, 0x60 * 8 + 2, TRY_V8086(0x23002));
  set_gate(0x60, (u32)idt_stubs + 16 * 0x60, kCode, 0xee);
  EXPECT("INT n with IOPL 3", 0x60, 0, TRY_V8086(0x23002));
  check("VM in the image", trap.eflags, 0x23002);
  check("VM is off in the handler", trap.handler_flags >> 17 & 1, 0);
  check("cs", trap.v8086_ds == 0 ? 0 : 0x800, 0x800);
  check("pushed esp", trap.esp, 0x7000);
  check("pushed ss", trap.ss & 0xffff, 0);
  check("pushed es", trap.v8086_es & 0xffff, 0x0c00);
  check("pushed ds", trap.v8086_ds & 0xffff, 0x900);
  check("ds in the handler", trap.ds & 0xffff, 0);
  check("frame", trap.frame, STACK_END(stack0) - 36);
  check("eip", trap.eip, low_address(low_v8086) - 0x8000 + 12);
  check("written through ds", *(u8*)(0x9000 + 0x900 + 0x40), 0x77);
  asm volatile("mov $0x10, %%eax\n mov %%eax, %%fs\n mov %%eax, %%gs" : : : "eax");
  default_gate(0x60);
}

// --- Real mode and back

static void test_real_mode(void) {
  enter_real_mode();
  const struct table_pointer pointer = {sizeof idt - 1, (u32)idt};
  asm volatile("lidt %0" : : "m"(pointer));
  const volatile u16* result = (volatile u16*)0x7e00;
  check("sp in the handler", result[0], 0x7c00 - 6);
  check("IF in the image", result[1] >> 9 & 1, 1);
  check("IF in the handler", result[2] >> 9 & 1, 0);
  check("divide errors", ((volatile u8*)result)[8], 1);
  check("undefined opcodes", ((volatile u8*)result)[9], 2);
  if (!is_tcg()) check("limit violations", ((volatile u8*)result)[10], 1);
  check("above 1 MB", *(volatile u8*)0x100000, 0x5a);
}

// --- 32-bit paging

static u32 page_directory[1024] __attribute__((aligned(4096))), page_table[1024] __attribute__((aligned(4096)));
static u64 pae_pointers[4] __attribute__((aligned(32))), pae_directory[4][512] __attribute__((aligned(4096))), pae_table[512] __attribute__((aligned(4096)));
static u8 frame_page[4096] __attribute__((aligned(4096)));
#define kWindow 0x40000000u
static void set_cr3(u32 value) { asm volatile("mov %0, %%cr3" : : "r"(value) : "memory"); }
static u32 cr4(void) {
  u32 v;
  asm volatile("mov %%cr4, %0" : "=r"(v));
  return v;
}
static void set_cr4(u32 v) { asm volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static u32 cr0(void) {
  u32 v;
  asm volatile("mov %%cr0, %0" : "=r"(v));
  return v;
}
static void set_cr0(u32 v) { asm volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
#define READ_WINDOW TRY("mov %0, %%ecx\n mov (%%ecx), %%al", "i"(kWindow))
#define WRITE_WINDOW TRY("mov %0, %%ecx\n mov %%al, (%%ecx)", "i"(kWindow))
#define USER_READ_WINDOW TRY_USER("mov %[w_], %%ecx\n mov (%%ecx), %%al", [w_] "i"(kWindow))

static void test_two_level_paging(void) {
  set_cr4(cr4() | 0x10);  // PSE
  for (unsigned i = 0; i < 1024; ++i) page_directory[i] = i << 22 | 0x87;
  page_directory[kWindow >> 22] = (u32)page_table | 7;
  set_cr3((u32)page_directory);
  set_cr0(cr0() | 0x80010000);
  EXPECT("absent", PF, 0, READ_WINDOW);
  check("cr2", trap.cr2, kWindow);
  EXPECT("absent, user", PF, 4, USER_READ_WINDOW);
  page_table[0] = (u32)frame_page | 3;
  OK("present", READ_WINDOW);
  check("accessed", page_table[0] & 0xfff, 0x23);
  check("accessed directory", page_directory[kWindow >> 22] & 0xfff, 0x27);
  OK("write", WRITE_WINDOW);
  check("dirty", page_table[0] & 0xfff, 0x63);
  EXPECT("user reads a supervisor page", PF, 5, USER_READ_WINDOW);
  page_table[0] = (u32)frame_page | 5;
  set_cr3((u32)page_directory);
  EXPECT("write to read-only", PF, 3, WRITE_WINDOW);
  EXPECT("user read", 0x80, 0, USER_READ_WINDOW);
  page_directory[2] = ((u32)frame_page & 0xffc00000) | 0x87;
  frame_page[1] = 0x42;
  check("4 MB page", *(volatile u8*)((2u << 22) + ((u32)frame_page & 0x3fffff) + 1), 0x42);
  check("4 MB page accessed", page_directory[2] & 0xfff, 0xa7);
  // PSE-36: bits 39:32 of the address in bits 20:13; bit 21 is reserved.
  page_directory[3] = 0x200087;
  EXPECT_STRICT("reserved bit of a 4 MB page", PF, 9, TRY("mov 0xc00000, %%al", "i"(0)));
  set_cr0(cr0() & ~0x80000000u);
}

static void test_pae_paging(void) {
  for (unsigned i = 0; i < 4; ++i) {
    pae_pointers[i] = (u32)pae_directory[i] | 1;
    for (unsigned j = 0; j < 512; ++j) pae_directory[i][j] = (u64)(i * 512 + j) << 21 | 0x87;
  }
  pae_directory[1][0] = (u32)pae_table | 7;
  set_cr4(cr4() | 0x20);
  set_cr3((u32)pae_pointers);
  set_cr0(cr0() | 0x80010000);
  EXPECT("PAE absent", PF, 0, READ_WINDOW);
  pae_table[0] = (u32)frame_page | 3;
  OK("PAE present", READ_WINDOW);
  check("PAE accessed", pae_table[0] & 0xfff, 0x23);
  OK("PAE write", WRITE_WINDOW);
  check("PAE dirty", pae_table[0] & 0xfff, 0x63);
  EXPECT("PAE user reads a supervisor page", PF, 5, USER_READ_WINDOW);
  pae_table[0] |= 1ull << 63;
  set_cr3((u32)pae_pointers);
  EXPECT_STRICT("NX without EFER.NXE is reserved", PF, 9, READ_WINDOW);
  asm volatile("mov $0xc0000080, %%ecx\n rdmsr\n or $0x800, %%eax\n wrmsr" : : : "eax", "ecx", "edx");
  set_cr3((u32)pae_pointers);
  OK("NX page is readable", READ_WINDOW);
  EXPECT("NX page", PF, 0x11, TRY("mov %0, %%ecx\n call *%%ecx", "i"(kWindow)));
  pae_pointers[3] = 0x3;  // reserved bit 1
  EXPECT_STRICT("reserved bit of a PDPTE", GP, 0, TRY("mov %%cr3, %%eax\n mov %%eax, %%cr3", "i"(0)));
  pae_pointers[3] = 0;
  set_cr3((u32)pae_pointers);
  EXPECT("absent PDPTE", PF, 0, TRY("mov 0xc0000000, %%al", "i"(0)));
  set_cr0(cr0() & ~0x80000000u);
  set_cr4(cr4() & ~0x20u);
}

void main(void) {
  set_up();
  test_segments();
  test_interrupts();
  test_call_gates();
  test_tasks();
  test_v8086();
  test_real_mode();
  test_two_level_paging();
  test_pae_paging();
  finish();
}
