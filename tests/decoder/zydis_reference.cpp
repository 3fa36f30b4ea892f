#include "zydis_reference.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <unordered_map>

namespace rondo::decoder::testing {
namespace {

constexpr std::array<std::string_view, 16> kConditions = {"O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE",
                                                          "S", "NS", "P", "NP", "L", "NL", "LE", "NLE"};

// Extensions that the CPU model does not have; everything else that Zydis knows must decode.
bool in_model(const ZydisDecodedInstruction& inst) {
  if (inst.mnemonic == ZYDIS_MNEMONIC_XGETBV) return true;  // what it does in the model: core/cpu/host_cpuid.h
  switch (inst.meta.isa_ext) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH:
    case ZYDIS_ISA_EXT_CLDEMOTE:
    case ZYDIS_ISA_EXT_CLFSH:
    case ZYDIS_ISA_EXT_INVPCID:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_MONITOR:
    case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_PREFETCHWT1:
    case ZYDIS_ISA_EXT_RDTSCP:
    case ZYDIS_ISA_EXT_RDWRFSGS:
    case ZYDIS_ISA_EXT_SMAP:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSE4:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_X87:
      break;
    default:
      return false;
  }
  return inst.mnemonic != ZYDIS_MNEMONIC_RSM && inst.mnemonic != ZYDIS_MNEMONIC_GETSEC &&
         inst.meta.isa_set != ZYDIS_ISA_SET_PCLMULQDQ;
}

class Names {
 public:
  Names() {
    for (std::size_t i = 1; i < kOperationCount; ++i) {
      operations_.emplace(operation_name(static_cast<Operation>(i)), static_cast<Operation>(i));
    }
  }

  Operation find(std::string_view name) const {
    const auto found = operations_.find(name);
    return found == operations_.end() ? Operation::INVALID : found->second;
  }

 private:
  std::unordered_map<std::string_view, Operation> operations_;
};

bool has_kind(const ZydisDecodedInstruction& inst, const ZydisDecodedOperand* operands, ZydisRegisterClass kind) {
  for (unsigned i = 0; i < inst.operand_count_visible; ++i) {
    if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(operands[i].reg.value) == kind)
      return true;
  }
  return false;
}

bool conditional(std::string_view name, std::string_view stem, Operation operation, Instruction& out) {
  if (name.rfind(stem, 0) != 0) return false;
  const auto found = std::find(kConditions.begin(), kConditions.end(), name.substr(stem.size()));
  if (found == kConditions.end()) return false;
  out.operation = operation;
  out.condition = static_cast<std::uint8_t>(found - kConditions.begin());
  return true;
}

void set_operation(const Names& names, const ZydisDecodedInstruction& inst, const ZydisDecodedOperand* operands,
                   std::string_view name, Instruction& out) {
  static const std::unordered_map<std::string_view, Operation> kOtherNames = {{"CWDE", Operation::CBW},
                                                                              {"CDQE", Operation::CBW},
                                                                              {"CDQ", Operation::CWD},
                                                                              {"CQO", Operation::CWD},
                                                                              {"IRETD", Operation::IRET},
                                                                              {"IRETQ", Operation::IRET},
                                                                              {"JECXZ", Operation::JCXZ},
                                                                              {"JRCXZ", Operation::JCXZ},
                                                                              {"PUSHAD", Operation::PUSHA},
                                                                              {"POPAD", Operation::POPA},
                                                                              {"PUSHFD", Operation::PUSHF},
                                                                              {"PUSHFQ", Operation::PUSHF},
                                                                              {"POPFD", Operation::POPF},
                                                                              {"POPFQ", Operation::POPF},
                                                                              {"FXSAVE64", Operation::FXSAVE},
                                                                              {"FXRSTOR64", Operation::FXRSTOR},
                                                                              {"PREFETCHNTA", Operation::PREFETCH},
                                                                              {"PREFETCHT0", Operation::PREFETCH},
                                                                              {"PREFETCHT1", Operation::PREFETCH},
                                                                              {"PREFETCHT2", Operation::PREFETCH},
                                                                              {"PREFETCHW", Operation::PREFETCH},
                                                                              {"PREFETCHWT1", Operation::PREFETCH},
                                                                              {"FENI8087_NOP", Operation::FNOP},
                                                                              {"FDISI8087_NOP", Operation::FNOP},
                                                                              {"FSETPM287_NOP", Operation::FNOP},
                                                                              {"FSTPNCE", Operation::FSTP},
                                                                              {"SYSEXITQ", Operation::SYSEXIT}};
  static const std::unordered_map<std::string_view, Operation> kStrings = {
      {"MOVS", Operation::MOVS}, {"CMPS", Operation::CMPS}, {"STOS", Operation::STOS}, {"LODS", Operation::LODS},
      {"SCAS", Operation::SCAS}, {"INS", Operation::INS},   {"OUTS", Operation::OUTS}};
  out.operation = names.find(name);
  if (conditional(name, "J", Operation::JCC, out) || conditional(name, "CMOV", Operation::CMOVCC, out) ||
      conditional(name, "SET", Operation::SETCC, out)) {
    return;
  }
  if (const auto found = kOtherNames.find(name); found != kOtherNames.end()) out.operation = found->second;
  const bool is_string =
      inst.meta.category == ZYDIS_CATEGORY_STRINGOP || inst.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
  if (is_string) {
    if (const auto found = kStrings.find(name.substr(0, name.size() - 1)); found != kStrings.end()) {
      out.operation = found->second;
    }
  }
  const bool is_far = inst.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
  const bool is_relative = inst.operand_count_visible > 0 && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  const bool has_segment = has_kind(inst, operands, ZYDIS_REGCLASS_SEGMENT);
  if (inst.mnemonic == ZYDIS_MNEMONIC_CALL) {
    out.operation = is_far ? Operation::CALL_FAR : is_relative ? Operation::CALL : Operation::CALL_INDIRECT;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_JMP) {
    out.operation = is_far ? Operation::JMP_FAR : is_relative ? Operation::JMP : Operation::JMP_INDIRECT;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_RET && is_far) {
    out.operation = Operation::RET_FAR;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_MOV && has_segment) {
    out.operation = Operation::MOV_SEG;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_MOV && has_kind(inst, operands, ZYDIS_REGCLASS_CONTROL)) {
    out.operation = Operation::MOV_CR;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_MOV && has_kind(inst, operands, ZYDIS_REGCLASS_DEBUG)) {
    out.operation = Operation::MOV_DR;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_PUSH && has_segment) {
    out.operation = Operation::PUSH_SEG;
  } else if (inst.mnemonic == ZYDIS_MNEMONIC_POP && has_segment) {
    out.operation = Operation::POP_SEG;
  }
}

Operand register_operand(ZydisRegister reg) {
  Operand out;
  out.reg = static_cast<std::uint8_t>(std::max<int>(ZydisRegisterGetId(reg), 0));
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
      out.kind = OperandKind::gpr;
      out.size_bytes = 1;
      // Zydis numbers AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B...: the id skips nothing, so count from AL.
      if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
        out.reg = static_cast<std::uint8_t>(reg - ZYDIS_REGISTER_AH);
        out.high_byte = true;
      } else if (reg >= ZYDIS_REGISTER_SPL) {
        out.reg = static_cast<std::uint8_t>(reg - ZYDIS_REGISTER_SPL + 4);
      } else {
        out.reg = static_cast<std::uint8_t>(reg - ZYDIS_REGISTER_AL);
      }
      break;
    case ZYDIS_REGCLASS_GPR16:
      out.kind = OperandKind::gpr, out.size_bytes = 2;
      break;
    case ZYDIS_REGCLASS_GPR32:
      out.kind = OperandKind::gpr, out.size_bytes = 4;
      break;
    case ZYDIS_REGCLASS_GPR64:
      out.kind = OperandKind::gpr, out.size_bytes = 8;
      break;
    case ZYDIS_REGCLASS_IP:
      out.kind = OperandKind::gpr, out.reg = kRipRegister;
      break;
    case ZYDIS_REGCLASS_SEGMENT:
      out.kind = OperandKind::segment, out.size_bytes = 2;
      break;
    case ZYDIS_REGCLASS_CONTROL:
      out.kind = OperandKind::control;
      break;
    case ZYDIS_REGCLASS_DEBUG:
      out.kind = OperandKind::debug;
      break;
    case ZYDIS_REGCLASS_MMX:
      out.kind = OperandKind::mmx, out.size_bytes = 8;
      break;
    case ZYDIS_REGCLASS_XMM:
      out.kind = OperandKind::xmm, out.size_bytes = 16;
      break;
    case ZYDIS_REGCLASS_X87:
      out.kind = OperandKind::st, out.size_bytes = 10;
      break;
    default:
      break;
  }
  return out;
}

Operand memory_operand(const ZydisDecodedInstruction& inst, const ZydisDecodedOperand& operand, Instruction& out) {
  Memory& memory = out.memory;
  if (operand.mem.base != ZYDIS_REGISTER_NONE) memory.base = register_operand(operand.mem.base).reg;
  if (operand.mem.index != ZYDIS_REGISTER_NONE) memory.index = register_operand(operand.mem.index).reg;
  memory.scale_shift = operand.mem.scale > 1 ? static_cast<std::uint8_t>(std::countr_zero(operand.mem.scale)) : 0;
  memory.displacement = operand.mem.disp.value;
  memory.segment = register_operand(operand.mem.segment).reg;
  memory.address_bytes = static_cast<std::uint8_t>(inst.address_width / 8);
  Operand result;
  result.kind = OperandKind::memory;
  result.size_bytes = static_cast<std::uint8_t>(operand.size / 8);
  return result;
}

void add_operand(const ZydisDecodedInstruction& inst, const ZydisDecodedOperand& operand, Instruction& out) {
  if (out.operand_count == out.operands.size()) return;
  Operand& slot = out.operands[out.operand_count];
  switch (operand.type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
      slot = register_operand(operand.reg.value);
      break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
      slot = memory_operand(inst, operand, out);
      break;
    case ZYDIS_OPERAND_TYPE_POINTER:
      slot.kind = OperandKind::far_pointer;
      out.immediate = operand.ptr.offset;
      out.immediate2 = operand.ptr.segment;
      break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: {
      slot.kind = operand.imm.is_relative ? OperandKind::relative : OperandKind::immediate;
      const bool is_second =
          out.operand_count > 0 && out.operands[out.operand_count - 1u].kind == OperandKind::immediate;
      (is_second ? out.immediate2 : out.immediate) = operand.imm.value.s;
      break;
    }
    default:
      return;
  }
  ++out.operand_count;
}

// The immediate's encoded width, for comparison without regard to extension.
bool same_immediate(std::int64_t ours, std::int64_t theirs) {
  return ours == theirs || (ours < 0 && ours >= -0x80 && (ours & 0xff) == theirs) ||
         (ours < 0 && ours >= -0x8000 && (ours & 0xffff) == theirs) ||
         (ours < 0 && ours >= -0x80000000LL && (ours & 0xffffffff) == theirs);
}

bool same_displacement(const Memory& a, const Memory& b) {
  if (a.address_bytes == 8) return a.displacement == b.displacement;
  const std::int64_t mask = a.address_bytes == 2 ? 0xffff : 0xffffffff;
  return ((a.displacement ^ b.displacement) & mask) == 0;
}

bool has_vector_operand(const Instruction& inst) {
  return std::any_of(inst.operands.begin(), inst.operands.end(),
                     [](const Operand& o) { return o.kind == OperandKind::xmm || o.kind == OperandKind::mmx; });
}

// Where the operand size changes nothing, ours is what the prefixes say and Zydis's is what its tables say.
bool operand_size_matters(const Instruction& inst) {
  switch (inst.operation) {
    case Operation::MOV_SEG:
    case Operation::ARPL:
    case Operation::SYSCALL:
    case Operation::EMMS:
    case Operation::LMSW:
    case Operation::LLDT:
    case Operation::LTR:
    case Operation::VERR:
    case Operation::VERW:
      return false;
    default:
      return !has_vector_operand(inst);
  }
}

}  // namespace

struct ZydisReference::Impl {
  std::array<ZydisDecoder, 3> decoders;
  Names names;
};

ZydisReference::ZydisReference() : impl_(std::make_unique<Impl>()) {
  ZydisDecoderInit(&impl_->decoders[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
  ZydisDecoderInit(&impl_->decoders[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisDecoderInit(&impl_->decoders[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (auto& decoder : impl_->decoders) {
    for (const auto mode : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_LZCNT,
                            ZYDIS_DECODER_MODE_TZCNT, ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE}) {
      ZydisDecoderEnableMode(&decoder, mode, ZYAN_FALSE);
    }
  }
}

ZydisReference::~ZydisReference() = default;

Reference ZydisReference::decode(std::span<const std::uint8_t> bytes, CodeMode mode) const {
  Reference result;
  ZydisDecodedInstruction inst;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  const auto status = ZydisDecoderDecodeFull(&impl_->decoders[static_cast<unsigned>(mode)], bytes.data(), bytes.size(),
                                             &inst, operands.data());
  if (!ZYAN_SUCCESS(status)) {
    if (status == ZYDIS_STATUS_NO_MORE_DATA) result.status = DecodeStatus::truncated;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) result.status = DecodeStatus::too_long;
    return result;
  }
  result.status = DecodeStatus::ok;
  result.mnemonic = ZydisMnemonicGetString(inst.mnemonic);
  std::transform(result.mnemonic.begin(), result.mnemonic.end(), result.mnemonic.begin(), ::toupper);
  result.in_model = in_model(inst);
  Instruction& out = result.instruction;
  out.length = inst.length;
  out.mode = mode;
  out.operand_bytes = static_cast<std::uint8_t>(inst.operand_width / 8);
  out.address_bytes = static_cast<std::uint8_t>(inst.address_width / 8);
  out.lock = (inst.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
  set_operation(impl_->names, inst, operands.data(), result.mnemonic, out);
  out.rep = (inst.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) != 0;
  out.repne = (inst.attributes & ZYDIS_ATTRIB_HAS_REPNE) != 0;
  for (unsigned i = 0; i < inst.operand_count_visible; ++i) add_operand(inst, operands[i], out);
  return result;
}

std::string first_difference(const Instruction& ours, const Instruction& theirs) {
  if (ours.length != theirs.length) return "length";
  if (ours.operation != theirs.operation) return "operation";
  const bool does_nothing = ours.operation == Operation::NOP || ours.operation == Operation::PREFETCH ||
                            ours.operation == Operation::UD0 || ours.operation == Operation::UD1;
  if (does_nothing) return "";
  if (ours.condition != theirs.condition) return "condition";
  if (ours.operand_bytes != theirs.operand_bytes && operand_size_matters(ours)) return "operand_bytes";
  if (ours.address_bytes != theirs.address_bytes) return "address_bytes";
  if (ours.lock != theirs.lock) return "lock";
  if (ours.rep != theirs.rep || ours.repne != theirs.repne) return "repeat";
  if (ours.operand_count != theirs.operand_count) return "operand_count";
  for (unsigned i = 0; i < ours.operand_count; ++i) {
    const Operand& a = ours.operands[i];
    const Operand& b = theirs.operands[i];
    const std::string which = "operand " + std::to_string(i) + " ";
    if (a.kind != b.kind) return which + "kind";
    switch (a.kind) {
      case OperandKind::memory:
        if (ours.memory.base != theirs.memory.base) return which + "base";
        if (ours.memory.index != theirs.memory.index) return which + "index";
        if (ours.memory.index != kNoRegister && ours.memory.scale_shift != theirs.memory.scale_shift)
          return which + "scale";
        if (!same_displacement(ours.memory, theirs.memory)) return which + "displacement";
        if (ours.memory.segment != theirs.memory.segment) return which + "segment";
        if (a.size_bytes != b.size_bytes && a.size_bytes != 0) return which + "size";
        break;
      case OperandKind::immediate:
      case OperandKind::relative:
      case OperandKind::far_pointer:
        break;
      default:
        if (a.reg != b.reg || a.high_byte != b.high_byte) return which + "reg";
        if (a.size_bytes != b.size_bytes && a.kind != OperandKind::control && a.kind != OperandKind::debug)
          return which + "size";
    }
  }
  if (!same_immediate(ours.immediate, theirs.immediate)) return "immediate";
  if (!same_immediate(ours.immediate2, theirs.immediate2)) return "immediate2";
  return "";
}

}  // namespace rondo::decoder::testing
