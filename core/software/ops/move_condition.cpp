// CMOVcc and SETcc.
#include <array>
#include <utility>

#include "core/software/ops/alu_forms.h"

namespace rondo::software {
namespace {

// One handler per condition for the register forms; the memory forms choose at run time (SDM 1 appendix B: an odd code
// negates the even one before it).
bool test_condition(const LazyFlags& lazy, unsigned condition) {
  bool value = false;
  switch (condition / 2) {
    case 0:
      value = lazy.of();
      break;
    case 1:
      value = lazy.cf();
      break;
    case 2:
      value = lazy.zf();
      break;
    case 3:
      value = lazy.cf() || lazy.zf();
      break;
    case 4:
      value = lazy.sf();
      break;
    case 5:
      value = lazy.pf();
      break;
    case 6:
      value = lazy.sf() != lazy.of();
      break;
    default:
      value = lazy.zf() || lazy.sf() != lazy.of();
      break;
  }
  return value != ((condition & 1) != 0);
}

// A false condition still clears the upper half of a 32-bit destination (SDM 2A, CMOVcc).
template <class T, unsigned Condition>
const Op* cmov_rr(Vcpu& cpu, const Op* op) {
  const T taken = cpu.reg<T>(op->src), kept = cpu.reg<T>(op->dst);
  cpu.set_reg<T>(op->dst, cpu.lazy.test<Condition>() ? taken : kept);
  return next(cpu, op);
}

// The source is read whatever the condition is.
struct CmovMemory {
  template <class T>
  [[gnu::always_inline]] static void apply(Vcpu& cpu, const Op* op, T source) {
    cpu.set_reg<T>(op->dst, test_condition(cpu.lazy, op->aux) ? source : cpu.reg<T>(op->dst));
  }
};

template <unsigned Condition>
const Op* set_r(Vcpu& cpu, const Op* op) {
  cpu.set_reg<u8>(op->dst, cpu.lazy.test<Condition>());
  return next(cpu, op);
}

const Op* set_m(Vcpu& cpu, const Op* op) {
  return finish(cpu, op, store<u8>(cpu, op, test_condition(cpu.lazy, op->aux)));
}

template <class T, std::size_t... C>
Handler cmov_of(unsigned condition, std::index_sequence<C...>) {
  static constexpr std::array<Handler, 16> kTable{&cmov_rr<T, C>...};
  return kTable[condition & 15];
}

template <std::size_t... C>
Handler set_of(unsigned condition, std::index_sequence<C...>) {
  static constexpr std::array<Handler, 16> kTable{&set_r<C>...};
  return kTable[condition & 15];
}

template <class T>
Handler cmov_handler(Form form, const Op& op) {
  if (form == Form::rr) return cmov_of<T>(op.aux, std::make_index_sequence<16>());
  return form == Form::rm ? source_handler<T, CmovMemory>(true, op) : nullptr;
}

}  // namespace

template <>
Handler lower<Operation::CMOVCC>(const Instruction& instruction, Op& op, LowerContext&) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (!form) return nullptr;
  op.aux = instruction.condition & 15;
  switch (instruction.operand_bytes) {
    case 2:
      return cmov_handler<u16>(*form, op);
    case 4:
      return cmov_handler<u32>(*form, op);
    case 8:
      return cmov_handler<u64>(*form, op);
    default:
      return nullptr;
  }
}

template <>
Handler lower<Operation::SETCC>(const Instruction& instruction, Op& op, LowerContext&) {
  op.aux = instruction.condition & 15;
  if (is_memory(instruction.operands[0])) return &set_m;
  op.dst = slot_of(instruction.operands[0]);
  return set_of(op.aux, std::make_index_sequence<16>());
}

}  // namespace rondo::software
