#include "tests/silicon/compare.h"

#include <fmt/format.h>

#include "core/cpu/canonical.h"
#include "core/cpu/registers.h"
#include "tests/silicon/layout.h"

namespace rondo::silicon {
namespace {

constexpr const char* kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
struct FlagName {
  u64 mask;
  const char* name;
};
constexpr FlagName kFlagNames[] = {{flags::CF, "CF"}, {flags::PF, "PF"}, {flags::AF, "AF"}, {flags::ZF, "ZF"},
                                   {flags::SF, "SF"}, {flags::TF, "TF"}, {flags::IF, "IF"}, {flags::DF, "DF"},
                                   {flags::OF, "OF"}, {flags::NT, "NT"}, {flags::AC, "AC"}, {flags::ID, "ID"}};

std::string outcome_text(const Outcome& o) {
  if (o.vector == kNoFault) return "no fault";
  std::string text = fmt::format("vector {} error {:#x}", o.vector, o.error_code);
  if (o.vector == kPF) text += fmt::format(" at {:#x}", o.fault_address);
  return text;
}

// Linux reports a page fault on an address above user space as a protection violation, so as not to tell what is mapped
// there.
u32 comparable_error(const Outcome& o) {
  constexpr u64 kUserEnd = 0x7ffffffff000;
  return o.vector == kPF && o.fault_address >= kUserEnd ? o.error_code | pf::P : o.error_code;
}

Difference values(std::string kind, u64 silicon, u64 engine) {
  return {std::move(kind), fmt::format("silicon {:#x}, engine {:#x}", silicon, engine)};
}

Difference compare_faults(const Outcome& a, const Outcome& b, bool any_fault) {
  const bool same = a.vector == b.vector && (a.vector == kNoFault || comparable_error(a) == comparable_error(b)) &&
                    (a.vector != kPF || a.fault_address == b.fault_address);
  if (same || (any_fault && a.vector != kNoFault && b.vector != kNoFault)) return {};
  return {fmt::format("fault {}:{}", static_cast<i32>(a.vector), static_cast<i32>(b.vector)),
          fmt::format("silicon {}, engine {}", outcome_text(a), outcome_text(b))};
}

// SDM 1 8.3.10 bounds the error of the transcendentals to one unit in the last place of an exact result; both sides may
// be off.
bool close(const FxImage& a, const FxImage& b, unsigned i) {
  if ((a.st[i].sign_exponent ^ b.st[i].sign_exponent) & 0x8000) return false;
  // Counts the representable magnitudes, across powers of two and into the denormals.
  auto position = [i](const FxImage& image) {
    const i128 exponent = image.st[i].sign_exponent & 0x7fff;
    return ((exponent == 0 ? 0 : exponent - 1) << 63) + static_cast<i128>(image.st[i].significand);
  };
  constexpr i128 kUlps = 4;
  const i128 distance = position(a) - position(b);
  return distance >= -kUlps && distance <= kUlps;
}

// RCPPS and RSQRTPS: 1.5 * 2^-12 (SDM 2B), on both sides.
bool close_f32(u32 a, u32 b) {
  // Where a tiny result becomes zero differs.
  constexpr u32 kSmallestNormal = 0x00800000, kSign = 0x80000000;
  if (!((a ^ b) & kSign) && (a & ~kSign) <= kSmallestNormal && (b & ~kSign) <= kSmallestNormal) return true;
  const i64 difference = static_cast<i64>(a) - static_cast<i64>(b);
  constexpr i64 kBound = i64{3} << (23 - 11);
  return difference >= -kBound && difference <= kBound;
}

bool close_xmm(const u64* a, const u64* b) {
  for (unsigned i = 0; i < 4; ++i)
    if (!close_f32(static_cast<u32>(a[i / 2] >> (32 * (i % 2))), static_cast<u32>(b[i / 2] >> (32 * (i % 2)))))
      return false;
  return true;
}

// C1 tells the direction of rounding, and inexactness may differ with the last place.
constexpr u16 kRounding = 0x0220;

Difference compare_x87(const FxImage& a, const FxImage& b, bool approximate, bool any_pointers) {
  if (a.control != b.control) return values("fcw", a.control, b.control);
  const u16 status = static_cast<u16>((a.status ^ b.status) & (approximate ? ~kRounding : ~0));
  if (status) return values(fmt::format("fsw {:x}", status), a.status, b.status);
  if (a.valid != b.valid) return values("ftw", a.valid, b.valid);
  for (unsigned i = 0; i < 8; ++i) {
    if (approximate && close(a, b, i)) continue;
    if (a.st[i].significand != b.st[i].significand || a.st[i].sign_exponent != b.st[i].sign_exponent)
      return {fmt::format("st{}", i),
              fmt::format("silicon {:04x}:{:016x}, engine {:04x}:{:016x}", a.st[i].sign_exponent, a.st[i].significand,
                          b.st[i].sign_exponent, b.st[i].significand)};
  }
  // AMD's FXSAVE writes the x87 pointers only while an unmasked exception is pending (APM 2, 11.4.4).
  constexpr u16 kErrorSummary = 0x80;
  if (!(a.status & kErrorSummary) || any_pointers) return {};
  if (a.opcode != b.opcode) return values("fop", a.opcode, b.opcode);
  if (a.instruction_pointer != b.instruction_pointer)
    return values("fip", a.instruction_pointer, b.instruction_pointer);
  if (a.data_pointer != b.data_pointer) return values("fdp", a.data_pointer, b.data_pointer);
  return {};
}

Difference compare_sse(const FxImage& a, const FxImage& b, bool approximate) {
  for (unsigned i = 0; i < 16; ++i) {
    if (approximate && close_xmm(a.xmm[i].lane, b.xmm[i].lane)) continue;
    if (std::memcmp(a.xmm[i].lane, b.xmm[i].lane, 16) != 0)
      return {"xmm", fmt::format("xmm{} silicon {:016x}_{:016x}, engine {:016x}_{:016x}", i, a.xmm[i].lane[1],
                                 a.xmm[i].lane[0], b.xmm[i].lane[1], b.xmm[i].lane[0])};
  }
  if (a.mxcsr != b.mxcsr) return values(fmt::format("mxcsr {:x}", a.mxcsr ^ b.mxcsr), a.mxcsr, b.mxcsr);
  return {};
}

// MXCSR and MXCSR_MASK as FXSAVE stores them: AMD has one bit more (misaligned SSE operands).
bool same_but_mxcsr_mask(u64 silicon, u64 engine) {
  return silicon >> 32 == 0x2ffff && engine >> 32 == 0xffff && static_cast<u32>(silicon) == static_cast<u32>(engine);
}

Difference compare_memory(const Outcome& a, const Outcome& b) {
  if (a.change_count == b.change_count && a.change_hash == b.change_hash) return {};
  const unsigned count = std::min(std::min(a.change_count, b.change_count), kMaxChanges);
  for (unsigned i = 0; i < count; ++i) {
    if (a.changes[i] == b.changes[i]) continue;
    if (a.changes[i].address == b.changes[i].address && same_but_mxcsr_mask(a.changes[i].value, b.changes[i].value))
      continue;
    return {"memory", fmt::format("silicon [{:#x}] = {:016x}, engine [{:#x}] = {:016x}", a.changes[i].address,
                                  a.changes[i].value, b.changes[i].address, b.changes[i].value)};
  }
  if (a.change_count == b.change_count && a.change_count <= kMaxChanges) return {};
  return {"memory", fmt::format("silicon changed {} words, engine {}", a.change_count, b.change_count)};
}

}  // namespace

bool offset_not_canonical(const Outcome& silicon, const Outcome& engine) {
  return silicon.vector == kGP && silicon.error_code == 0 && engine.vector == kPF &&
         is_canonical(engine.fault_address) &&
         (!is_canonical(engine.fault_address - kFsBase) || !is_canonical(engine.fault_address - kGsBase));
}

Difference compare(const Outcome& silicon, const Outcome& engine, const Tolerance& tolerance) {
  if (!engine.ran) return {"engine did not end", "no exception within the step limit"};
  if (Difference d = compare_faults(silicon, engine, tolerance.image)) return d;
  const Registers &a = silicon.final, &b = engine.final;
  if (a.rip != b.rip) return values("rip", a.rip, b.rip);
  for (unsigned i = 0; i < 16; ++i)
    if (a.gpr[i] != b.gpr[i])
      return {"gpr", fmt::format("{} silicon {:#x}, engine {:#x}", kGprNames[i], a.gpr[i], b.gpr[i])};
  // RF in the saved image tells faults from traps: the vector does that here already.
  const u64 different = (a.rflags ^ b.rflags) & ~flags::RF & ~tolerance.ignored_flags;
  if (different) {
    std::string names;
    for (const FlagName& flag : kFlagNames)
      if (different & flag.mask) names += fmt::format(" {}", flag.name);
    return values("flags" + names, a.rflags, b.rflags);
  }
  if (silicon.has_segments && engine.has_segments) {
    for (unsigned i = 0; i < 6; ++i) {
      const SegmentRegister &s = silicon.segments[i], &e = engine.segments[i];
      if (s != e)
        return {fmt::format("segment {}", i), fmt::format("silicon {:04x} {} {:#x}, engine {:04x} {} {:#x}", s.selector,
                                                          s.usable, s.base, e.selector, e.usable, e.base)};
    }
  }
  if (!tolerance.image || silicon.vector == kNoFault) {
    if (Difference d = compare_memory(silicon, engine)) return d;
  }
  if (Difference d = compare_x87(a.fx, b.fx, tolerance.approximate, tolerance.pointers)) return d;
  if (Difference d = compare_sse(a.fx, b.fx, tolerance.approximate)) return d;
  return {};
}

}  // namespace rondo::silicon
