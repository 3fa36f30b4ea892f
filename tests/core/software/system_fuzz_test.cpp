// Hostile system software: random descriptor tables, task states and code made of system instructions, in every mode.
// Nothing may crash or hang, and both drives must end in the same state. RONDO_FUZZ_ROUNDS asks for more rounds than
// the few that every test run does, RONDO_FUZZ_FIRST for others (170,000 are about an hour of CPU time with sanitizers).
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "core/state/stream.h"
#include "tests/core/software/test_machine.h"
#include "tests/slow.h"

namespace rondo::software {
namespace {

using rondo::testing::TestMachine;

enum class Mode { real, protected16, protected32, v8086, compatibility, long64 };
constexpr Mode kModes[] = {Mode::real,  Mode::protected16,   Mode::protected32,
                           Mode::v8086, Mode::compatibility, Mode::long64};

constexpr u64 kGdt = 0x5000, kIdt = 0x6000, kTss = 0x8000, kLdt = 0x9000, kLowCode = 0xa000, kLowStack = 0xc000,
              kDirectory = 0x10000, kPointers = 0x11000;

class Generator {
 public:
  explicit Generator(u64 seed) : random_(seed) {}
  u64 next() { return random_(); }
  u64 below(u64 n) { return random_() % n; }
  bool one_in(u64 n) { return below(n) == 0; }

  u16 selector() { return static_cast<u16>(one_in(16) ? next() : below(32) * 8 | (one_in(8) ? 4 : 0) | below(4)); }

  u64 descriptor() {
    if (one_in(12)) return next();
    static constexpr u8 kTypes[] = {0x9b, 0x93, 0xfb, 0xf3, 0x9f, 0x97, 0x82, 0x89, 0x8b, 0x81,
                                    0x83, 0x84, 0x85, 0x8c, 0xec, 0xe5, 0x9a, 0x92, 0x1b};
    const u64 access = kTypes[below(sizeof kTypes)];
    const bool system = !(access & 0x10);
    const u64 base = system ? (one_in(2) ? kTss : kLdt) : 0;
    const u64 limit = one_in(8) ? below(0x10000) : system ? 0x2100 : 0xfffff;
    const u64 flags = one_in(4) ? below(16) : system ? 0 : (one_in(2) ? 0xc : 0xa);
    if (system && (access & 0xf) >= 4 && (access & 7) != 1 && (access & 7) != 3) return gate(access);
    return (limit & 0xffff) | base << 16 | access << 40 | (limit >> 16 & 15) << 48 | flags << 52;
  }

  u64 gate(u64 access) {
    const u64 target = kLowCode + below(0x800);
    return (target & 0xffff) | u64{selector()} << 16 | (one_in(4) ? below(32) : 0) << 32 | access << 40 |
           (target >> 16) << 48;
  }

  u64 interrupt_gate() {
    static constexpr u8 kTypes[] = {0x8e, 0x8f, 0xee, 0xef, 0x86, 0x87, 0x85, 0xe5, 0x0e};
    return one_in(20) ? next() : gate(kTypes[below(sizeof kTypes)]);
  }

  // One instruction, more or less.
  void instruction(std::vector<u8>& out) {
    static const std::vector<std::vector<u8>> kSystem = {{0x0f, 0x00},
                                                         {0x0f, 0x01},
                                                         {0x0f, 0x02},
                                                         {0x0f, 0x03},
                                                         {0x0f, 0x05},
                                                         {0x0f, 0x06},
                                                         {0x0f, 0x07},
                                                         {0x0f, 0x20},
                                                         {0x0f, 0x21},
                                                         {0x0f, 0x22},
                                                         {0x0f, 0x23},
                                                         {0x0f, 0x30},
                                                         {0x0f, 0x31},
                                                         {0x0f, 0x32},
                                                         {0x0f, 0x34},
                                                         {0x0f, 0x35},
                                                         {0x0f, 0xa2},
                                                         {0x0f, 0xb2},
                                                         {0x0f, 0xb4},
                                                         {0x0f, 0xb5},
                                                         {0x8c},
                                                         {0x8e},
                                                         {0x9a},
                                                         {0xea},
                                                         {0xca},
                                                         {0xcb},
                                                         {0xcc},
                                                         {0xcd},
                                                         {0xce},
                                                         {0xcf},
                                                         {0xf1},
                                                         {0xfa},
                                                         {0xfb},
                                                         {0xff},
                                                         {0x9c},
                                                         {0x9d},
                                                         {0x06},
                                                         {0x07},
                                                         {0x16},
                                                         {0x17},
                                                         {0x1e},
                                                         {0x1f},
                                                         {0x0f, 0xa0},
                                                         {0x0f, 0xa1},
                                                         {0x0f, 0xa8},
                                                         {0x0f, 0xa9},
                                                         {0xc4},
                                                         {0xc5},
                                                         {0x63},
                                                         {0x6c},
                                                         {0x6d},
                                                         {0x6e},
                                                         {0x6f},
                                                         {0xe4},
                                                         {0xe6},
                                                         {0xec},
                                                         {0xee},
                                                         {0xa4},
                                                         {0xab},
                                                         {0x48, 0xcf},
                                                         {0x48, 0xcb},
                                                         {0x48, 0x0f, 0x07},
                                                         {0x0f, 0x01, 0xf8},
                                                         {0x0f, 0x01, 0xca},
                                                         {0x0f, 0x01, 0xcb},
                                                         {0xf3, 0x0f, 0xae}};
    if (one_in(6)) out.push_back(std::array<u8, 6>{0x66, 0x67, 0xf3, 0xf2, 0x26, 0x64}[below(6)]);
    if (one_in(3)) {  // something for the registers
      out.push_back(static_cast<u8>(0xb8 + below(8)));
      const u64 value = one_in(2) ? selector() : kLowCode + below(0x1000);
      for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<u8>(value >> 8 * i));
      return;
    }
    const auto& opcode = kSystem[below(kSystem.size())];
    out.insert(out.end(), opcode.begin(), opcode.end());
    if (opcode[0] == 0x9a || opcode[0] == 0xea) {
      const u64 value = kLowCode + below(0x400);
      for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<u8>(value >> 8 * i));
      const u16 s = selector();
      out.push_back(static_cast<u8>(s));
      out.push_back(static_cast<u8>(s >> 8));
      return;
    }
    for (u64 i = below(4); i > 0; --i) out.push_back(static_cast<u8>(next()));
  }

 private:
  std::mt19937_64 random_;
};

Segment flat(u16 selector, u8 type, u8 dpl, bool db, bool l) {
  return {.selector = selector,
          .base = 0,
          .limit = 0xffffffff,
          .type = type,
          .s = true,
          .dpl = dpl,
          .present = true,
          .l = l,
          .db = db,
          .g = true};
}

CpuState state_for(Mode mode, Generator& random) {
  const bool real = mode == Mode::real, v8086 = mode == Mode::v8086;
  const bool wide = mode == Mode::long64 || mode == Mode::compatibility;
  const u8 cpl = real ? 0 : v8086 ? 3 : static_cast<u8>(random.one_in(3) ? 3 : 0);
  CpuState s = TestMachine::long_mode(cpl);
  if (!wide) {
    s.efer = 0;
    s.cr0 = real ? cr0::ET : cr0::PE | cr0::ET | cr0::NE;
    s.cr4 = random.one_in(2) ? cr4::DE : 0;
    if (!real && random.one_in(2)) {
      s.cr0 |= cr0::PG | (random.one_in(2) ? cr0::WP : 0);
      const bool pae = random.one_in(2);
      s.cr4 |= pae ? cr4::PAE : cr4::PSE;
      s.cr3 = pae ? kPointers : kDirectory;
    }
  } else if (random.one_in(2)) {
    s.cr4 |= cr4::FSGSBASE | cr4::DE;
  }
  const bool db = mode == Mode::protected32 || mode == Mode::compatibility;
  for (unsigned n = 0; n < 6; ++n) {
    if (real || v8086)
      s.segment[n] = {.dpl = cpl};
    else
      s.segment[n] = flat(static_cast<u16>((n == CS ? 0x08 : 0x10) | cpl), n == CS ? 11 : 3, cpl, db,
                          n == CS && mode == Mode::long64);
  }
  s.gdtr = {kGdt, 0x1ff};
  s.idtr = real ? DescriptorTable{0, 0x3ff} : DescriptorTable{kIdt, static_cast<u16>(wide ? 0xfff : 0x7ff)};
  s.tr = {.selector = 0x28, .base = kTss, .limit = 0x2100, .type = 11, .s = false};
  s.ldtr = {.selector = 0x30, .base = kLdt, .limit = 0xff, .type = 2, .s = false};
  s.rip = kLowCode;
  s.rflags = flags::FIXED1 | (v8086 ? flags::VM : 0) |
             (random.next() & (flags::IOPL | flags::IF | flags::NT | flags::CF | flags::DF));
  if (random.one_in(8)) s.rflags |= flags::TF;
  if (random.one_in(8)) {
    s.dr7 = 0x400 | (random.next() & 0x0fff00ff);
    for (u64& d : s.dr) d = kLowCode + random.below(0x100);
  }
  for (u64& r : s.gpr) r = random.one_in(2) ? random.selector() : kLowCode + random.below(0x1000);
  s.gpr[RSP] = kLowStack;
  s.star = random.next() & 0x00ff00ff00000000;
  s.lstar = s.sysenter_eip = kLowCode + random.below(0x100);
  s.sysenter_cs = random.one_in(4) ? 0 : 8;
  s.sysenter_esp = kLowStack;
  return s;
}

std::vector<u8> fill(TestMachine& machine, Mode mode, u64 seed) {
  Generator random(seed);
  auto words = [&](u64 at, unsigned count, auto make) {
    std::vector<u8> bytes;
    for (unsigned i = 0; i < count; ++i) {
      const u64 word = make(i);
      for (unsigned k = 0; k < 64; k += 8) bytes.push_back(static_cast<u8>(word >> k));
    }
    machine.memory->write(GuestPhys{at}, bytes);
  };
  const CpuState state = state_for(mode, random);
  const bool wide = state.efer & efer::LMA;
  words(kGdt, 64, [&](unsigned) { return random.descriptor(); });
  words(kLdt, 32, [&](unsigned) { return random.descriptor(); });
  words(kIdt, 512, [&](unsigned i) { return wide && (i & 1) ? u64{0} : random.interrupt_gate(); });
  if (mode == Mode::real)
    words(0, 128, [&](unsigned) { return (kLowCode + random.below(0x400)) | (kLowCode + random.below(0x400)) << 32; });
  words(kTss, 0x200, [&](unsigned) { return u64{random.selector()} | u64{random.selector()} << 32; });
  words(kTss, 14, [&](unsigned i) {
    return i < 4 ? (kLowStack + 0x100 * i) | u64{random.selector()} << 32 : kLowStack + random.below(0x1000);
  });
  // Identity maps for 32-bit and PAE paging: 4 MB pages, and the 2 MB pages that TestMachine has; now and then an entry
  // is spoilt.
  auto flaw = [&](u64 entry) { return random.one_in(200) ? entry ^ random.next() >> random.below(64) : entry; };
  words(kDirectory, 512,
        [&](unsigned i) { return flaw(u64{2 * i} << 22 | 0x87) | flaw(u64{2 * i + 1} << 22 | 0x87) << 32; });
  words(kPointers, 4, [&](unsigned) { return flaw((TestMachine::kTables + 0x2000) | 1); });
  std::vector<u8> code;
  while (code.size() < 0x1000) random.instruction(code);
  machine.memory->write(GuestPhys{kLowCode}, code);
  machine.engine->set_state(state);
  return code;
}

std::string hex(u64 value) {
  char text[20];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

struct Outcome {
  CpuState state;
  std::vector<u8> cpu;
  std::string memory;
  u64 count = 0;
  bool stuck = false;  // exceptions without end: they take no time, so no count is ever reached
  bool same(const Outcome& o) const { return cpu == o.cpu && memory == o.memory && count == o.count; }
};

constexpr u64 kInstructions = 300;

Outcome execute(Mode mode, u64 seed, bool step, u64 instructions = kInstructions) {
  TestMachine machine;
  fill(machine, mode, seed);
  constexpr unsigned kMostSteps = 10'000;
  const InstrCount stop{instructions};
  Outcome outcome;
  unsigned steps = 0;
  while (machine.clock.count() < stop && steps++ < kMostSteps) {
    const EngineStop why = step ? machine.engine->step() : machine.engine->run(stop);
    if (why == EngineStop::halted || why == EngineStop::shutdown) break;
  }
  outcome.stuck = steps > kMostSteps;
  StateWriter writer;
  outcome.state = machine.engine->state();
  outcome.state.save(writer, 0);
  outcome.cpu = writer.take();
  outcome.memory = machine.memory->hash();
  outcome.count = machine.clock.count().value;
  return outcome;
}

// Where the drives part: the first count at which they differ, and what differs.
void report(Mode mode, u64 seed) {
  for (u64 n = 1; n <= kInstructions; ++n) {
    const Outcome before = execute(mode, seed, true, n - 1), stepped = execute(mode, seed, true, n),
                  run = execute(mode, seed, false, n);
    if (stepped.same(run)) continue;
    const CpuState &b = before.state, &s = stepped.state, &r = run.state;
    std::string text = "count " + std::to_string(n) + " before: rip " + hex(b.rip) + " cs " + hex(b.segment[CS].base) +
                       " flags " + hex(b.rflags);
    auto differ = [&](const std::string& what, u64 x, u64 y) {
      if (x != y) text += "\n  " + what + ": stepped " + hex(x) + ", run " + hex(y);
    };
    differ("count", stepped.count, run.count);
    differ("rip", s.rip, r.rip);
    differ("rflags", s.rflags, r.rflags);
    for (unsigned i = 0; i < 16; ++i) differ("gpr " + std::to_string(i), s.gpr[i], r.gpr[i]);
    for (unsigned i = 0; i < 6; ++i)
      differ("selector " + std::to_string(i), s.segment[i].selector, r.segment[i].selector);
    differ("cr0", s.cr0, r.cr0);
    differ("cr2", s.cr2, r.cr2);
    differ("dr6", s.dr6, r.dr6);
    differ("dr7", s.dr7, r.dr7);
    differ("activity", static_cast<u64>(s.activity), static_cast<u64>(r.activity));
    differ("pending debug", s.pending_debug, r.pending_debug);
    differ("sti shadow", s.sti_shadow, r.sti_shadow);
    differ("mov ss shadow", s.mov_ss_shadow, r.mov_ss_shadow);
    if (stepped.memory != run.memory) text += "\n  memory";
    ADD_FAILURE() << text;
    return;
  }
  ADD_FAILURE() << "differs only at the end";
}

TEST(SystemFuzz, HostileTablesAndCode) {
  const char* wanted = std::getenv("RONDO_FUZZ_ROUNDS");
  const char* first = std::getenv("RONDO_FUZZ_FIRST");
  const u64 rounds = wanted ? std::strtoull(wanted, nullptr, 10) : rondo::slow_tests() ? 5'000 : 100;
  const u64 begin = first ? std::strtoull(first, nullptr, 10) : 0;
  u64 stuck = 0, instructions = 0;
  for (u64 round = begin; round < begin + rounds; ++round) {
    for (const Mode mode : kModes) {
      SCOPED_TRACE("round " + std::to_string(round) + " mode " + std::to_string(static_cast<int>(mode)));
      const u64 seed = round * 8 + static_cast<u64>(mode);
      const Outcome stepped = execute(mode, seed, true);
      instructions += stepped.count;
      if (stepped.stuck) {
        ++stuck;
        continue;
      }
      const Outcome run = execute(mode, seed, false);
      if (!stepped.same(run)) report(mode, seed);
    }
  }
  RecordProperty("stuck", static_cast<int>(stuck));
  RecordProperty("instructions", static_cast<int>(instructions));
}

}  // namespace
}  // namespace rondo::software
