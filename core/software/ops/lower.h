// From a decoded Instruction to an Op: operand fields and the choice of the handler.
#pragma once

#include "core/software/op.h"
#include "decoder/instruction.h"

namespace rondo::software {

using decoder::Instruction;
using decoder::Operand;
using decoder::OperandKind;
using decoder::Operation;

struct LowerContext {
  // In: where in its page the block starts, and the offset of the next instruction from there. A block that crosses pages has crosses set.
  u64 page_offset = 0;
  bool crosses = false;
  // Out: no instruction may follow this one in its block. Set it for every ending<> handler.
  bool ends_block = false;
  // Out: the handler wants the block's links in Op::imm.
  bool wants_links = false;
};

// One specialisation per operation, in ops/*.cpp. Op comes in with length, next_offset and the memory operand's fields set (set_memory has been called if the
// instruction has one) and imm = Instruction::immediate. Returns nullptr if the form does not exist: the instruction then raises #UD.
template <Operation operation>
Handler lower(const Instruction& instruction, Op& op, LowerContext& context);

// The slot of a general register operand (high bytes included).
inline SlotOffset slot_of(const Operand& operand) {
  return static_cast<SlotOffset>(gpr_slot(operand.reg) + (operand.high_byte ? 1 : 0));
}
// Fills base, index, scale, disp, segment and ea from the instruction's memory operand.
void set_memory(const Instruction& instruction, Op& op);

inline bool is_register(const Operand& operand) { return operand.kind == OperandKind::gpr; }
inline bool is_memory(const Operand& operand) { return operand.kind == OperandKind::memory; }
inline bool is_immediate(const Operand& operand) { return operand.kind == OperandKind::immediate; }

// Picks the instance for an operand size in bytes: by_size(size, &f<u8>, &f<u16>, &f<u32>, &f<u64>).
inline Handler by_size(unsigned bytes, Handler h8, Handler h16, Handler h32, Handler h64) {
  switch (bytes) {
    case 1: return h8;
    case 2: return h16;
    case 4: return h32;
    case 8: return h64;
    default: return nullptr;
  }
}

}  // namespace rondo::software
