// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM 1 5.11.1; SDM 2B 4.1).
#include "core/software/ops/simd.h"

namespace rondo::software {
namespace {

// The immediate (SDM 2B 4.1.1): [0] words, [1] signed, [3:2] aggregation, [5:4] polarity, [6] output selection.
enum class Aggregation : u8 { equal_any, ranges, equal_each, equal_ordered };

struct Comparison {
  u32 mask = 0;  // IntRes2, one bit per element
  unsigned elements = 0;
  bool end_in_a = false;  // the string in the first operand is shorter than the register
  bool end_in_b = false;
};

template <class T>
unsigned implicit_length(const Xmm& v) {
  const auto x = split<T>(v);
  unsigned n = 0;
  while (n < x.size() && x[n] != 0) n++;
  return n;
}

// The absolute value of a signed length, at most `limit`.
unsigned explicit_length(i64 value, unsigned limit) {
  const u64 magnitude = value < 0 ? ~static_cast<u64>(value) + 1 : static_cast<u64>(value);
  return magnitude > limit ? limit : static_cast<unsigned>(magnitude);
}

// a: the set, ranges or needle (first operand); b: the string that is searched (second operand).
template <class T>
u32 aggregate(const Xmm& va, unsigned length_a, const Xmm& vb, unsigned length_b, Aggregation how) {
  const auto a = split<T>(va), b = split<T>(vb);
  const unsigned n = static_cast<unsigned>(a.size());
  u32 result = 0;
  for (unsigned i = 0; i < n; i++) {
    bool hit = false;
    switch (how) {
      case Aggregation::equal_any:
        for (unsigned j = 0; j < length_a; j++) hit = hit || (i < length_b && a[j] == b[i]);
        break;
      case Aggregation::ranges:
        for (unsigned j = 0; j + 1 < length_a; j += 2) {
          hit = hit || (i < length_b && a[j] <= b[i] && b[i] <= a[j + 1]);
        }
        break;
      case Aggregation::equal_each:
        // Past both ends counts as equal, past one as different.
        hit = i < length_a && i < length_b ? a[i] == b[i] : i >= length_a && i >= length_b;
        break;
      case Aggregation::equal_ordered:
        // The needle a starts at b[i]; what lies past the register or past a's end matches.
        hit = true;
        for (unsigned j = 0; j < length_a && i + j < n; j++) hit = hit && i + j < length_b && a[j] == b[i + j];
        break;
    }
    result |= u32{hit} << i;
  }
  return result;
}

template <class T>
Comparison compare_typed(const Xmm& a, unsigned length_a, const Xmm& b, unsigned length_b, unsigned imm) {
  constexpr unsigned kElements = 16 / sizeof(T);
  Comparison c;
  c.elements = kElements;
  c.end_in_a = length_a < kElements;
  c.end_in_b = length_b < kElements;
  const u32 all = (u32{1} << kElements) - 1;
  c.mask = aggregate<T>(a, length_a, b, length_b, static_cast<Aggregation>(imm >> 2 & 3));
  const unsigned polarity = imm >> 4 & 3;
  if (polarity == 1) c.mask ^= all;                       // negated
  if (polarity == 3) c.mask ^= (u32{1} << length_b) - 1;  // negated where the second string is valid
  return c;
}

template <class T>
Comparison compare_strings(const Vcpu& cpu, const Op& op, const Xmm& b, bool explicit_lengths) {
  constexpr unsigned kElements = 16 / sizeof(T);
  const Xmm& a = cpu.arch.xmm[op.dst];
  const unsigned imm = static_cast<unsigned>(op.imm & 0xff);
  if (!explicit_lengths) return compare_typed<T>(a, implicit_length<T>(a), b, implicit_length<T>(b), imm);
  const bool wide = (op.aux & 2) != 0;  // REX.W: RAX and RDX instead of EAX and EDX
  auto length = [&](unsigned reg) {
    const u64 value = cpu.gpr(reg);
    return explicit_length(wide ? static_cast<i64>(value) : i64{static_cast<i32>(value)}, kElements);
  };
  return compare_typed<T>(a, length(RAX), b, length(RDX), imm);
}

// Op::aux: bit 0 memory source, bit 1 REX.W.
template <bool explicit_lengths, bool to_index>
void string_compare(Vcpu& cpu, const Op& op) {
  require_sse(cpu);
  Xmm b = cpu.arch.xmm[op.src];
  if (op.aux & 1) read_wide(cpu, op, &b, 16, false);
  const unsigned imm = static_cast<unsigned>(op.imm & 0xff);
  Comparison c;
  switch (imm & 3) {
    case 0:
      c = compare_strings<u8>(cpu, op, b, explicit_lengths);
      break;
    case 1:
      c = compare_strings<u16>(cpu, op, b, explicit_lengths);
      break;
    case 2:
      c = compare_strings<i8>(cpu, op, b, explicit_lengths);
      break;
    case 3:
      c = compare_strings<i16>(cpu, op, b, explicit_lengths);
      break;
  }
  const bool select = (imm & 0x40) != 0;
  if constexpr (to_index) {
    const unsigned last = static_cast<unsigned>(std::bit_width(c.mask)) - 1;
    const unsigned first = static_cast<unsigned>(std::countr_zero(c.mask));
    cpu.set_reg<u32>(gpr_slot(RCX), c.mask == 0 ? c.elements : select ? last : first);
  } else {
    Xmm result{{c.mask, 0}};
    if (select) {
      Lanes<u8, Xmm> bytes{};
      const unsigned width = 16 / c.elements;
      for (unsigned i = 0; i < 16; i++) bytes[i] = c.mask >> (i / width) & 1 ? u8{0xff} : u8{0};
      result = join<Xmm>(bytes);
    }
    cpu.arch.xmm[0] = result;
  }
  cpu.lazy = LazyFlags::from_rflags((c.mask != 0 ? flags::CF : 0) | (c.end_in_b ? flags::ZF : 0) |
                                    (c.end_in_a ? flags::SF : 0) | (c.mask & 1 ? flags::OF : 0));
}

template <bool explicit_lengths, bool to_index>
Handler lower_string_compare(const Instruction& instruction, Op& op) {
  const bool memory = is_memory(instruction.operands[1]);
  op.dst = instruction.operands[0].reg;
  op.src = memory ? u8{0} : instruction.operands[1].reg;
  op.aux = static_cast<u8>((memory ? 1 : 0) | (instruction.operand_bytes == 8 ? 2 : 0));
  return &cold<&string_compare<explicit_lengths, to_index>>;
}

}  // namespace

#define LOWER(name, ...)                                                                  \
  template <>                                                                             \
  Handler lower<Operation::name>(const Instruction& instruction, Op& op, LowerContext&) { \
    return __VA_ARGS__(instruction, op);                                                  \
  }
LOWER(PCMPESTRI, lower_string_compare<true, true>)
LOWER(PCMPESTRM, lower_string_compare<true, false>)
LOWER(PCMPISTRI, lower_string_compare<false, true>)
LOWER(PCMPISTRM, lower_string_compare<false, false>)

}  // namespace rondo::software
