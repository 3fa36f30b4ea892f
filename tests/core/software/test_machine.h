// A bare vCPU in the software engine with a little memory: 64-bit code at CPL 0 or 3, identity-mapped, nothing else on the board.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/bus/bus.h"
#include "core/software/engine.h"

namespace rondo::testing {

// Never has an interrupt.
class SilentInterrupts final : public InterruptController {
 public:
  bool intr() const override { return pending; }
  u8 acknowledge() override {
    pending = false;
    return vector;
  }
  u8 read_cr8() const override { return cr8; }
  void write_cr8(u8 value) override { cr8 = value; }
  bool owns_msr(u32) const override { return false; }
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }

  bool pending = false;
  u8 vector = 32;
  u8 cr8 = 0;
};

class TestMachine {
 public:
  static constexpr u64 kMemory = u64{16} << 20;
  static constexpr u64 kTables = 0x1000;   // PML4, PDPT, PD: identity map of the first 1 GB in 2 MB pages, user-accessible
  static constexpr u64 kCode = 0x100000;
  static constexpr u64 kData = 0x200000;
  static constexpr u64 kStack = 0x300000;

  TestMachine() : memory(std::move(PhysicalMemory::create(kMemory)).value()) {
    engine = make_software_engine({*memory, clock, ports, mmio, interrupts, [this] { return exit_requested; }});
    auto put = [this](u64 address, u64 value) { memory->write(GuestPhys{address}, {reinterpret_cast<const u8*>(&value), 8}); };
    put(kTables, (kTables + 0x1000) | 7);
    put(kTables + 0x1000, (kTables + 0x2000) | 7);
    for (u64 i = 0; i < 512; ++i) put(kTables + 0x2000 + 8 * i, (i << 21) | 0x87);
  }

  // The state of 64-bit code at kCode with flat segments.
  static CpuState long_mode(u8 cpl = 0) {
    CpuState s = CpuState::at_reset();
    s.cr0 = cr0::PE | cr0::PG | cr0::NE | cr0::ET | cr0::WP | cr0::MP;
    s.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT;
    s.cr3 = kTables;
    s.efer = efer::LME | efer::LMA | efer::NXE | efer::SCE;
    const u16 rpl = cpl;
    for (Segment& segment : s.segment) {
      segment = {.selector = static_cast<u16>(0x18 | rpl), .base = 0, .limit = 0xffffffff, .type = 3, .s = true, .dpl = cpl, .present = true, .db = true,
                 .g = true};
    }
    s.segment[CS] = {.selector = static_cast<u16>(0x10 | rpl), .base = 0, .limit = 0xffffffff, .type = 11, .s = true, .dpl = cpl, .present = true, .l = true,
                     .g = true};
    s.rip = kCode;
    s.gpr = {};
    s.gpr[RSP] = kStack;
    return s;
  }

  void load(std::span<const u8> bytes, u64 address = kCode) {
    memory->write(GuestPhys{address}, bytes);
    engine->memory_changed();
  }
  void load(std::initializer_list<u8> bytes, u64 address = kCode) { load(std::vector<u8>(bytes), address); }

  // Runs exactly `instructions` more by one drive or the other.
  void run(u64 instructions, bool single_step = false) {
    const InstrCount stop = clock.count() + instructions;
    for (int guard = 0; clock.count() < stop && guard < 100'000'000; ++guard) {
      const EngineStop why = single_step ? engine->step() : engine->run(stop);
      if (why == EngineStop::halted || why == EngineStop::shutdown) return;
    }
  }

  std::unique_ptr<PhysicalMemory> memory;
  Clock clock;
  Bus ports;
  Bus mmio;
  SilentInterrupts interrupts;
  bool exit_requested = false;
  std::unique_ptr<SoftwareEngine> engine;
};

}  // namespace rondo::testing
