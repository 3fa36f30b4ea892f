// MOV, MOVNTI, XLAT.
#include "core/software/ops/likely.h"

namespace rondo::software {
namespace {

template <class T>
[[gnu::noinline]] const Op* mov_rm_slow(Vcpu& cpu, const Op* op) {
  const Loaded<T> v = load<T>(cpu, op);
  if (v.status == MemStatus::fault) return leave_with_fault(cpu, op);
  cpu.set_reg<T>(op->dst, v.value);
  return finish(cpu, op, v.status);
}

template <class T, class Source>
[[gnu::noinline]] const Op* mov_m_slow(Vcpu& cpu, const Op* op) {
  return finish(cpu, op, store<T>(cpu, op, Source::template get<T>(cpu, op)));
}

}  // namespace

template <class T, class Then>
const Op* mov_rr(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->dst, cpu.reg<T>(op->src));
  return Then::go(cpu, op);
}

template <class T, class Then>
const Op* mov_ri(Vcpu& cpu, const Op* op) {
  cpu.set_reg<T>(op->dst, static_cast<T>(op->imm));
  return Then::go(cpu, op);
}

template <class T, class Address, class Then>
const Op* mov_rm(Vcpu& cpu, const Op* op) {
  const u64 linear = Address::linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) [[unlikely]]
    return mov_rm_slow<T>(cpu, op);
  cpu.set_reg<T>(op->dst, host_load<T>(host_of(entry, linear)));
  return Then::go(cpu, op);
}

template <class T, class Source, class Address, class Then>
const Op* mov_m(Vcpu& cpu, const Op* op) {
  const u64 linear = Address::linear(cpu, op);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) [[unlikely]]
    return mov_m_slow<T, Source>(cpu, op);
  host_store<T>(host_of(entry, linear), Source::template get<T>(cpu, op));
  return Then::go(cpu, op);
}

template const Op* mov_rr<u64, AfterCopy>(Vcpu&, const Op*);
template const Op* mov_rr<u32, AfterCopy>(Vcpu&, const Op*);
template const Op* mov_ri<u32, AfterCopy>(Vcpu&, const Op*);
template const Op* mov_ri<u64, AfterCopy>(Vcpu&, const Op*);
template const Op* mov_rm<u64, SimpleAddress, AfterLoad>(Vcpu&, const Op*);
template const Op* mov_rm<u64, FlatAddress, AfterLoad>(Vcpu&, const Op*);
template const Op* mov_rm<u32, SimpleAddress, AfterLoad>(Vcpu&, const Op*);
template const Op* mov_m<u64, RegisterSource, SimpleAddress, AfterStore>(Vcpu&, const Op*);
template const Op* mov_m<u32, RegisterSource, SimpleAddress, AfterStore>(Vcpu&, const Op*);
template const Op* mov_m<u64, ImmediateSource, SimpleAddress, AfterStore>(Vcpu&, const Op*);
template const Op* mov_rm<u32, FlatAddress, AfterLoad>(Vcpu&, const Op*);
template const Op* mov_m<u64, ImmediateSource, SimpleAddress>(Vcpu&, const Op*);
template const Op* mov_rm<u32, FlatAddress>(Vcpu&, const Op*);
template const Op* mov_rr<u64>(Vcpu&, const Op*);
template const Op* mov_rr<u32>(Vcpu&, const Op*);
template const Op* mov_ri<u32>(Vcpu&, const Op*);
template const Op* mov_ri<u64>(Vcpu&, const Op*);
template const Op* mov_rm<u64, SimpleAddress>(Vcpu&, const Op*);
template const Op* mov_rm<u64, FlatAddress>(Vcpu&, const Op*);
template const Op* mov_rm<u32, SimpleAddress>(Vcpu&, const Op*);
template const Op* mov_m<u64, RegisterSource, SimpleAddress>(Vcpu&, const Op*);
template const Op* mov_m<u32, RegisterSource, SimpleAddress>(Vcpu&, const Op*);

namespace {

template <class T>
Handler mov_handler(Form form, const Op& op) {
  switch (form) {
    case Form::rr:
      return &mov_rr<T>;
    case Form::ri:
      return &mov_ri<T>;
    case Form::rm:
      return by_address(op, &mov_rm<T, SimpleAddress>, &mov_rm<T, FlatAddress>, &mov_rm_slow<T>);
    case Form::mr:
      return by_address(op, &mov_m<T, RegisterSource, SimpleAddress>, &mov_m<T, RegisterSource, FlatAddress>,
                        &mov_m_slow<T, RegisterSource>);
    case Form::mi:
      return by_address(op, &mov_m<T, ImmediateSource, SimpleAddress>, &mov_m<T, ImmediateSource, FlatAddress>,
                        &mov_m_slow<T, ImmediateSource>);
  }
  return nullptr;
}

Handler lower_mov(const Instruction& instruction, Op& op) {
  const std::optional<Form> form = two_operand_form(instruction, op);
  if (!form) return nullptr;
  switch (instruction.operand_bytes) {
    case 1:
      return mov_handler<u8>(*form, op);
    case 2:
      return mov_handler<u16>(*form, op);
    case 4:
      return mov_handler<u32>(*form, op);
    case 8:
      return mov_handler<u64>(*form, op);
    default:
      return nullptr;
  }
}

// AL = [rBX + AL] (SDM 2B, XLAT). aux: address size in bytes; imm: the segment.
void xlat(Vcpu& cpu, const Op& op) {
  const u64 mask = op.aux == 8 ? ~u64{0} : (u64{1} << (8 * op.aux)) - 1;
  const u64 offset = (cpu.gpr(RBX) + cpu.reg<u8>(gpr_slot(RAX))) & mask;
  const unsigned segment = static_cast<unsigned>(op.imm);
  const u64 linear = linear_in_segment(cpu, segment, offset, 1, false);
  cpu.set_reg<u8>(gpr_slot(RAX), read_linear<u8>(cpu, &op, linear, Privilege::current, segment == SS));
}

}  // namespace

template <>
Handler lower<Operation::MOV>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_mov(instruction, op);
}

// The non-temporal hint has no architectural effect.
template <>
Handler lower<Operation::MOVNTI>(const Instruction& instruction, Op& op, LowerContext&) {
  return lower_mov(instruction, op);
}

template <>
Handler lower<Operation::XLAT>(const Instruction& instruction, Op& op, LowerContext&) {
  op.aux = instruction.address_bytes;
  op.imm = instruction.segment_override == decoder::kNoRegister ? u8{DS} : instruction.segment_override;
  return &cold<xlat>;
}

}  // namespace rondo::software
