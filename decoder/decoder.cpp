#include "decoder/decoder.h"

#include <llvm/ADT/ArrayRef.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "decoder/forms.h"
#include "decoder/prefix_roles.h"
#include "decoder/substitutions.h"

namespace rondo::decoder {
namespace {

#include "decoder/opcode_forms.inc"
#include "decoder/registers.inc"

// What MC is given: the prefixes that matter in a fixed order, then the opcode and what follows it.
struct CodeBuffer {
  static constexpr unsigned kMaxPrefixes = 4;  // 67, 66, F2 or F3, REX
  std::array<std::uint8_t, kMaxPrefixes + kMaxInstructionBytes + 1> bytes;
  unsigned prefixes = 0;
  unsigned size = 0;

  std::span<std::uint8_t> code() { return {bytes.data() + prefixes, size - prefixes}; }
};

std::uint8_t address_bytes_of(CodeMode mode, bool prefix) {
  switch (mode) {
    case CodeMode::bits16:
      return prefix ? 4 : 2;
    case CodeMode::bits32:
      return prefix ? 2 : 4;
    case CodeMode::bits64:
      break;
  }
  return prefix ? 4 : 8;
}

std::uint8_t operand_bytes_of(const OpcodeForm& form, CodeMode mode, const Prefixes& prefixes) {
  const bool is64 = mode == CodeMode::bits64;
  std::uint8_t bytes = (mode == CodeMode::bits16) != prefixes.operand_size ? 2 : 4;
  if (is64 && (prefixes.rex & 8) != 0) bytes = 8;
  switch (form.size_rule) {
    case SizeRule::prefixes:
      return bytes;
    case SizeRule::stack:
      return is64 && bytes != 2 ? 8 : bytes;
    case SizeRule::near_branch:
      return is64 ? 8 : bytes;
    case SizeRule::mode:
      return is64 ? 8 : 4;
    case SizeRule::fixed:
      break;
  }
  return form.fixed_bytes;
}

// LLVM sign-extends some immediates and zero-extends others. The immediate is the last thing in the instruction: if its
// top bit is set and the value is not negative, it was zero-extended, and its top byte tells its width.
std::int64_t sign_extend_as_encoded(std::int64_t value, std::uint8_t last_byte) {
  if (value < 0x80 || (last_byte & 0x80) == 0) return value;
  if (value <= 0xff) return static_cast<std::int8_t>(value);
  if (value <= 0xffff) return static_cast<std::int16_t>(value);
  if (value <= 0xffffffff) return static_cast<std::int32_t>(value);
  return value;
}

Memory memory_of(const llvm::MCInst& inst, unsigned at, const Instruction& out) {
  Memory memory;
  const unsigned base = inst.getOperand(at).getReg();
  const unsigned index = inst.getOperand(at + 2).getReg();
  if (kRegisters[base].kind == OperandKind::gpr) memory.base = kRegisters[base].reg;
  if (kRegisters[index].kind == OperandKind::gpr) memory.index = kRegisters[index].reg;
  const auto scale = inst.getOperand(at + 1).getImm();
  memory.scale_shift = scale == 8 ? 3 : static_cast<std::uint8_t>(scale >> 1);
  memory.displacement = inst.getOperand(at + 3).getImm();
  // SP and BP as a base select SS by default (SDM 1 3.7.4).
  memory.segment = memory.base == 4 || memory.base == 5 ? 2 : 3;
  if (out.segment_override != kNoRegister) memory.segment = out.segment_override;
  memory.address_bytes = out.address_bytes;
  return memory;
}

class OperandBuilder {
 public:
  OperandBuilder(const llvm::MCInst& inst, std::uint8_t last_byte, Instruction& out)
      : inst_(inst), last_byte_(last_byte), out_(out) {}

  void build(const OpcodeForm& form) {
    for (const Step& step : form.steps) {
      if (step.kind == StepKind::end) return;
      one(form, step);
    }
  }

 private:
  void add(OperandKind kind, unsigned reg, unsigned bytes) {
    out_.operands[out_.operand_count++] = {kind, static_cast<std::uint8_t>(reg), static_cast<std::uint8_t>(bytes),
                                           false};
  }

  void add_immediate(std::int64_t value) {
    (immediates_++ == 0 ? out_.immediate : out_.immediate2) = value;
    add(OperandKind::immediate, 0, 0);
  }

  void add_memory(const OpcodeForm& form) {
    add(OperandKind::memory, 0, form.memory_bytes == kMemoryIsOperandSize ? out_.operand_bytes : form.memory_bytes);
  }

  void one(const OpcodeForm& form, const Step& step) {
    const auto given = [&](unsigned offset = 0) -> const llvm::MCOperand& {
      return inst_.getOperand(step.argument + offset);
    };
    switch (step.kind) {
      case StepKind::end:
        break;
      case StepKind::reg:
        out_.operands[out_.operand_count++] = kRegisters[given().getReg()];
        break;
      case StepKind::memory:
        out_.memory = memory_of(inst_, step.argument, out_);
        add_memory(form);
        break;
      case StepKind::offset:
        out_.memory.displacement = given().getImm();
        out_.memory.address_bytes = out_.address_bytes;
        out_.memory.segment = out_.segment_override != kNoRegister ? out_.segment_override : 3;
        add_memory(form);
        break;
      case StepKind::immediate:
        add_immediate(sign_extend_as_encoded(given().getImm(), last_byte_));
        break;
      case StepKind::relative:
        out_.immediate = sign_extend_as_encoded(given().getImm(), last_byte_);
        add(OperandKind::relative, 0, 0);
        break;
      case StepKind::far_pointer:
        out_.immediate = given(0).getImm() & (out_.operand_bytes == 2 ? 0xffff : 0xffffffff);
        out_.immediate2 = given(1).getImm() & 0xffff;
        add(OperandKind::far_pointer, 0, 0);
        break;
      case StepKind::condition:
        out_.condition = static_cast<std::uint8_t>(given().getImm());
        break;
      case StepKind::accumulator:
        add(OperandKind::gpr, 0, out_.operand_bytes);
        break;
      case StepKind::one:
        add_immediate(1);
        break;
      case StepKind::fixed_cl:
        add(OperandKind::gpr, 1, 1);
        break;
      case StepKind::fixed_dx:
        add(OperandKind::gpr, 2, 2);
        break;
      case StepKind::fixed_ax:
        add(OperandKind::gpr, 0, 2);
        break;
      case StepKind::fixed_st0:
        add(OperandKind::st, 0, 10);
        break;
      case StepKind::fixed_xmm0:
        add(OperandKind::xmm, 0, 16);
        break;
      case StepKind::fixed_segment:
        add(OperandKind::segment, step.argument, 2);
        break;
    }
  }

  const llvm::MCInst& inst_;
  std::uint8_t last_byte_;
  Instruction& out_;
  unsigned immediates_ = 0;
};

constexpr bool exists(const Operand& operand) {
  if (operand.kind == OperandKind::control)
    return operand.reg == 0 || (operand.reg >= 2 && operand.reg <= 4) || operand.reg == 8;
  if (operand.kind == OperandKind::debug) return operand.reg < 8;
  return true;
}

// VEX and EVEX: none of theirs is in the model, and MC sometimes reads them as other instructions when 67 precedes.
bool is_vector_prefix(std::span<const std::uint8_t> code, CodeMode mode) {
  if (code[0] != 0xc4 && code[0] != 0xc5 && code[0] != 0x62) return false;
  return mode == CodeMode::bits64 || (code.size() > 1 && code[1] >= 0xc0);
}

bool raises_ud(const Instruction& inst) {
  switch (inst.operation) {
    case Operation::MOV_SEG:
      return inst.operands[0].kind == OperandKind::segment && inst.operands[0].reg == 1;
    case Operation::SWAPGS:
      return inst.mode != CodeMode::bits64;
    case Operation::MOV_CR:
    case Operation::MOV_DR:
      return !exists(inst.operands[0]) || !exists(inst.operands[1]);
    default:
      return false;
  }
}

// Corrections where Intel's reading is not what the form says.
void adjust(Instruction& out, const llvm::MCInst& inst) {
  switch (out.operation) {
    case Operation::ENTER:
      out.immediate = inst.getOperand(0).getImm() & 0xffff;
      out.immediate2 = inst.getOperand(1).getImm() & 0xff;
      break;
    case Operation::RET:
    case Operation::RET_FAR:
      out.immediate &= 0xffff;
      break;
    default:
      break;
  }
}

}  // namespace

struct Decoder::Impl {
  struct Mode {
    std::unique_ptr<const llvm::MCSubtargetInfo> subtarget;
    std::unique_ptr<llvm::MCContext> context;
    std::unique_ptr<const llvm::MCDisassembler> disassembler;
  };

  Impl();
  Mode make_mode(const char* triple) const;
  bool disassemble(const CodeBuffer& buffer, CodeMode mode, std::uint64_t& size) {
    inst.clear();
    inst.setFlags(0);
    const llvm::ArrayRef<std::uint8_t> bytes(buffer.bytes.data(), buffer.size);
    return modes[mode == CodeMode::bits64 ? 1 : 0].disassembler->getInstruction(inst, size, bytes, 0, llvm::nulls()) ==
           llvm::MCDisassembler::Success;
  }
  bool is_truncated(CodeBuffer buffer, CodeMode mode);

  const llvm::Target* target = nullptr;
  std::unique_ptr<const llvm::MCRegisterInfo> registers;
  std::unique_ptr<const llvm::MCAsmInfo> asm_info;
  std::array<Mode, 2> modes;  // 32-bit and 16-bit code; 64-bit code
  llvm::MCInst inst;
};

// LLVM's target registry is a process-wide list: it is filled once.
static void register_target() {
  static const bool is_registered = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    return true;
  }();
  (void)is_registered;
}

Decoder::Impl::Impl() {
  register_target();
  std::string error;
  target = llvm::TargetRegistry::lookupTarget("x86_64-unknown-unknown", error);
  if (target == nullptr) std::abort();  // the build links the target in
  registers.reset(target->createMCRegInfo("x86_64-unknown-unknown"));
  asm_info.reset(target->createMCAsmInfo(*registers, "x86_64-unknown-unknown", llvm::MCTargetOptions()));
  modes[0] = make_mode("i386-unknown-unknown");
  modes[1] = make_mode("x86_64-unknown-unknown");
}

Decoder::Impl::Mode Decoder::Impl::make_mode(const char* triple) const {
  Mode mode;
  mode.subtarget.reset(target->createMCSubtargetInfo(triple, "", ""));
  mode.context =
      std::make_unique<llvm::MCContext>(llvm::Triple(triple), asm_info.get(), registers.get(), mode.subtarget.get());
  mode.disassembler.reset(target->createMCDisassembler(*mode.subtarget, *mode.context));
  return mode;
}

// Three opcode bytes, ModRM, SIB, 4 of displacement, 4 of immediate. (MOV with an 8-byte immediate or address is
// shorter.)
constexpr unsigned kMaxWithoutPrefixes = 13;

// MC refused what it was given: would any continuation of these bytes have been accepted?
bool Decoder::Impl::is_truncated(CodeBuffer buffer, CodeMode mode) {
  const unsigned given = buffer.size;
  std::fill(buffer.bytes.begin() + given, buffer.bytes.end(), std::uint8_t{0});
  buffer.size = static_cast<unsigned>(buffer.bytes.size());
  if (given - buffer.prefixes >= kMaxWithoutPrefixes) return false;
  // The byte after the given ones can be an opcode or ModRM byte, of which only some are valid.
  for (unsigned next = 0; next < 256; ++next) {
    CodeBuffer trial = buffer;
    trial.bytes[given] = static_cast<std::uint8_t>(next);
    substitute(trial.code(), mode);
    std::uint64_t size = 0;
    if (disassemble(trial, mode, size)) return size > given;
  }
  return false;
}

Decoder::Decoder() : impl_(std::make_unique<Impl>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

DecodeStatus Decoder::decode(std::span<const std::uint8_t> bytes, CodeMode mode, Instruction& out) {
  out = Instruction{};
  out.mode = mode;
  const Prefixes prefixes = scan_prefixes(bytes, mode);
  // More bytes than the limit are never needed: what does not fit into 15 is too long, whatever it is.
  const bool has_all = bytes.size() >= kMaxInstructionBytes;
  const auto more = has_all ? DecodeStatus::too_long : DecodeStatus::truncated;
  const auto available = static_cast<unsigned>(std::min<std::size_t>(bytes.size(), kMaxInstructionBytes));
  if (prefixes.length >= available) return more;

  const unsigned scanned = prefixes.length;
  const std::uint8_t* opcode = bytes.data() + scanned;
  const RolePrefixes roles = assign_roles(prefixes, {opcode, available - scanned}, mode);
  if (!roles.defined) return DecodeStatus::invalid;
  CodeBuffer buffer;
  if (roles.address_size) buffer.bytes[buffer.prefixes++] = 0x67;
  if (roles.operand_size) buffer.bytes[buffer.prefixes++] = 0x66;
  if (roles.repeat != 0) buffer.bytes[buffer.prefixes++] = roles.repeat;
  if (prefixes.rex != 0) {
    buffer.bytes[buffer.prefixes++] = static_cast<std::uint8_t>(roles.drop_rex_w ? prefixes.rex & ~8 : prefixes.rex);
  }
  std::memcpy(buffer.bytes.data() + buffer.prefixes, opcode, available - scanned);
  buffer.size = buffer.prefixes + available - scanned;

  const auto substitution = substitute(buffer.code(), mode);
  std::uint64_t size = 0;
  if (!impl_->disassemble(buffer, mode, size)) {
    return impl_->is_truncated(buffer, mode) ? more : DecodeStatus::invalid;
  }
  const llvm::MCInst& inst = impl_->inst;
  out.length = static_cast<std::uint8_t>(size - buffer.prefixes + scanned);
  if ((opcode[0] & 0xf8) == 0xd8) out.x87_opcode = static_cast<std::uint16_t>((opcode[0] & 7) << 8 | opcode[1]);
  const OpcodeForm& form = kForms[kFormOfOpcode[inst.getOpcode()]];
  if (form.operation == Operation::INVALID) return DecodeStatus::invalid;

  out.operand_bytes = operand_bytes_of(form, mode, prefixes);
  out.address_bytes = address_bytes_of(mode, prefixes.address_size);
  out.stack_bytes = mode == CodeMode::bits64 ? 8 : 0;
  out.segment_override = prefixes.segment;
  if (prefixes.repeat != 0 && is_string_opcode(opcode[0])) {
    out.rep = prefixes.repeat == 0xf3;
    out.repne = prefixes.repeat == 0xf2;
  }
  OperandBuilder(inst, buffer.bytes[size - 1], out).build(form);
  out.operation = form.operation;
  if (substitution && substitution->operation != Operation::INVALID) {
    out.operation = substitution->operation;
    if (!substitution->plain_memory) out.operands[1].size_bytes = 0;
  }
  adjust(out, inst);
  const bool is_nop = opcode[0] == 0x90 && (prefixes.rex & 1) == 0;  // with REX.B it is XCHG R8, rAX
  if (is_nop) {
    out.operation = prefixes.repeat == 0xf3 ? Operation::PAUSE : Operation::NOP;
    out.operand_count = 0;
  }
  if (prefixes.lock) {
    out.lock = is_lockable(out.operation) && out.operands[0].kind == OperandKind::memory;
    if (!out.lock) out.operation = Operation::INVALID;
  }
  if (raises_ud(out) || is_vector_prefix(buffer.code(), mode)) out.operation = Operation::INVALID;
  return out.operation == Operation::INVALID ? DecodeStatus::invalid : DecodeStatus::ok;
}

bool is_lockable(Operation operation) {
  switch (operation) {
    case Operation::ADD:
    case Operation::ADC:
    case Operation::AND:
    case Operation::BTC:
    case Operation::BTR:
    case Operation::BTS:
    case Operation::CMPXCHG:
    case Operation::CMPXCHG8B:
    case Operation::CMPXCHG16B:
    case Operation::DEC:
    case Operation::INC:
    case Operation::NEG:
    case Operation::NOT:
    case Operation::OR:
    case Operation::SBB:
    case Operation::SUB:
    case Operation::XOR:
    case Operation::XADD:
    case Operation::XCHG:
      return true;
    default:
      return false;
  }
}

std::string_view operation_name(Operation operation) {
  static constexpr std::string_view kNames[] = {
      "INVALID",
#define RONDO_OPERATION(name) #name,
#include "decoder/operations.inc"
#undef RONDO_OPERATION
  };
  return kNames[static_cast<std::size_t>(operation)];
}

}  // namespace rondo::decoder
