// A small preemptive kernel: tasks at CPL 3 that sort, hash, compute with SSE and x87, move strings, change their own code and touch memory
// that is mapped on demand, switched by a periodic timer. What they print does not depend on when they were interrupted.
#include "tests/guests/guest64.h"

#ifndef ROUNDS
#define ROUNDS 8
#endif
enum { kTasks = 6, kTimerVector = 0x40, kKernelStack = 8192, kRounds = ROUNDS };
enum { kHeap = 0x40000000, kHeapPages = 256 };

static volatile u32* const apic = (volatile u32*)0xfee00000;

struct task {
  u8 fx[512] __attribute__((aligned(16)));
  u8 kernel_stack[kKernelStack] __attribute__((aligned(16)));
  u8 user_stack[kKernelStack] __attribute__((aligned(16)));
  u64 rsp;
  u64 result;
  volatile int done;
};
static struct task tasks[kTasks] __attribute__((aligned(16)));
static unsigned current;
static volatile u64 switches, faults, pulses;

// --- The kernel

void switch_stacks(u64* save, u64 load);
void enter_task(void);
asm(".globl switch_stacks\nswitch_stacks:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
    ".globl enter_task\nenter_task: iretq\n");

// What a processor of another make would have written otherwise is left out: the last x87 instruction's pointers, and MXCSR_MASK
// (docs/kvm.md).
static void save_fp(struct task* t) {
  asm volatile("fxsave64 %0" : "=m"(t->fx));
  for (unsigned i = 6; i < 24; ++i) t->fx[i] = 0;
  for (unsigned i = 28; i < 32; ++i) t->fx[i] = 0;
}

static void schedule(void) {
  const unsigned from = current;
  for (unsigned i = 1; i <= kTasks; ++i) {
    const unsigned to = (from + i) % kTasks;
    if (tasks[to].done) continue;
    if (to == from) return;
    current = to;
    ++switches;
    save_fp(&tasks[from]);
    asm volatile("fxrstor64 %0" : : "m"(tasks[to].fx));
    *(u64*)(tss + 4) = (u64)tasks[to].kernel_stack + kKernelStack;
    switch_stacks(&tasks[from].rsp, tasks[to].rsp);
    return;
  }
}

static u64 heap_table[512] __attribute__((aligned(4096))), heap_directory[512] __attribute__((aligned(4096)));
static u8 heap_pool[kHeapPages][4096] __attribute__((aligned(4096)));
static unsigned pool_used;

static void task_is_done(u64 result);

static void on_trap(u64* frame) {
  if (trap.vector == BP) {  // a call of a task: RDI is as the entry pushed it
    const u64 argument = frame[-7];
    pulses += apic[0x390 / 4] != 1;
    if (argument) task_is_done(argument);
    return;
  }
  if (trap.vector == kTimerVector) {
    apic[0xb0 / 4] = 0;
    schedule();
    return;
  }
  if (trap.vector == PF && trap.cr2 >= kHeap && trap.cr2 < kHeap + kHeapPages * 4096 && pool_used < kHeapPages) {
    heap_table[trap.cr2 >> 12 & 511] = (u64)heap_pool[pool_used++] | 7;
    ++faults;
    return;
  }
  fail_at_trap();
}

static void task_is_done(u64 result) {
  tasks[current].result = result;
  tasks[current].done = 1;
  for (unsigned i = 0; i < kTasks; ++i) {
    if (!tasks[i].done) schedule();
  }
  apic[0x320 / 4] = 0x10000;
  for (unsigned i = 0; i < kTasks; ++i) {
    put("task ");
    put_hex(i);
    put(" ");
    put_hex(tasks[i].result);
    put("\n");
  }
  check("pages on demand", faults, 64);
  check("preempted", switches > kTasks, 1);
  check("pulses", pulses > 100, 1);
  finish();
}

// --- The tasks

// INT3, because some hosts' KVM does not do SYSCALL and INT n (docs/kvm.md).
static void call_kernel(u64 argument) { asm volatile("int3" : : "D"(argument) : "memory"); }
// Touches a device: somewhere in between, time passes on every engine.
static void pulse(void) { call_kernel(0); }
static void leave(u64 result) {
  for (;;) call_kernel(result);
}

static u64 next_random(u64* state) {
  *state = *state * 6364136223846793005 + 1442695040888963407;
  return *state >> 33;
}

static void task_sort(void) {
  u64* const a = (u64*)kHeap;
  const u64 n = 64 * 512;
  u64 seed = 1, sum = 0;
  for (unsigned round = 0; round < kRounds / 4; ++round) {
    for (u64 i = 0; i < n; ++i) a[i] = next_random(&seed);
    for (u64 gap = n / 2; gap; gap /= 2) {
      pulse();
      for (u64 i = gap; i < n; ++i) {
        const u64 v = a[i];
        u64 j = i;
        for (; j >= gap && a[j - gap] > v; j -= gap) a[j] = a[j - gap];
        a[j] = v;
      }
    }
    for (u64 i = 1; i < n; ++i) sum += (a[i] >= a[i - 1]) * i ^ a[i];
  }
  leave(sum);
}

#ifdef OPEN_FLAGS
// Nearly all the time some flag is one that the architecture leaves open.
static u64 open_flags(u64 x) {
  u64 scratch;
#define QUIET " lea 3(%0,%0), %0\n mov %0, %1\n lea -9(%1), %0\n not %0\n"
  asm volatile(
      "xor %%edx, %%edx\n mov $7, %%ecx\n mov %0, %%rax\n div %%rcx\n lea (%%rax,%%rdx), %0\n" QUIET
      "imul %%rcx, %0\n" QUIET "shl $5, %0\n" QUIET "ror $9, %0\n" QUIET "bsf %0, %%rdx\n lea (%%rdx,%0), %0\n" QUIET
      "bt %%rcx, %0\n" QUIET "shrd $13, %%rcx, %0\n" QUIET "sar $3, %0\n" QUIET "mov %0, %%rax\n cqo\n idiv %%rcx\n xor %%rdx, %0\n"
      : "+r"(x), "=&r"(scratch) : : "rax", "rcx", "rdx", "cc");
  return x;
}
#endif

static void task_hash(void) {
  u64 hash = 14695981039346656037u;
#ifdef PLANTED_RDTSC  // kvm_rdtsc.c
  asm volatile("rdtsc" : : : "rax", "rdx");
#endif
#ifdef PLANTED_RDRAND  // kvm_rdrand.c
  asm volatile("rdrand %%eax" : : : "rax", "cc");
#endif
  for (unsigned round = 0; round < kRounds * 50000; ++round) {
    hash = (hash ^ (round & 0xff)) * 1099511628211u;
#ifdef OPEN_FLAGS  // kvm_flags.c
    hash ^= open_flags(hash);
#endif
#ifdef PLANTED_RSQRT  // kvm_rsqrt.c
    u32 root = round + 3;
    asm volatile("cvtsi2ss %0, %%xmm0\n rsqrtss %%xmm0, %%xmm0\n movd %%xmm0, %0" : "+r"(root));
    hash ^= root;
#endif
#ifdef SYSTEM_CALLS  // kvm_calls.c
    if (round % 128 == 0) asm volatile("syscall" : : : "rcx", "r11", "memory");
#endif
    if (round % 4096 == 0) pulse();
  }
  leave(hash);
}

static void task_sse(void) {
  u64 bits = 0, n = kRounds * 40000;
  asm volatile(
      "mov $1, %%eax\n cvtsi2sd %%eax, %%xmm1\n mov $3, %%eax\n cvtsi2sd %%eax, %%xmm2\n xorpd %%xmm0, %%xmm0\n"
      "1: addsd %%xmm1, %%xmm0\n mulsd %%xmm2, %%xmm0\n sqrtsd %%xmm0, %%xmm0\n divsd %%xmm2, %%xmm0\n paddq %%xmm0, %%xmm5\n test $0xfff, %1\n jnz 2f\n xor %%edi, %%edi\n int3\n2: dec %1\n jnz 1b\n"
      "paddq %%xmm5, %%xmm0\n movq %%xmm0, %0"
      : "=r"(bits), "+r"(n) : : "rax", "rdi", "memory", "cc");
  leave(bits);
}

static void task_x87(void) {
  u64 n = kRounds * 20000;
  u64 store[2] = {0, 0};
  asm volatile(
      "fninit\n fldpi\n fld1\n fldz\n"
      "1: fadd %%st(1)\n fmul %%st(2)\n fsqrt\n test $0xfff, %0\n jnz 2f\n xor %%edi, %%edi\n int3\n2: dec %0\n jnz 1b\n"
      "fstpt %1\n fstp %%st(0)\n fstp %%st(0)"
      : "+r"(n), "=m"(store) : : "rdi", "memory", "cc");
  leave(store[0] ^ store[1]);
}

static u8 block_a[65536], block_b[65536];
static void task_strings(void) {
  u64 sum = 0;
  for (u64 i = 0; i < sizeof block_a; ++i) block_a[i] = (u8)(i * 7);
  for (unsigned round = 0; round < kRounds * 8; ++round) {
    void *to = block_b, *from = block_a;
    u64 n = sizeof block_a;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    from = block_a, to = block_b, n = sizeof block_a;
    asm volatile("repe cmpsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
    block_a[round] ^= (u8)round;
    pulse();
    sum = sum * 31 + block_b[(round * 977) & 0xffff] + n;
  }
  leave(sum);
}

// mov $imm32, %eax; ret, with the immediate changed before every call
static u8 own_code[16] __attribute__((aligned(16))) = {0xb8, 0, 0, 0, 0, 0xc3};
static void task_own_code(void) {
  u64 sum = 0;
  for (u32 i = 0; i < kRounds * 200; ++i) {
    *(volatile u32*)(own_code + 1) = i * 2654435761u;
    sum = sum * 3 + ((u32(*)(void))own_code)();
    if (i % 64 == 0) pulse();
  }
  leave(sum);
}

static void add_task(unsigned i, void (*code)(void)) {
  struct task* t = &tasks[i];
  u64* sp = (u64*)(t->kernel_stack + kKernelStack);
  *--sp = kUserData;
  *--sp = (u64)t->user_stack + kKernelStack - 8;  // as after a call
  *--sp = 0x202;
  *--sp = kUserCode64;
  *--sp = (u64)code;
  *--sp = (u64)enter_task;
  for (unsigned r = 0; r < 6; ++r) *--sp = 0;
  t->rsp = (u64)sp;
  save_fp(t);
}

#ifdef SYSTEM_CALLS
void system_call(void);
asm(".globl system_call\nsystem_call: incq system_calls(%rip)\n sysretq\n");
u64 system_calls;
#endif

void main(void) {
  set_up_tables();
#ifdef SYSTEM_CALLS
  wrmsr(0xc0000081, (u64)0x18 << 48 | (u64)kCode0 << 32);
  wrmsr(0xc0000082, (u64)system_call);
  wrmsr(0xc0000084, 0x200);
#endif
  trap_hook = on_trap;
  // Accessed from the start, as in every kernel's table: not every host's KVM sets the bit (docs/kvm.md).
  for (u64* d = gdt + 1; d <= gdt + kUserCode64 / 8; ++d) *d |= 1ull << 40;
  // No data segments of the kernel's: not every host's KVM takes them away on the way to CPL 3 (docs/kvm.md).
  asm volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%fs\n mov %0, %%gs" : : "r"(0));
  asm volatile("fninit");
  heap_directory[0] = (u64)heap_table | 7;
  pdpt[1] = (u64)heap_directory | 7;
  WRITE_CR(3, READ_CR(3));
  add_task(0, task_sort);
  add_task(1, task_hash);
  add_task(2, task_sse);
  add_task(3, task_x87);
  add_task(4, task_strings);
  add_task(5, task_own_code);
  apic[0xf0 / 4] = 0x1ff;
  apic[0x3e0 / 4] = 0xb;
  apic[0x320 / 4] = 0x20000 | kTimerVector;
  apic[0x380 / 4] = 5000000;  // long enough for a host on which kernel code is emulated
  *(u64*)(tss + 4) = (u64)tasks[0].kernel_stack + kKernelStack;
  u64 boot_rsp;
  switch_stacks(&boot_rsp, tasks[0].rsp);
}
