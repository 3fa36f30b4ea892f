#include "tests/silicon/forms.h"

#include <array>
#include <tuple>

#include "tests/silicon/policy.h"

namespace rondo::silicon {
namespace {

using decoder::Operation;

// Opcodes followed by a ModRM byte (SDM 2D, appendix A).
bool has_modrm(OpcodeMap map, u8 opcode) {
  if (map == OpcodeMap::map_0f38 || map == OpcodeMap::map_0f3a) return true;
  if (map == OpcodeMap::two_byte) {
    if (opcode <= 0x0f) return opcode <= 0x03 || opcode == 0x0d || opcode == 0x0f;
    if (opcode >= 0x30 && opcode <= 0x3f) return false;
    if (opcode >= 0x80 && opcode <= 0x8f) return false;
    if (opcode >= 0xc8 && opcode <= 0xcf) return false;
    return opcode != 0x77 && opcode != 0xa0 && opcode != 0xa1 && opcode != 0xa2 && opcode != 0xa8 && opcode != 0xa9 &&
           opcode != 0xaa;
  }
  if (opcode < 0x40) return (opcode & 7) < 4;
  if (opcode >= 0x80 && opcode <= 0x8f) return true;
  if (opcode >= 0xd0) return opcode <= 0xd3 || (opcode >= 0xd8 && opcode <= 0xdf) || (opcode & 0xf6) == 0xf6;
  return opcode == 0x63 || opcode == 0x69 || opcode == 0x6b || opcode == 0xc0 || opcode == 0xc1 || opcode == 0xc6 ||
         opcode == 0xc7;
}

// Prefix bytes, REX, escapes and VEX/EVEX: not opcodes of their own in 64-bit mode.
bool is_prefix(u8 opcode) {
  switch (opcode) {
    case 0x0f:
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x62:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xc4:
    case 0xc5:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return true;
    default:
      return (opcode & 0xf0) == 0x40;
  }
}

bool is_near_branch(Operation operation) {
  switch (operation) {
    case Operation::JMP:
    case Operation::JMP_INDIRECT:
    case Operation::JCC:
    case Operation::JCXZ:
    case Operation::LOOP:
    case Operation::LOOPE:
    case Operation::LOOPNE:
    case Operation::CALL:
    case Operation::CALL_INDIRECT:
    case Operation::RET:
      return true;
    default:
      return false;
  }
}

bool is_common(Operation operation) {
  switch (operation) {
    case Operation::MOV:
    case Operation::MOVZX:
    case Operation::MOVSX:
    case Operation::LEA:
    case Operation::PUSH:
    case Operation::POP:
    case Operation::ADD:
    case Operation::ADC:
    case Operation::SUB:
    case Operation::SBB:
    case Operation::CMP:
    case Operation::AND:
    case Operation::OR:
    case Operation::XOR:
    case Operation::TEST:
    case Operation::INC:
    case Operation::DEC:
    case Operation::NEG:
    case Operation::SHL:
    case Operation::SHR:
    case Operation::SAR:
    case Operation::ROL:
    case Operation::IMUL:
    case Operation::JCC:
    case Operation::SETCC:
    case Operation::CMOVCC:
    case Operation::PUSHF:
    case Operation::LAHF:
      return true;
    default:
      return false;
  }
}

// Encodings that processors execute in different ways, or as instructions that the model does not have.
std::string_view vendor_specific(Operation operation, u8 prefix, bool prefetch_register) {
  if (prefetch_register) return "0F 0D with a register: a NOP or #UD";
  // SDM 2A: Intel ignores 66 before near branches in 64-bit mode, AMD truncates RIP. The model is Intel's.
  if (prefix == 0x66 && is_near_branch(operation)) return "operand-size prefix before a near branch: vendors differ";
  // Zen takes F2 and F3 before them as the condition to repeat on; nobody documents that.
  if ((prefix == 0xf2 || prefix == 0xf3) && (operation == Operation::LOOPE || operation == Operation::LOOPNE))
    return "repeat prefix before LOOPE and LOOPNE: reserved";
  if (operation == Operation::INT1) return "hypervisors report INT1 in different ways";
  if (prefix == 0xf3 && (operation == Operation::BSF || operation == Operation::BSR))
    return "TZCNT and LZCNT on newer processors";
  return "";
}

}  // namespace

Forms::Forms(const std::string& filter, const Comparison& comparison) {
  decoder::Decoder decoder;
  std::vector<std::vector<Form>> found(decoder::kOperationCount);
  std::map<std::tuple<u8, u8, u8, bool, bool, Operation, u8>, Form> forms;
  const auto try_encoding = [&](OpcodeMap map, u8 opcode, u8 prefix, bool rex_w, int modrm) {
    std::array<u8, 15> bytes{};
    unsigned length = 0;
    if (prefix) bytes[length++] = prefix;
    if (rex_w) bytes[length++] = 0x48;
    if (map != OpcodeMap::one_byte) bytes[length++] = 0x0f;
    if (map == OpcodeMap::map_0f38) bytes[length++] = 0x38;
    if (map == OpcodeMap::map_0f3a) bytes[length++] = 0x3a;
    bytes[length++] = opcode;
    if (modrm >= 0) bytes[length++] = static_cast<u8>(modrm);
    ++encodings_tried;
    decoder::Instruction instruction;
    if (decoder.decode(bytes, decoder::CodeMode::bits64, instruction) != decoder::DecodeStatus::ok) return;
    const std::string_view reason = excluded(instruction, comparison);
    if (!reason.empty()) {
      ++excluded_encodings[std::string(reason)];
      return;
    }
    const std::string_view vendor =
        vendor_specific(instruction.operation, prefix, map == OpcodeMap::two_byte && opcode == 0x0d && modrm >= 0xc0);
    if (!vendor.empty()) {
      ++excluded_encodings[std::string(vendor)];
      return;
    }
    const bool memory = modrm >= 0 && modrm < 0xc0;
    const u8 immediate_bytes = static_cast<u8>(instruction.length - length);
    Form& form = forms[{static_cast<u8>(map), opcode, prefix, rex_w, memory, instruction.operation, immediate_bytes}];
    form.operation = instruction.operation;
    form.map = map;
    form.opcode = opcode;
    form.prefix = prefix;
    form.rex_w = rex_w;
    form.has_modrm = modrm >= 0;
    form.memory = memory;
    form.immediate_bytes = immediate_bytes;
    if (modrm >= 0) form.modrm.push_back(static_cast<u8>(memory ? (modrm >> 3) & 7 : modrm));
  };
  for (unsigned map = 0; map < 4; ++map) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      const OpcodeMap opcode_map{static_cast<u8>(map)};
      if (opcode_map == OpcodeMap::one_byte && is_prefix(static_cast<u8>(opcode))) continue;
      if (opcode_map == OpcodeMap::two_byte && (opcode == 0x38 || opcode == 0x3a)) continue;
      for (const u8 prefix : {0x00, 0x66, 0xf2, 0xf3}) {
        for (const bool rex_w : {false, true}) {
          if (!has_modrm(opcode_map, static_cast<u8>(opcode))) {
            try_encoding(opcode_map, static_cast<u8>(opcode), prefix, rex_w, -1);
            continue;
          }
          for (int reg = 0; reg < 8; ++reg) try_encoding(opcode_map, static_cast<u8>(opcode), prefix, rex_w, reg << 3);
          for (int modrm = 0xc0; modrm < 0x100; ++modrm)
            try_encoding(opcode_map, static_cast<u8>(opcode), prefix, rex_w, modrm);
        }
      }
    }
  }
  for (auto& [key, form] : forms) {
    if (!filter.empty() && decoder::operation_name(form.operation) != filter) continue;
    found[static_cast<std::size_t>(form.operation)].push_back(std::move(form));
    ++form_count;
  }
  for (auto& list : found) {
    if (list.empty()) continue;
    if (is_common(list.front().operation)) common.push_back(list);
    by_operation.push_back(std::move(list));
  }
}

}  // namespace rondo::silicon
