// Addressing of string instructions (SDM 1 7.3.9): [rSI] in DS or an override, [rDI] in ES, counted by rCX.
//
// An Op of a string instruction: aux is a StringOp; segment (and in segmented code segment_of()) is the source's.
#pragma once

#include <algorithm>

#include "core/software/debug_index.h"
#include "core/software/ops/alu_forms.h"

namespace rondo::software {

enum class Repeat : u8 { none, while_equal, while_not_equal };  // plain REP is while_equal

struct StringOp {
  Repeat repeat;
  u8 address_bytes;  // 2, 4 or 8
  bool segmented;    // not 64-bit code

  static u8 pack(const Instruction& instruction);
  static StringOp unpack(u8 aux) {
    return {static_cast<Repeat>(aux & 3), static_cast<u8>(2 << (aux >> 2 & 3)), (aux & 0x10) != 0};
  }
};

// Fills an Op for any string instruction.
void set_string(const Instruction& instruction, Op& op);

// Whether the plain form may use 64-bit flat addresses.
inline bool flat_string(const Op& op) {
  const StringOp s = StringOp::unpack(op.aux);
  return !s.segmented && s.address_bytes == 8;
}

// The element step: +size or -size by DF.
[[gnu::always_inline]] inline u64 string_step(const Vcpu& cpu, unsigned size) {
  return cpu.rflags_rest & flags::DF ? ~u64{size} + 1 : u64{size};
}

// A stretch of elements in one page of plain RAM, beginning at `host`; in the direction of DF.
struct Run {
  u8* host;
  u64 elements;
};

// One string instruction in execution. Registers in Vcpu are always current.
class StringWalk {
 public:
  StringWalk(Vcpu& cpu, const Op& op) : cpu_(cpu), op_(op), kind_(StringOp::unpack(op.aux)) {
    mask_ = kind_.address_bytes == 8 ? ~u64{0} : (u64{1} << (8 * kind_.address_bytes)) - 1;
    down_ = cpu.rflags_rest & flags::DF;
  }

  Repeat repeat() const { return kind_.repeat; }
  bool down() const { return down_; }
  u64 count() const { return cpu_.gpr(RCX) & mask_; }
  void set_count(u64 value) { set(RCX, value); }
  void advance_source(u64 elements, unsigned size) { advance(RSI, elements, size); }
  void advance_destination(u64 elements, unsigned size) { advance(RDI, elements, size); }

  // Linear address of the current element; throws if it lies outside its segment.
  u64 source(unsigned size) { return linear(source_segment(), RSI, size, false); }
  u64 destination(unsigned size, bool write) { return linear(ES, RDI, size, write); }

  // Up to `want` elements that need nothing but host memory; elements == 0 if the current one needs more.
  Run source_run(unsigned size, u64 want) { return run(source_segment(), RSI, size, want, false); }
  Run destination_run(unsigned size, u64 want, bool write) { return run(ES, RDI, size, want, write); }

 private:
  unsigned source_segment() const { return op_.segment == kSlotZero ? unsigned{DS} : segment_of(op_); }
  void set(unsigned reg, u64 value);
  void advance(unsigned reg, u64 elements, unsigned size) {
    const u64 distance = elements * size;
    set(reg, down_ ? cpu_.gpr(reg) - distance : cpu_.gpr(reg) + distance);
  }
  u64 linear(unsigned segment, unsigned reg, unsigned size, bool write);
  Run run(unsigned segment, unsigned reg, unsigned size, u64 want, bool write);

  Vcpu& cpu_;
  const Op& op_;
  StringOp kind_;
  u64 mask_;
  bool down_;
};

// At most this many elements are done before the driver gets a look.
inline constexpr u64 kStringChunk = u64{1} << 16;
inline u64 string_budget(const Vcpu& cpu) {
  if (cpu.rflags_rest & flags::TF) return 1;
  return std::min(kStringChunk, cpu.debug->elements_to_search(cpu.rip, cpu.gpr(RCX)));
}
// The instruction must be entered again: it is not complete and has not retired.
inline void leave_unfinished_string(Vcpu& cpu) {
  cpu.rep_unfinished = true;
  cpu.attention = true;
}

// With sampled time every synchronous event is a Moment, between two elements too. Where instructions are counted, it
// shows by its time.
class EventWatch {
 public:
  explicit EventWatch(const Vcpu& cpu) : clock_(*cpu.clock), before_(clock_.count()), time_(clock_.now()) {}
  bool seen() const { return clock_.sampled() && (clock_.count() != before_ || clock_.now() != time_); }

 private:
  const Clock& clock_;
  InstrCount before_;
  VirtualNs time_;
};

// For elements that took the slow path in a cold body.
inline void accept(Vcpu& cpu, MemStatus status) {
  if (status == MemStatus::fault) throw cpu.fault;
  if (status == MemStatus::leave) cpu.attention = true;
}
template <class T>
T string_load(Vcpu& cpu, const Op& op, u64 linear) {
  const Loaded<T> v = load_linear<T>(cpu, &op, linear);
  accept(cpu, v.status);
  return v.value;
}

}  // namespace rondo::software
