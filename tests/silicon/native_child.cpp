// No libc, no thread-local storage and no instrumentation between entering and leaving a batch: FS and GS belong to the
// test cases then.
#include "tests/silicon/native_child.h"

#if defined(__x86_64__) && defined(__linux__)

#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace rondo::silicon {

// One page at a fixed address below 2 GB, so that the entry and exit code need no register to find it; far from
// everything that a case may reach by changing a few bits of a pointer.
#define RONDO_SILICON_CONTROL 0x6b3d2000
#define RONDO_SILICON_TEXT(x) RONDO_SILICON_TEXT_(x)
#define RONDO_SILICON_TEXT_(x) #x
struct Control {
  u64 host_rsp;       // +0
  u64 target;         // +8
  u64 exit;           // +16
  u64 fault_vector;   // +24
  u64 error_code;     // +32
  u64 fault_address;  // +40
  u64 rip;            // +48
  u64 rflags;         // +56
  u64 gpr[16];        // +64
  u64 reserved[40];
  FxImage fx;  // +512
};
static_assert(offsetof(Control, gpr) == 64 && offsetof(Control, fx) == 512);
static_assert(offsetof(TestCase, initial.gpr) == 0 && offsetof(Registers, rip) == 128 &&
              offsetof(Registers, rflags) == 136 && offsetof(Registers, fx) == 144);

// silicon_enter(case): loads everything and jumps to the test. It returns when the test reaches kExit (silicon_capture)
// or, after a fault, from the signal handler (silicon_leave). AMD's FXRSTOR loads the x87 pointers only while an
// exception is pending, so FNINIT clears them first. Flags are loaded last but for the registers, which MOV loads
// without touching them.
asm("  .set CONTROL, " RONDO_SILICON_TEXT(RONDO_SILICON_CONTROL) R"(
  .text
  .globl silicon_enter, silicon_capture, silicon_leave, silicon_signal
silicon_enter:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, CONTROL
  fninit
  fxrstor64 144(%rdi)
  movq 128(%rdi), %rax
  movq %rax, CONTROL + 0x08
  pushq 136(%rdi)
  popfq
  movq 0(%rdi), %rax
  movq 8(%rdi), %rcx
  movq 16(%rdi), %rdx
  movq 24(%rdi), %rbx
  movq 32(%rdi), %rsp
  movq 40(%rdi), %rbp
  movq 48(%rdi), %rsi
  movq 64(%rdi), %r8
  movq 72(%rdi), %r9
  movq 80(%rdi), %r10
  movq 88(%rdi), %r11
  movq 96(%rdi), %r12
  movq 104(%rdi), %r13
  movq 112(%rdi), %r14
  movq 120(%rdi), %r15
  movq 56(%rdi), %rdi
  jmpq *CONTROL + 0x08
silicon_capture:
  movq %rax, CONTROL + 0x40
  movq %rcx, CONTROL + 0x48
  movq %rdx, CONTROL + 0x50
  movq %rbx, CONTROL + 0x58
  movq %rsp, CONTROL + 0x60
  movq %rbp, CONTROL + 0x68
  movq %rsi, CONTROL + 0x70
  movq %rdi, CONTROL + 0x78
  movq %r8, CONTROL + 0x80
  movq %r9, CONTROL + 0x88
  movq %r10, CONTROL + 0x90
  movq %r11, CONTROL + 0x98
  movq %r12, CONTROL + 0xa0
  movq %r13, CONTROL + 0xa8
  movq %r14, CONTROL + 0xb0
  movq %r15, CONTROL + 0xb8
  movq CONTROL, %rsp
  pushfq
  popq CONTROL + 0x38
  pushq $2
  popfq
  fxsave64 CONTROL + 0x200
silicon_leave:
  movq CONTROL, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  retq
# The kernel leaves AC as it was, and C++ code is not free of misaligned accesses.
silicon_signal:
  pushq $2
  popfq
  jmp silicon_on_signal
)");
extern "C" {
void silicon_enter(const TestCase* test);
void silicon_capture();
void silicon_leave();
void silicon_signal(int, siginfo_t*, void*);
[[noreturn]] void silicon_on_signal(int signal, siginfo_t* info, void* context);
}

namespace {

Control& control() { return *reinterpret_cast<Control*>(u64{RONDO_SILICON_CONTROL}); }
u8* fixed(u64 address) { return reinterpret_cast<u8*>(address); }

long raw_syscall(long number, long a, long b, long c) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

constexpr int kRegisterOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

void copy_changes(const Batch& batch, Outcome& out) {
  out.change_count = 0;
  out.change_hash = 0;
  for (unsigned page = 0; page < kDataPages.size(); ++page)
    if (kDataPages[page] == PageKind::writable)
      collect_changes(fixed(kDataBase + page * kPageSize), batch.data.data() + page * kPageSize,
                      kDataBase + page * kPageSize, out);
}

// `writable` is an alias of the whole data area.
void run_case(const Batch& batch, const TestCase& test, Outcome& out, u8* writable) {
  for (unsigned i = 0; i < test.patch_count; ++i) {
    const Patch& patch = test.patches[i];
    for (unsigned k = 0; k < patch.length; ++k)
      writable[patch.address - kDataBase + k] = test.patch_bytes[patch.offset + k];
  }
  control().fault_vector = kNoFault;
  control().error_code = 0;
  control().fault_address = 0;
  control().rip = kExit;
  silicon_enter(&test);
  const Control& end = control();
  for (unsigned i = 0; i < 16; ++i) out.final.gpr[i] = end.gpr[i];
  out.final.rip = end.rip;
  out.final.rflags = end.rflags;
  __builtin_memcpy(&out.final.fx, &end.fx, sizeof out.final.fx);
  out.vector = static_cast<u32>(end.fault_vector);
  out.error_code = static_cast<u32>(end.error_code);
  constexpr u32 kPageFault = 14;
  out.fault_address = out.vector == kPageFault ? end.fault_address : 0;
  copy_changes(batch, out);
  for (unsigned i = 0; i < test.patch_count; ++i) {  // read-only pages are not covered by copy_changes
    const Patch& patch = test.patches[i];
    for (unsigned k = 0; k < patch.length; ++k)
      writable[patch.address - kDataBase + k] = batch.data[patch.address - kDataBase + k];
  }
  out.ran = 1;
}

// The error code of a page fault tells whether a page-table entry was there, and the kernel makes them on first use.
void touch_pages() {
  const auto touch = [](u64 address) { (void)*reinterpret_cast<const volatile u8*>(address); };
  for (u64 at = 0; at < kCodeBytes; at += kPageSize) touch(kCodeBase + at);
  for (unsigned page = 0; page < kDataPages.size(); ++page)
    if (kDataPages[page] != PageKind::hole) touch(kDataBase + page * kPageSize);
}

void run_batch(Batch& batch, u8* writable) {
  touch_pages();
  unsigned long fs = 0;
  raw_syscall(SYS_arch_prctl, ARCH_GET_FS, reinterpret_cast<long>(&fs), 0);
  raw_syscall(SYS_arch_prctl, ARCH_SET_FS, static_cast<long>(kFsBase), 0);
  raw_syscall(SYS_arch_prctl, ARCH_SET_GS, static_cast<long>(kGsBase), 0);
  for (u32 i = batch.current; i < batch.case_count; ++i) {
    __atomic_store_n(&batch.current, i, __ATOMIC_RELAXED);
    run_case(batch, batch.cases[i], batch.outcomes[i], writable);
  }
  __atomic_store_n(&batch.current, batch.case_count, __ATOMIC_RELAXED);
  const FxImage clean;
  asm volatile("fxrstor64 %0" ::"m"(clean));
  raw_syscall(SYS_arch_prctl, ARCH_SET_FS, static_cast<long>(fs), 0);
}

bool map(u64 address, u64 length, int protection, int file, off_t offset) {
  const int kind = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  return mmap(fixed(address), length, protection, kind | MAP_FIXED_NOREPLACE, file, offset) == fixed(address);
}

bool map_everything(int code_file, int data_file) {
  if (!map(kCodeBase, kCodeBytes, PROT_READ | PROT_EXEC, code_file, 0)) return false;
  for (unsigned page = 0; page < kDataPages.size(); ++page) {
    if (kDataPages[page] == PageKind::hole) continue;
    const int protection = kDataPages[page] == PageKind::writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const u64 offset = page * kPageSize;
    if (!map(kDataBase + offset, kPageSize, protection, data_file, static_cast<off_t>(offset))) return false;
  }
  if (!map(RONDO_SILICON_CONTROL, kPageSize, PROT_READ | PROT_WRITE, -1, 0)) return false;
  control().exit = reinterpret_cast<u64>(&silicon_capture);
  // kExit: jmp *[control + 16]
  if (!map(kExit, kPageSize, PROT_READ | PROT_WRITE, -1, 0)) return false;
  const u32 slot = RONDO_SILICON_CONTROL + offsetof(Control, exit);
  const u8 jump[] = {0xff,
                     0x24,
                     0x25,
                     static_cast<u8>(slot),
                     static_cast<u8>(slot >> 8),
                     static_cast<u8>(slot >> 16),
                     static_cast<u8>(slot >> 24)};
  __builtin_memcpy(fixed(kExit), jump, sizeof jump);
  return mprotect(fixed(kExit), kPageSize, PROT_READ | PROT_EXEC) == 0;
}

bool catch_signals() {
  constexpr u64 kStackBytes = 64 * 1024;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return false;
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = kStackBytes;
  if (sigaltstack(&alternate, nullptr) != 0) return false;
  struct sigaction action {};
  action.sa_sigaction = &silicon_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // the handler jumps out: nothing may stay blocked
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP})
    if (sigaction(signal, &action, nullptr) != 0) return false;
  return true;
}

// From here on only what serving batches needs: a test that goes astray must not reach the system.
bool confine() {
  const auto allow = [](unsigned number, sock_filter* out) {
    out[0] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    out[1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  };
  sock_filter filter[15] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  unsigned at = 4;
  for (const unsigned number : {SYS_read, SYS_write, SYS_arch_prctl, SYS_rt_sigreturn, SYS_exit_group}) {
    allow(number, filter + at);
    at += 2;
  }
  filter[at++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const sock_fprog program{static_cast<unsigned short>(at), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

extern "C" void silicon_on_signal(int, siginfo_t*, void* context) {
  const mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  Control& out = control();
  for (unsigned i = 0; i < 16; ++i) out.gpr[i] = static_cast<u64>(machine.gregs[kRegisterOrder[i]]);
  out.rip = static_cast<u64>(machine.gregs[REG_RIP]);
  out.rflags = static_cast<u64>(machine.gregs[REG_EFL]);
  out.fault_vector = static_cast<u64>(machine.gregs[REG_TRAPNO]);
  out.error_code = static_cast<u64>(machine.gregs[REG_ERR]);
  out.fault_address = static_cast<u64>(machine.gregs[REG_CR2]);
  __builtin_memcpy(static_cast<void*>(&out.fx), machine.fpregs, sizeof out.fx);
  asm volatile("jmp silicon_leave");
  __builtin_unreachable();
}

void native_child(Batch& batch, int code_file, int data_file, int commands, int answers) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  void* alias = mmap(nullptr, kDataBytes, PROT_READ | PROT_WRITE, MAP_SHARED, data_file, 0);
  if (alias == MAP_FAILED || !map_everything(code_file, data_file) || !catch_signals() || !confine()) _exit(1);
  u8* writable = static_cast<u8*>(alias);
  char command = kChildReady;
  if (write(answers, &command, 1) != 1) _exit(1);
  while (read(commands, &command, 1) == 1) {
    __builtin_memcpy(writable, batch.data.data(), kDataBytes);
    run_batch(batch, writable);
    command = kChildDone;
    if (write(answers, &command, 1) != 1) break;
  }
  _exit(0);
}

}  // namespace rondo::silicon

#else

#include <cstdlib>

namespace rondo::silicon {
void native_child(Batch&, int, int, int, int) { std::abort(); }
}  // namespace rondo::silicon

#endif
