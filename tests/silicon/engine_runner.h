// Runs cases in an engine: a minimal guest in 64-bit mode at CPL 3 whose linear addresses are those of the native
// process.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "core/software/engine.h"
#include "core/time/clock.h"
#include "harness/kvm/host.h"
#include "tests/silicon/test_case.h"

namespace rondo::silicon {

// The last: run() of an engine whose code at CPL 3 is executed by KVM.
enum class Drive : u8 { step, run, kvm };
std::string_view name_of(Drive drive);

class EngineRunner {
 public:
  EngineRunner();  // the software engine: Drive::step and Drive::run
  ~EngineRunner();
  // Drive::kvm. Fails without a usable KVM, with one line.
  static Result<std::unique_ptr<EngineRunner>> create_on_kvm();
  bool on_kvm() const { return kvm_ != nullptr; }
  u64 kvm_entries() const;  // how often KVM executed
  std::span<const Drive> drives() const;

  // Loads code and data. Until the next call, every case starts from them.
  void load(const DataImage& data, const CodeImage& code);
  // A case that does not end within some thousand steps leaves Outcome::ran at 0.
  void run(const TestCase& test, Drive drive, Outcome& out);

 private:
  class NoInterrupts;
  class NoTime;
  std::unique_ptr<SoftwareEngine> make_software();
  void map_page(u64 linear, u64 physical, bool user, bool writable, bool executable);
  void build_guest();
  void start(const TestCase& test, Drive drive);
  bool finish(Drive drive);
  void collect(Outcome& out);

  std::unique_ptr<PhysicalMemory> memory_;
  Clock clock_;
  Bus ports_, mmio_;
  std::unique_ptr<NoInterrupts> interrupts_;
  std::unique_ptr<NoTime> time_;
  unsigned kicks_left_ = 0;
  HostKicker kicker_;
  std::unique_ptr<Engine> engine_;
  const KvmEngine* kvm_ = nullptr;  // engine_, if it is one
  CpuState initial_;                // what does not depend on the case
  u64 prelude_jump_ = 0;            // offset in the exit page of the distance of the jump to the case
  DataImage base_{};
};

void to_fx_image(const CpuState& state, FxImage& out);
void from_fx_image(const FxImage& image, CpuState& state);

}  // namespace rondo::silicon
