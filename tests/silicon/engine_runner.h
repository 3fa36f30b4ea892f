// Runs cases in the software engine: a minimal guest in 64-bit mode at CPL 3 whose linear addresses are those of the
// native process.
#pragma once

#include <memory>

#include "core/software/engine.h"
#include "tests/silicon/test_case.h"

namespace rondo::silicon {

enum class Drive : u8 { step, run };

class EngineRunner {
 public:
  EngineRunner();
  ~EngineRunner();

  // Loads code and data. Until the next call, every case starts from them.
  void load(const DataImage& data, const CodeImage& code);
  // A case that does not end within some thousand steps leaves Outcome::ran at 0.
  void run(const TestCase& test, Drive drive, Outcome& out);

 private:
  class NoInterrupts;
  void map_page(u64 linear, u64 physical, bool user, bool writable, bool executable);
  void build_guest();
  void start(const TestCase& test, Drive drive);
  bool finish(Drive drive);
  void collect(Outcome& out);

  std::unique_ptr<PhysicalMemory> memory_;
  Clock clock_;
  Bus ports_, mmio_;
  std::unique_ptr<NoInterrupts> interrupts_;
  std::unique_ptr<SoftwareEngine> engine_;
  CpuState initial_;      // what does not depend on the case
  u64 prelude_jump_ = 0;  // offset in the exit page of the distance of the jump to the case
  DataImage base_{};
};

void to_fx_image(const CpuState& state, FxImage& out);
void from_fx_image(const FxImage& image, CpuState& state);

}  // namespace rondo::silicon
