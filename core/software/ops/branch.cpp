#include "core/software/mode.h"
#include "core/software/ops/branch_forms.h"
#include "core/software/ops/likely.h"

namespace rondo::software {

const Op* follow_slow(Vcpu& cpu, Link* link, u64 rip, bool same_page) {
  const JumpEntry& entry = cpu.jump_cache[jump_index(rip)];
  if (entry.rip == rip && entry.epoch == cpu.code_epoch) {
    set_link(cpu, *link, entry.block, same_page);
    cpu.slots[kSlotRip / 8] = rip;
    return enter(cpu, entry.block);
  }
  cpu.wanted = {link, rip, cpu.code_epoch, same_page};
  cpu.rip = rip;
  cpu.leave = Leave::lookup;
  return nullptr;
}

const Op* leave_to(Vcpu& cpu, const Op* op, u64 rip) {
  cpu.remaining += op->left - 1;
  cpu.rip = rip;
  cpu.leave = Leave::attention;
  return nullptr;
}

const Op* branch_legacy(Vcpu& cpu, const Op* op, u64 rip) {
  if (rip > cpu.arch.segment[CS].limit) return raise(cpu, op, fault_gp());
  return enter_at(cpu, rip);
}

bool successors_in_page(const Instruction& instruction, const LowerContext& context) {
  if (context.crosses) return false;
  const u64 next = context.page_offset + instruction.length;
  return next < kPageSize && next + static_cast<u64>(instruction.immediate) < kPageSize;
}

namespace {

bool is64(const Instruction& instruction) { return instruction.mode == decoder::CodeMode::bits64; }

// Common to all direct branches.
void set_direct(const Instruction& instruction, Op& op, LowerContext& context) {
  op.disp = static_cast<i32>(instruction.immediate);
  op.aux = instruction.operand_bytes;
  context.ends_block = true;
  context.wants_links = true;
}

const Op* jmp_legacy(Vcpu& cpu, const Op* op) { return branch_legacy(cpu, op, legacy_target(cpu, op)); }

template <unsigned Condition, bool SamePage>
const Op* jcc(Vcpu& cpu, const Op* op) {
  return branch_if<SamePage>(cpu, op, cpu.lazy.test<Condition>());
}
template <unsigned Condition>
const Op* jcc_legacy(Vcpu& cpu, const Op* op) {
  if (cpu.lazy.test<Condition>()) return branch_legacy(cpu, op, legacy_target(cpu, op));
  return enter_at(cpu, (cpu.slots[kSlotRip / 8] + op->next_offset) & cpu.rip_mask);
}

template <unsigned... C>
Handler pick_jcc(unsigned condition, bool legacy, bool same, std::integer_sequence<unsigned, C...>) {
  static constexpr Handler kSame[] = {&jcc<C, true>...};
  static constexpr Handler kCross[] = {&jcc<C, false>...};
  static constexpr Handler kLegacy[] = {&jcc_legacy<C>...};
  return (legacy ? kLegacy : same ? kSame : kCross)[condition & 15];
}

// Pushes the return address in 64-bit mode; the status tells whether RSP was changed.
[[gnu::always_inline]] inline MemStatus push_return(Vcpu& cpu, const Op* op) {
  const u64 rsp = cpu.gpr(RSP) - 8;
  const MemStatus status = store_linear<u64>(cpu, op, rsp, cpu.slots[kSlotRip / 8] + op->next_offset);
  if (status != MemStatus::fault) [[likely]] cpu.gpr(RSP) = rsp;
  return status;
}

// *op is a CALL that goes on: links_of(op)[1] is for the block that its RET goes to.
[[gnu::always_inline]] inline void expect_return(Vcpu& cpu, const Op* op) {
  cpu.newest_return = (cpu.newest_return + 1) % kExpectedReturns;
  cpu.expected_returns[cpu.newest_return] = {cpu.slots[kSlotRip / 8] + op->next_offset, links_of(op) + 1};
}

const Op* call_interrupted(Vcpu& cpu, const Op* op, MemStatus status, u64 target) {
  if (status == MemStatus::leave) return leave_to(cpu, op, target);
  if (cpu.fault.vector == kGP) cpu.fault.vector = kSS;  // a stack address that is not canonical
  return leave_with_fault(cpu, op);
}

// `loaded`: how the target was read.
const Op* call_to(Vcpu& cpu, const Op* op, u64 target, MemStatus loaded = MemStatus::ok) {
  if (!is_canonical(target)) return raise(cpu, op, fault_gp());
  const MemStatus status = worse(push_return(cpu, op), loaded);
  if (status != MemStatus::ok) [[unlikely]] return call_interrupted(cpu, op, status, target);
  expect_return(cpu, op);
  return enter_at(cpu, target);
}

const Op* call_register(Vcpu& cpu, const Op* op) { return call_to(cpu, op, cpu.reg<u64>(op->dst)); }
const Op* call_memory(Vcpu& cpu, const Op* op) {
  const Loaded<u64> target = load<u64>(cpu, op);
  if (target.status == MemStatus::fault) [[unlikely]] return leave_with_fault(cpu, op);
  return call_to(cpu, op, target.value, target.status);
}

const Op* jmp_to(Vcpu& cpu, const Op* op, u64 target) {
  if (!is_canonical(target)) return raise(cpu, op, fault_gp());
  return enter_at(cpu, target);
}
const Op* jmp_register(Vcpu& cpu, const Op* op) { return jmp_to(cpu, op, cpu.reg<u64>(op->dst)); }
const Op* jmp_memory(Vcpu& cpu, const Op* op) {
  const Loaded<u64> target = load<u64>(cpu, op);
  if (target.status == MemStatus::fault) [[unlikely]] return leave_with_fault(cpu, op);
  if (target.status == MemStatus::leave && is_canonical(target.value)) [[unlikely]]
    return leave_to(cpu, op, target.value);
  return jmp_to(cpu, op, target.value);
}

// --- 16- and 32-bit code, and operand sizes that 64-bit code does not have.

u64 checked_legacy_target(const Vcpu& cpu, u64 target) {
  if (target > cpu.arch.segment[CS].limit) throw fault_gp();
  return target;
}

void call_legacy(Vcpu& cpu, const Op& op) {
  const u64 target = checked_legacy_target(cpu, legacy_target(cpu, &op));
  push(cpu, &op, cpu.next_rip, op.aux);
  cpu.next_rip = target;
}

// aux: operand size.
template <bool Register>
u64 indirect_target(Vcpu& cpu, const Op& op) {
  if (op.aux == 2) return Register ? cpu.reg<u16>(op.dst) : read_operand<u16>(cpu, &op);
  return Register ? cpu.reg<u32>(op.dst) : read_operand<u32>(cpu, &op);
}

template <bool Register>
void call_indirect_legacy(Vcpu& cpu, const Op& op) {
  const u64 target = checked_legacy_target(cpu, indirect_target<Register>(cpu, op));
  push(cpu, &op, cpu.next_rip, op.aux);
  cpu.next_rip = target;
}

template <bool Register>
void jmp_indirect_legacy(Vcpu& cpu, const Op& op) {
  cpu.next_rip = checked_legacy_target(cpu, indirect_target<Register>(cpu, op));
}

void ret_legacy(Vcpu& cpu, const Op& op) {
  const u64 before = cpu.gpr(RSP);
  const u64 target = pop(cpu, &op, op.aux);
  if (target > cpu.arch.segment[CS].limit) {
    cpu.gpr(RSP) = before;
    throw fault_gp();
  }
  set_stack_pointer(cpu, stack_pointer(cpu) + op.imm);
  cpu.next_rip = target;
}

// LOOP, LOOPE, LOOPNE, JCXZ. aux2 is not there: the counter's size is in Op::src.
u64 counter(const Vcpu& cpu, const Op& op) {
  const u64 rcx = cpu.gpr(RCX);
  return op.src == 8 ? rcx : op.src == 4 ? rcx & 0xffffffff : rcx & 0xffff;
}
void set_counter(Vcpu& cpu, const Op& op, u64 value) {
  if (op.src == 8) cpu.gpr(RCX) = value;
  else if (op.src == 4) cpu.set_reg<u32>(gpr_slot(RCX), static_cast<u32>(value));
  else cpu.set_reg<u16>(gpr_slot(RCX), static_cast<u16>(value));
}

void go_if(Vcpu& cpu, const Op& op, bool taken, u64 new_counter) {
  u64 target = cpu.next_rip;
  if (taken) {
    if (cpu.code64()) {
      target += static_cast<u64>(i64{op.disp});
      if (!is_canonical(target)) throw fault_gp();
    } else {
      target = checked_legacy_target(cpu, legacy_target(cpu, &op));
    }
  }
  set_counter(cpu, op, new_counter);
  cpu.next_rip = target;
}

enum class LoopKind { always, equal, not_equal };
template <LoopKind Kind>
void loop(Vcpu& cpu, const Op& op) {
  const u64 mask = op.src == 8 ? ~u64{0} : op.src == 4 ? 0xffffffff : 0xffff;
  const u64 rest = (counter(cpu, op) - 1) & mask;
  bool taken = rest != 0;
  if constexpr (Kind == LoopKind::equal) taken = taken && cpu.lazy.zf();
  if constexpr (Kind == LoopKind::not_equal) taken = taken && !cpu.lazy.zf();
  go_if(cpu, op, taken, rest);
}

void jcxz(Vcpu& cpu, const Op& op) {
  const u64 rcx = counter(cpu, op);
  if (rcx != 0) return;
  const u64 target = cpu.code64() ? cpu.next_rip + static_cast<u64>(i64{op.disp}) : checked_legacy_target(cpu, legacy_target(cpu, &op));
  if (cpu.code64() && !is_canonical(target)) throw fault_gp();
  cpu.next_rip = target;
}

// A cold branch: the body decides next_rip; execution goes on there without a visit to the driver unless something asks for one.
template <ColdBody body>
const Op* cold_branch(Vcpu& cpu, const Op* op) {
  if (!run_cold(cpu, op, body)) {
    // run_cold() leaves after the instruction in sequence; a branch goes where its body said.
    if (cpu.leave == Leave::attention) cpu.rip = cpu.next_rip;
    return nullptr;
  }
  return enter_at(cpu, cpu.next_rip);
}

void set_counted(const Instruction& instruction, Op& op, LowerContext& context) {
  op.disp = static_cast<i32>(instruction.immediate);
  op.aux = instruction.operand_bytes;
  op.src = instruction.address_bytes;
  context.ends_block = true;
}

void set_indirect(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = instruction.operand_bytes;
  if (is_register(instruction.operands[0])) op.dst = slot_of(instruction.operands[0]);
  context.ends_block = true;
}

}  // namespace

template <bool SamePage>
[[gnu::noinline]] const Op* call64_slow(Vcpu& cpu, const Op* op) {
  const MemStatus status = push_return(cpu, op);
  if (status != MemStatus::ok) {
    return call_interrupted(cpu, op, status, cpu.slots[kSlotRip / 8] + op->next_offset + static_cast<u64>(i64{op->disp}));
  }
  expect_return(cpu, op);
  return follow_taken<SamePage>(cpu, op);
}

template <bool SamePage>
const Op* call64(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP) - 8;
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.write_tag, linear, 8)) [[unlikely]]
    return call64_slow<SamePage>(cpu, op);
  host_store<u64>(host_of(entry, linear), cpu.slots[kSlotRip / 8] + op->next_offset);
  cpu.gpr(RSP) = linear;
  expect_return(cpu, op);
  return follow_taken<SamePage, &push64<RegisterSource, AfterPush>, &mov_rr<u64, AfterCopy>,
                      &mov_rm<u64, SimpleAddress, AfterLoad>>(cpu, op);
}
template const Op* call64<false>(Vcpu&, const Op*);

template <bool SamePage>
const Op* jmp64(Vcpu& cpu, const Op* op) {
  return follow_taken<SamePage>(cpu, op);
}
template const Op* jmp64<true>(Vcpu&, const Op*);
template const Op* jmp64<false>(Vcpu&, const Op*);

// To `target`, whose address has been popped.
[[gnu::always_inline]] inline const Op* return_to(Vcpu& cpu, u64 target) {
  const ExpectedReturn& expected = cpu.expected_returns[cpu.newest_return];
  cpu.newest_return = (cpu.newest_return - 1) % kExpectedReturns;
  if (expected.rip != target) [[unlikely]]
    return enter_at(cpu, target);
  Link* link = expected.link;
  if (link->stamp != cpu.code_epoch) [[unlikely]]
    return follow_slow(cpu, link, target, false);
  cpu.slots[kSlotRip / 8] = target;
  return enter<&mov_rr<u64, AfterCopy>, &mov_rm<u64, SimpleAddress, AfterLoad>, &mov_rr<u32, AfterCopy>>(cpu,
                                                                                                        link->target);
}

[[gnu::noinline]] const Op* ret64_slow(Vcpu& cpu, const Op* op) {
  const u64 rsp = cpu.gpr(RSP);
  const Loaded<u64> target = load_linear<u64>(cpu, op, rsp);
  if (target.status == MemStatus::fault) return leave_with_fault(cpu, op);
  if (!is_canonical(target.value)) return raise(cpu, op, fault_gp());
  cpu.gpr(RSP) = rsp + 8 + op->imm;
  if (target.status == MemStatus::leave) return leave_to(cpu, op, target.value);
  return return_to(cpu, target.value);
}

const Op* ret64(Vcpu& cpu, const Op* op) {
  const u64 linear = cpu.gpr(RSP);
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (!tlb_hit(cpu, entry.read_tag, linear, 8)) [[unlikely]]
    return ret64_slow(cpu, op);
  const u64 target = host_load<u64>(host_of(entry, linear));
  if (!is_canonical(target)) [[unlikely]]
    return ret64_slow(cpu, op);
  cpu.gpr(RSP) = linear + 8 + op->imm;
  return return_to(cpu, target);
}

// Joins a block that was cut short to the code after it. Not an instruction: left is 0.
template <bool SamePage>
const Op* fall_through(Vcpu& cpu, const Op* op) {
  return follow<SamePage>(cpu, &links_of(op)[0], op->next_offset);
}
const Op* fall_through_legacy(Vcpu& cpu, const Op* op) {
  return enter_at(cpu, (cpu.slots[kSlotRip / 8] + op->next_offset) & cpu.rip_mask);
}
template const Op* fall_through<true>(Vcpu&, const Op*);
template const Op* fall_through<false>(Vcpu&, const Op*);

template <>
Handler lower<Operation::JMP>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_direct(instruction, op, context);
  if (!is64(instruction)) return &jmp_legacy;
  return successors_in_page(instruction, context) ? &jmp64<true> : &jmp64<false>;
}

template <>
Handler lower<Operation::JCC>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_direct(instruction, op, context);
  return pick_jcc(instruction.condition, !is64(instruction), successors_in_page(instruction, context),
                  std::make_integer_sequence<unsigned, 16>());
}

template <>
Handler lower<Operation::CALL>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_direct(instruction, op, context);
  op.base = gpr_slot(RSP);
  if (!is64(instruction)) {
    context.wants_links = false;
    return &cold_branch<call_legacy>;
  }
  return successors_in_page(instruction, context) ? &call64<true> : &call64<false>;
}

template <>
Handler lower<Operation::CALL_INDIRECT>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_indirect(instruction, op, context);
  const bool by_register = is_register(instruction.operands[0]);
  context.wants_links = is64(instruction);
  if (is64(instruction)) return by_register ? &call_register : &call_memory;
  return by_register ? &cold_branch<call_indirect_legacy<true>> : &cold_branch<call_indirect_legacy<false>>;
}

template <>
Handler lower<Operation::JMP_INDIRECT>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_indirect(instruction, op, context);
  const bool by_register = is_register(instruction.operands[0]);
  if (is64(instruction)) return by_register ? &jmp_register : &jmp_memory;
  return by_register ? &cold_branch<jmp_indirect_legacy<true>> : &cold_branch<jmp_indirect_legacy<false>>;
}

template <>
Handler lower<Operation::RET>(const Instruction& instruction, Op& op, LowerContext& context) {
  context.ends_block = true;
  op.aux = instruction.operand_bytes;
  op.imm = instruction.operand_count ? static_cast<u16>(instruction.immediate) : 0;
  op.base = gpr_slot(RSP);
  return is64(instruction) ? &ret64 : &cold_branch<ret_legacy>;
}

template <>
Handler lower<Operation::LOOP>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_counted(instruction, op, context);
  return &cold_branch<loop<LoopKind::always>>;
}
template <>
Handler lower<Operation::LOOPE>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_counted(instruction, op, context);
  return &cold_branch<loop<LoopKind::equal>>;
}
template <>
Handler lower<Operation::LOOPNE>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_counted(instruction, op, context);
  return &cold_branch<loop<LoopKind::not_equal>>;
}
template <>
Handler lower<Operation::JCXZ>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_counted(instruction, op, context);
  return &cold_branch<jcxz>;
}

}  // namespace rondo::software
