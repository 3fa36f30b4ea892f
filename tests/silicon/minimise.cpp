#include "tests/silicon/minimise.h"

#include <algorithm>

#include "decoder/decoder.h"

namespace rondo::silicon {

Failure check(Reference& reference, EngineRunner& engine, const Scenario& scenario, bool profile_host) {
  Batch& batch = reference.batch();
  batch.case_count = 1;
  batch.data = scenario.data;
  batch.code = scenario.code;
  batch.cases[0] = scenario.test;
  reference.run();
  Failure failure;
  failure.silicon = batch.outcomes[0];
  if (!failure.silicon.ran) return failure;
  const Tolerance tolerance = tolerance_for(reference, engine, scenario, profile_host);
  engine.load(scenario.data, scenario.code);
  for (const Drive drive : engine.drives()) {
    Outcome outcome;
    engine.run(scenario.test, drive, outcome);
    failure.drive = drive;
    failure.difference = compare(failure.silicon, outcome, tolerance);
    if (failure.difference) break;
  }
  return failure;
}

namespace {

class Minimiser {
 public:
  Minimiser(Reference& reference, EngineRunner& engine, Scenario& scenario, Failure& failure, bool profile_host)
      : reference_(reference), engine_(engine), best_(scenario), failure_(failure), profile_host_(profile_host) {}

  void run() {
    fold_patches();
    drop_instructions();
    clear_data(0, kDataBytes);
    clear_registers();
    drop_nops();
  }

 private:
  // Keeps `change` if the scenario still fails in the same way.
  template <class Change>
  bool attempt(Change change) {
    const auto candidate = std::make_unique<Scenario>(best_);
    change(*candidate);
    const Failure result = check(reference_, engine_, *candidate, profile_host_);
    if (result.difference.kind != failure_.difference.kind || result.drive != failure_.drive) return false;
    best_ = *candidate;
    failure_ = result;
    return true;
  }

  void fold_patches() {
    attempt([](Scenario& s) {
      for (unsigned i = 0; i < s.test.patch_count; ++i) {
        const Patch& patch = s.test.patches[i];
        std::memcpy(s.data.data() + (patch.address - kDataBase), s.test.patch_bytes.data() + patch.offset,
                    patch.length);
      }
      s.test.patch_count = 0;
    });
  }

  // Instruction by instruction, NOPs instead: nothing else moves.
  void drop_instructions() {
    decoder::Decoder decoder;
    u64 at = best_.test.initial.rip - kCodeBase;
    const u64 end = std::min<u64>(at + best_.test.code_length, kCodeBytes);
    while (at < end) {
      decoder::Instruction instruction;
      const auto bytes = std::span<const u8>(best_.code).subspan(at, std::min<u64>(15, end - at));
      if (decoder.decode(bytes, decoder::CodeMode::bits64, instruction) != decoder::DecodeStatus::ok) return;
      attempt([&](Scenario& s) {
        std::fill_n(s.code.begin() + static_cast<std::ptrdiff_t>(at), instruction.length, u8{0x90});
      });
      at += instruction.length;
    }
  }

  void drop_nops() {
    const u64 start = best_.test.initial.rip - kCodeBase;
    if (start + best_.test.code_length + kTerminatorBytes > kCodeBytes) return;
    decoder::Decoder decoder;
    attempt([&](Scenario& s) {
      std::vector<u8> kept;
      for (u64 at = start; at < start + s.test.code_length;) {
        decoder::Instruction instruction;
        const auto bytes = std::span<const u8>(s.code).subspan(at, std::min<u64>(15, kCodeBytes - at));
        const bool known = decoder.decode(bytes, decoder::CodeMode::bits64, instruction) == decoder::DecodeStatus::ok;
        const u64 length = known ? instruction.length : start + s.test.code_length - at;
        if (!(length == 1 && s.code[at] == 0x90))
          kept.insert(kept.end(), s.code.begin() + static_cast<std::ptrdiff_t>(at),
                      s.code.begin() + static_cast<std::ptrdiff_t>(at + length));
        at += length;
      }
      std::copy(kept.begin(), kept.end(), s.code.begin() + static_cast<std::ptrdiff_t>(start));
      s.test.code_length = static_cast<u16>(kept.size());
      put_terminator(s.code, s.test.initial.rip + kept.size());
    });
  }

  void clear_data(u64 from, u64 to) {
    const auto first = best_.data.begin() + static_cast<std::ptrdiff_t>(from);
    const auto last = best_.data.begin() + static_cast<std::ptrdiff_t>(to);
    if (std::all_of(first, last, [](u8 byte) { return byte == 0; })) return;
    const bool cleared = attempt([&](Scenario& s) {
      std::fill(s.data.begin() + static_cast<std::ptrdiff_t>(from), s.data.begin() + static_cast<std::ptrdiff_t>(to),
                u8{0});
    });
    if (cleared || to - from <= 8) return;
    const u64 middle = from + (to - from) / 16 * 8;
    clear_data(from, middle);
    clear_data(middle, to);
  }

  void clear_registers() {
    for (u64& gpr : best_.test.initial.gpr) {
      const auto index = &gpr - best_.test.initial.gpr.data();
      if (gpr) attempt([&](Scenario& s) { s.test.initial.gpr[static_cast<std::size_t>(index)] = 0; });
    }
    attempt([](Scenario& s) { s.test.initial.rflags = 0x202; });
    if (attempt([](Scenario& s) { s.test.initial.fx = FxImage{}; })) return;
    for (unsigned i = 0; i < 16; ++i) attempt([&](Scenario& s) { s.test.initial.fx.xmm[i] = {}; });
    for (unsigned i = 0; i < 8; ++i) attempt([&](Scenario& s) { s.test.initial.fx.st[i] = {}; });
    attempt([](Scenario& s) { s.test.initial.fx.mxcsr = 0x1f80; });
    attempt([](Scenario& s) { s.test.initial.fx.control = 0x37f; });
    attempt([](Scenario& s) { s.test.initial.fx.status = 0; });
    attempt([](Scenario& s) { s.test.initial.fx.valid = 0; });
  }

  Reference& reference_;
  EngineRunner& engine_;
  Scenario& best_;
  Failure& failure_;
  bool profile_host_;
};

}  // namespace

void minimise(Reference& reference, EngineRunner& engine, Scenario& scenario, Failure& failure, bool profile_host) {
  // The first check also replaces an outcome taken from a batch by one of the scenario alone.
  const Failure again = check(reference, engine, scenario, profile_host);
  if (again.difference.kind != failure.difference.kind) return;
  failure = again;
  Minimiser(reference, engine, scenario, failure, profile_host).run();
}

}  // namespace rondo::silicon
