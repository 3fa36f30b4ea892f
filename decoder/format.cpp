#include "decoder/format.h"

#include <array>
#include <cctype>
#include <charconv>
#include <string_view>

namespace rondo::decoder {
namespace {

constexpr std::array<const char*, 6> kSegments = {"es", "cs", "ss", "ds", "fs", "gs"};
constexpr std::array<const char*, 16> kConditions = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                                     "s", "ns", "p", "np", "l", "ge", "le", "g"};

std::string hex(std::uint64_t value) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  std::string text = "0x";
  text.append(digits.data(), end);
  return text;
}

std::string numbered(const char* stem, unsigned number) {
  std::string text = stem;
  return text += std::to_string(number);
}

std::uint64_t truncate(std::uint64_t value, unsigned bytes) {
  return bytes >= 8 ? value : value & ((std::uint64_t{1} << (bytes * 8)) - 1);
}

std::string gpr(unsigned reg, unsigned bytes, bool high_byte = false) {
  static constexpr std::array<const char*, 8> kWords = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  static constexpr std::array<const char*, 8> kBytes = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
  static constexpr std::array<const char*, 4> kHighBytes = {"ah", "ch", "dh", "bh"};
  if (high_byte) return kHighBytes[reg & 3];
  if (reg >= 8) {
    std::string text = "r";
    text += std::to_string(reg);
    return text += bytes == 1 ? "b" : bytes == 2 ? "w" : bytes == 4 ? "d" : "";
  }
  if (bytes == 1) return kBytes[reg];
  std::string text = bytes == 2 ? "" : bytes == 4 ? "e" : "r";
  return text += kWords[reg];
}

const char* size_name(unsigned bytes) {
  switch (bytes) {
    case 1:
      return "byte ptr ";
    case 2:
      return "word ptr ";
    case 4:
      return "dword ptr ";
    case 8:
      return "qword ptr ";
    case 10:
      return "tbyte ptr ";
    case 16:
      return "xmmword ptr ";
    default:
      return "";
  }
}

// The name of one of several by operand size: 2, 4 or 8 bytes.
std::string by_size(unsigned bytes, const char* word, const char* dword, const char* qword) {
  return bytes == 2 ? word : bytes == 4 ? dword : qword;
}

const char* string_suffix(unsigned bytes) { return bytes == 1 ? "b" : bytes == 2 ? "w" : bytes == 4 ? "d" : "q"; }

bool is_string(Operation operation) {
  switch (operation) {
    case Operation::MOVS:
    case Operation::CMPS:
    case Operation::STOS:
    case Operation::LODS:
    case Operation::SCAS:
    case Operation::INS:
    case Operation::OUTS:
      return true;
    default:
      return false;
  }
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::uint64_t next_address(const Instruction& inst, std::uint64_t address) { return address + inst.length; }

std::string memory_text(const Instruction& inst, std::uint64_t address, unsigned size_bytes) {
  const Memory& memory = inst.memory;
  std::string text = size_name(size_bytes);
  const bool is_stack = memory.base == 4 || memory.base == 5;
  const bool is_default = memory.segment == (is_stack ? 2 : 3);
  if (!is_default) text += std::string(kSegments[memory.segment % kSegments.size()]) + ":";
  text += "[";
  const auto displacement = static_cast<std::uint64_t>(memory.displacement);
  if (memory.base == kRipRegister) {
    return text + "rel " + hex(truncate(next_address(inst, address) + displacement, memory.address_bytes)) + "]";
  }
  std::string sum;
  if (memory.base != kNoRegister) sum = gpr(memory.base, memory.address_bytes);
  if (memory.index != kNoRegister) {
    if (!sum.empty()) sum += "+";
    sum += gpr(memory.index, memory.address_bytes);
    if (memory.scale_shift != 0) sum += numbered("*", 1U << memory.scale_shift);
  }
  if (sum.empty()) return text + hex(truncate(displacement, memory.address_bytes)) + "]";
  if (memory.displacement < 0) return text + sum + "-" + hex(truncate(0 - displacement, memory.address_bytes)) + "]";
  if (memory.displacement > 0) return text + sum + "+" + hex(displacement) + "]";
  return text + sum + "]";
}

std::string operand_text(const Instruction& inst, std::uint64_t address, unsigned index) {
  const Operand& operand = inst.operands[index];
  switch (operand.kind) {
    case OperandKind::none:
      return "";
    case OperandKind::gpr:
      return gpr(operand.reg, operand.size_bytes, operand.high_byte);
    case OperandKind::segment:
      return kSegments[operand.reg % kSegments.size()];
    case OperandKind::control:
      return numbered("cr", operand.reg);
    case OperandKind::debug:
      return numbered("dr", operand.reg);
    case OperandKind::mmx:
      return numbered("mm", operand.reg);
    case OperandKind::xmm:
      return numbered("xmm", operand.reg);
    case OperandKind::st:
      return numbered("st(", operand.reg) + ")";
    case OperandKind::memory:
      return memory_text(inst, address, operand.size_bytes);
    case OperandKind::immediate: {
      bool is_second = false;
      for (unsigned i = 0; i < index; ++i) is_second |= inst.operands[i].kind == OperandKind::immediate;
      const auto value = static_cast<std::uint64_t>(is_second ? inst.immediate2 : inst.immediate);
      return hex(truncate(value, inst.operand_bytes));
    }
    case OperandKind::relative: {
      const auto target = next_address(inst, address) + static_cast<std::uint64_t>(inst.immediate);
      return hex(truncate(target, inst.operand_bytes));
    }
    case OperandKind::far_pointer:
      return hex(truncate(static_cast<std::uint64_t>(inst.immediate2), 2)) + ":" +
             hex(truncate(static_cast<std::uint64_t>(inst.immediate), inst.operand_bytes));
  }
  return "";
}

}  // namespace

std::string mnemonic(const Instruction& inst) {
  const std::string name = lower(operation_name(inst.operation));
  if (is_string(inst.operation)) return name + string_suffix(inst.operand_bytes);
  const char* condition = kConditions[inst.condition & 15];
  switch (inst.operation) {
    case Operation::JCC:
      return std::string("j") + condition;
    case Operation::SETCC:
      return std::string("set") + condition;
    case Operation::CMOVCC:
      return std::string("cmov") + condition;
    case Operation::CBW:
      return by_size(inst.operand_bytes, "cbw", "cwde", "cdqe");
    case Operation::CWD:
      return by_size(inst.operand_bytes, "cwd", "cdq", "cqo");
    case Operation::JCXZ:
      return by_size(inst.address_bytes, "jcxz", "jecxz", "jrcxz");
    case Operation::IRET:
      return by_size(inst.operand_bytes, "iret", "iretd", "iretq");
    case Operation::PUSHF:
      return by_size(inst.operand_bytes, "pushf", "pushfd", "pushfq");
    case Operation::POPF:
      return by_size(inst.operand_bytes, "popf", "popfd", "popfq");
    case Operation::PUSHA:
      return by_size(inst.operand_bytes, "pusha", "pushad", "pushad");
    case Operation::POPA:
      return by_size(inst.operand_bytes, "popa", "popad", "popad");
    case Operation::MOV_SEG:
    case Operation::MOV_CR:
    case Operation::MOV_DR:
      return "mov";
    case Operation::PUSH_SEG:
      return "push";
    case Operation::POP_SEG:
      return "pop";
    case Operation::CALL_INDIRECT:
      return "call";
    case Operation::JMP_INDIRECT:
      return "jmp";
    case Operation::CALL_FAR:
      return "call far";
    case Operation::JMP_FAR:
      return "jmp far";
    case Operation::RET_FAR:
      return "retf";
    case Operation::FXSAVE:
    case Operation::FXRSTOR:
      return inst.operand_bytes == 8 ? name + "64" : name;
    case Operation::SYSRET:
    case Operation::SYSEXIT:
      return inst.operand_bytes == 8 ? name + "q" : name;
    default:
      return name;
  }
}

std::string format(const Instruction& inst, std::uint64_t address) {
  if (inst.operation == Operation::INVALID) return "(bad)";
  std::string text;
  if (inst.lock) text += "lock ";
  if (inst.repne) text += "repne ";
  if (inst.rep) {
    const bool compares = inst.operation == Operation::CMPS || inst.operation == Operation::SCAS;
    text += compares ? "repe " : "rep ";
  }
  text += mnemonic(inst);
  if (is_string(inst.operation) && inst.segment_override != kNoRegister) {
    text += std::string(" ") + kSegments[inst.segment_override % kSegments.size()];
  }
  for (unsigned i = 0; i < inst.operand_count; ++i) {
    text += i == 0 ? " " : ", ";
    text += operand_text(inst, address, i);
  }
  return text;
}

}  // namespace rondo::decoder
