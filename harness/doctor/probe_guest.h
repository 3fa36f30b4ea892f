// A tiny guest that executes a few bytes of code at CPL 0 or CPL 3 under KVM and reports what became of them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/kvm/system.h"
#include "core/kvm/vcpu.h"
#include "harness/host/kick.h"

namespace rondo::doctor {

enum class Level : u8 { kernel = 0, user = 3 };

enum class Ending : u8 {
  finished,      // the code ran to its end
  exception,     // it raised one
  not_emulated,  // KVM_EXIT_INTERNAL_ERROR
  debug,         // KVM_EXIT_DEBUG
  window,        // KVM_EXIT_IRQ_WINDOW_OPEN
  msr,           // an MSR access came to us
  kicked,        // the time was over
  other          // anything else
};

struct Outcome {
  Ending ending = Ending::other;
  u8 vector = 0;        // exception
  u32 exit_reason = 0;  // KVM's, or its suberror with not_emulated
  std::string failure;  // with other: what KVM refused, if anything
  u64 mmio_accesses = 0;
  kvm_regs regs{};
};

class ProbeGuest {
 public:
  // Where things lie in the guest's 2 MB.
  static constexpr u64 kCode = 0x8000, kData = 0x9000, kUserStack = 0x31000, kMmio = 0xe0000000;
  static constexpr u16 kCode0 = 0x08;  // the kernel's code segment; its data segment follows
  static constexpr u8 kEndPort = 0xe0, kExceptionPort = 0xe1, kLoopPort = 0xe2;

  static Result<std::unique_ptr<ProbeGuest>> create(const kvm::System& system, bool log_writes = false);
  ~ProbeGuest();
  ProbeGuest(const ProbeGuest&) = delete;
  ProbeGuest& operator=(const ProbeGuest&) = delete;

  struct Setup {
    Level level = Level::kernel;
    bool trap_tsc = false;  // CR4.TSD
    bool xsave = false;     // CR4.OSXSAVE, if KVM lets us
    u64 rax = 0, rcx = 16;
    u64 rflags = 0;  // besides IOPL 3
    u64 timeout_ns = 200'000'000;
    bool endless = false;  // only the timeout ends it; otherwise one is taken for a stall of the host, and tried again
  };
  // Runs `code` once. RSI points at kData, RDI at `rdi` (kMmio unless told).
  Outcome run(std::span<const u8> code, const Setup& setup, u64 rdi = kMmio);
  // Goes on after a debug or window exit.
  Outcome resume(u64 timeout_ns = 200'000'000);

  kvm::VcpuHandle& vcpu() { return *vcpu_; }
  kvm::Vm& vm() { return *vm_; }
  std::span<u8> memory() { return memory_; }
  u64 port_exits() const { return port_exits_; }  // at kLoopPort, in the last run

 private:
  ProbeGuest() = default;
  void build_tables();
  Status set_state(const Setup& setup, u64 rdi);
  Outcome run_once(std::span<const u8> code, const Setup& setup, u64 rdi);
  Outcome loop(u64 timeout_ns);

  std::span<u8> memory_;
  std::unique_ptr<kvm::Vm> vm_;
  std::unique_ptr<kvm::VcpuHandle> vcpu_;
  std::optional<host::KickTimer> kick_;
  u64 port_exits_ = 0;
};

}  // namespace rondo::doctor
