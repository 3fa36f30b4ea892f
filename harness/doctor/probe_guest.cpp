#include "harness/doctor/probe_guest.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/cpu/registers.h"
#include "core/kvm/cpuid_table.h"

namespace rondo::doctor {
namespace {

constexpr u64 kBytes = u64{2} << 20;
constexpr u64 kPml4 = 0x1000, kPdpt = 0x2000, kLowDirectory = 0x3000, kHighDirectory = 0x4000, kGdt = 0x5000,
              kTss = 0x5800, kIdt = 0x6000, kStubs = 0x7000, kKernelStack = 0x21000;
constexpr u16 kCode0 = ProbeGuest::kCode0, kData0 = 0x10, kUserData = 0x1b, kUserCode = 0x23, kTssSelector = 0x28;
constexpr u64 kUserWritablePresent = 7, kLargePage = 0x80;
constexpr unsigned kStubBytes = 16;

template <class T>
void put(std::span<u8> memory, u64 at, const T& value) {
  std::memcpy(memory.data() + at, &value, sizeof value);
}

kvm_segment code_segment(u16 selector, u8 dpl) {
  return {.base = 0,
          .limit = 0xffffffff,
          .selector = selector,
          .type = 0xb,
          .present = 1,
          .dpl = dpl,
          .db = 0,
          .s = 1,
          .l = 1,
          .g = 1,
          .avl = 0,
          .unusable = 0,
          .padding = 0};
}

kvm_segment data_segment(u16 selector, u8 dpl) {
  kvm_segment s = code_segment(selector, dpl);
  s.type = 3, s.db = 1, s.l = 0;
  return s;
}

}  // namespace

Result<std::unique_ptr<ProbeGuest>> ProbeGuest::create(const kvm::System& system, bool log_writes) {
  std::unique_ptr<ProbeGuest> guest(new ProbeGuest);
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error{"no memory for a probe guest"};
  guest->memory_ = {static_cast<u8*>(memory), kBytes};
  auto vm = system.create_vm();
  if (!vm) return vm.error();
  guest->vm_ = std::move(*vm);
  if (Status set = guest->vm_->set_memory(0, GuestPhys{0}, guest->memory_, log_writes); !set) return set.error();
  auto vcpu = guest->vm_->create_vcpu();
  if (!vcpu) return vcpu.error();
  guest->vcpu_ = std::move(*vcpu);
  if (Status set = guest->vcpu_->set_cpuid(kvm::cpuid_table()); !set) return set.error();
  auto kick = host::KickTimer::create(&guest->vcpu_->area().immediate_exit);
  if (!kick) return kick.error();
  guest->kick_.emplace(std::move(*kick));
  guest->build_tables();
  return guest;
}

ProbeGuest::~ProbeGuest() {
  kick_.reset();  // before the byte that it sets
  vcpu_.reset();
  vm_.reset();
  munmap(memory_.data(), memory_.size());
}

// Identity-mapped for both levels: 2 MB of memory, and 2 MB at kMmio where nothing is.
void ProbeGuest::build_tables() {
  put<u64>(memory_, kPml4, kPdpt | kUserWritablePresent);
  put<u64>(memory_, kPdpt, kLowDirectory | kUserWritablePresent);
  put<u64>(memory_, kPdpt + 8 * (kMmio >> 30), kHighDirectory | kUserWritablePresent);
  put<u64>(memory_, kLowDirectory, kUserWritablePresent | kLargePage);
  put<u64>(memory_, kHighDirectory + 8 * (kMmio >> 21 & 511), kMmio | kUserWritablePresent | kLargePage);
  put<u64>(memory_, kGdt + kCode0, 0x00af9b000000ffff);
  put<u64>(memory_, kGdt + kData0, 0x00cf93000000ffff);
  put<u64>(memory_, kGdt + (kUserData & ~7), 0x00cff3000000ffff);
  put<u64>(memory_, kGdt + (kUserCode & ~7), 0x00affb000000ffff);
  put<u64>(memory_, kTss + 4, kKernelStack);
  for (unsigned vector = 0; vector < 32; ++vector) {
    const u64 target = kStubs + kStubBytes * vector;
    put<u64>(memory_, kIdt + 16 * vector,
             (target & 0xffff) | u64{kCode0} << 16 | u64{0xee} << 40 | (target >> 16) << 48);
    put<u64>(memory_, kIdt + 16 * vector + 8, 0);
    // mov al, vector; out kExceptionPort, al; hlt
    const u8 stub[] = {0xb0, static_cast<u8>(vector), 0xe6, kExceptionPort, 0xf4};
    std::memcpy(memory_.data() + target, stub, sizeof stub);
  }
}

Status ProbeGuest::set_state(const Setup& setup, u64 rdi) {
  auto got = vcpu_->sregs();
  if (!got) return got.error();
  kvm_sregs sregs = *got;
  const bool user = setup.level == Level::user;
  sregs.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::PG;
  sregs.cr3 = kPml4;
  sregs.cr4 =
      cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT | (setup.trap_tsc ? cr4::TSD : 0) | (setup.xsave ? cr4::OSXSAVE : 0);
  sregs.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  sregs.cs = user ? code_segment(kUserCode, 3) : code_segment(kCode0, 0);
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = user ? data_segment(kUserData, 3) : data_segment(kData0, 0);
  sregs.tr = {.base = kTss,
              .limit = 0x67,
              .selector = kTssSelector,
              .type = 0xb,
              .present = 1,
              .dpl = 0,
              .db = 0,
              .s = 0,
              .l = 0,
              .g = 0,
              .avl = 0,
              .unusable = 0,
              .padding = 0};
  sregs.gdt = {.base = kGdt, .limit = 0x2f, .padding = {}};
  sregs.idt = {.base = kIdt, .limit = 32 * 16 - 1, .padding = {}};
  std::fill(std::begin(sregs.interrupt_bitmap), std::end(sregs.interrupt_bitmap), 0);
  if (Status set = vcpu_->set_sregs(sregs); !set) return set;
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rflags = flags::FIXED1 | flags::IOPL | setup.rflags;
  regs.rsp = user ? kUserStack : kKernelStack;
  regs.rax = setup.rax, regs.rcx = setup.rcx, regs.rbx = 1, regs.rsi = kData, regs.rdi = rdi,
  regs.rbp = kUserStack - 0x800;
  return vcpu_->set_regs(regs);
}

// The timeout is of the host's time, which passes on a busy host, and while this process is stopped, without us.
Outcome ProbeGuest::run(std::span<const u8> code, const Setup& setup, u64 rdi) {
  constexpr unsigned kTries = 5;
  Outcome outcome;
  for (unsigned i = 0; i < kTries; ++i) {
    outcome = run_once(code, setup, rdi);
    if (outcome.ending != Ending::kicked || setup.endless) break;
  }
  return outcome;
}

Outcome ProbeGuest::run_once(std::span<const u8> code, const Setup& setup, u64 rdi) {
  std::ranges::copy(code, memory_.data() + kCode);
  const u8 end[] = {0xe6, kEndPort, 0xf4};
  std::memcpy(memory_.data() + kCode + code.size(), end, sizeof end);
  // An event left over from a run that broke off must not reach this one.
  if (auto events = vcpu_->events()) {
    kvm_vcpu_events none = *events;
    none.exception.injected = none.exception.pending = none.interrupt.injected = none.nmi.injected = none.nmi.pending =
        0;
    none.interrupt.shadow = 0;
    none.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
    static_cast<void>(vcpu_->set_events(none));
  }
  if (Status set = set_state(setup, rdi); !set) {
    Outcome failed;
    failed.failure = set.error().message;
    return failed;
  }
  return resume(setup.timeout_ns);
}

Outcome ProbeGuest::resume(u64 timeout_ns) {
  port_exits_ = 0;
  kick_->arm(timeout_ns);
  Outcome outcome = loop(timeout_ns);
  kick_->disarm();
  vcpu_->area().immediate_exit = 0;
  if (auto regs = vcpu_->regs()) outcome.regs = *regs;
  return outcome;
}

Outcome ProbeGuest::loop(u64) {
  Outcome outcome;
  while (true) {
    const int result = vcpu_->run();
    kvm_run& run = vcpu_->area();
    if (result == -EINTR || result == -EAGAIN) {
      if (!run.immediate_exit) continue;
      outcome.ending = Ending::kicked;
      return outcome;
    }
    outcome.exit_reason = run.exit_reason;
    if (result < 0) {
      outcome.failure = kvm::refused("KVM_RUN", result).message;
      return outcome;
    }
    switch (run.exit_reason) {
      case KVM_EXIT_IO: {
        const u8* data = reinterpret_cast<const u8*>(&run) + run.io.data_offset;
        if (run.io.port == kLoopPort) {
          ++port_exits_;
          continue;
        }
        outcome.ending = run.io.port == kExceptionPort ? Ending::exception : Ending::finished;
        outcome.vector = *data;
        static_cast<void>(vcpu_->complete());
        return outcome;
      }
      case KVM_EXIT_MMIO:
        ++outcome.mmio_accesses;
        std::memset(run.mmio.data, 0x11, sizeof run.mmio.data);
        continue;
      case KVM_EXIT_INTERNAL_ERROR:
        outcome.ending = Ending::not_emulated;
        outcome.exit_reason = run.internal.suberror;
        return outcome;
      case KVM_EXIT_DEBUG:
        outcome.ending = Ending::debug;
        return outcome;
      case KVM_EXIT_IRQ_WINDOW_OPEN:
        outcome.ending = Ending::window;
        return outcome;
      case KVM_EXIT_X86_RDMSR:
      case KVM_EXIT_X86_WRMSR:
        run.msr.error = 0;
        run.msr.data = 0;
        outcome.ending = Ending::msr;
        static_cast<void>(vcpu_->complete());
        return outcome;
      default:
        return outcome;
    }
  }
}

}  // namespace rondo::doctor
