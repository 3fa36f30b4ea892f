#include "tests/silicon/case_builder.h"

#include <algorithm>

#include "core/cpu/registers.h"
#include "tests/silicon/policy.h"

namespace rondo::silicon {

using decoder::Instruction;
using decoder::OperandKind;
using decoder::Operation;

namespace {

constexpr u64 kNonCanonicalStart = u64{1} << 47;
constexpr std::array<u8, 2> kMarker{0xb0, 0x5a};  // MOV AL, 5A: shows whether a branch was taken

u64 segment_base(unsigned segment) { return segment == FS ? kFsBase : segment == GS ? kGsBase : 0; }
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
bool uses_stack(Operation operation) {
  switch (operation) {
    case Operation::PUSH:
    case Operation::PUSH_SEG:
    case Operation::POP:
    case Operation::CALL:
    case Operation::CALL_INDIRECT:
    case Operation::RET:
    case Operation::ENTER:
    case Operation::LEAVE:
    case Operation::PUSHF:
    case Operation::POPF:
    case Operation::POP_SEG:
    case Operation::RET_FAR:
    case Operation::CALL_FAR:
    case Operation::IRET:
      return true;
    default:
      return false;
  }
}
bool is_indirect_branch(Operation operation) {
  return operation == Operation::JMP_INDIRECT || operation == Operation::CALL_INDIRECT || operation == Operation::RET;
}
u64 sign_extend(u64 value, unsigned bytes) {
  const unsigned shift = 64 - 8 * bytes;
  return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}
// The inverse of an odd number modulo 2^64, by Newton's iteration.
u64 inverse(u64 odd) {
  u64 x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}
// Sizes of operands that are not plain accesses.
unsigned access_size(const Instruction& instruction) {
  for (unsigned i = 0; i < instruction.operand_count; ++i)
    if (instruction.operands[i].kind == OperandKind::memory && instruction.operands[i].size_bytes)
      return instruction.operands[i].size_bytes;
  switch (instruction.operation) {
    case Operation::FXSAVE:
    case Operation::FXRSTOR:
      return 512;
    case Operation::FNSAVE:
    case Operation::FRSTOR:
      return instruction.operand_bytes == 2 ? 94 : 108;
    case Operation::FLDENV:
    case Operation::FNSTENV:
      return instruction.operand_bytes == 2 ? 14 : 28;
    default:
      return 8;
  }
}

}  // namespace

Kind operand_kind(Operation operation, unsigned size) {
  const std::string_view name = decoder::operation_name(operation);
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (name == "CMPS" || name.starts_with("P")) return Kind::integer;
  if (name.starts_with("CVT")) {
    const std::string_view from = name.substr(name.starts_with("CVTT") ? 4 : 3, 2);
    return from == "PS" || from == "SS" ? Kind::f32 : from == "PD" || from == "SD" ? Kind::f64 : Kind::integer;
  }
  if (ends("PS") || ends("SS")) return Kind::f32;
  if (ends("PD") || ends("SD")) return Kind::f64;
  if (name.starts_with("F") && !name.starts_with("FI") && !name.starts_with("FB"))
    return size == 4 ? Kind::f32 : size == 8 ? Kind::f64 : size == 10 ? Kind::f80 : Kind::integer;
  return Kind::integer;
}

CaseBuilder::CaseBuilder(Random& random, decoder::Decoder& decoder, CodeImage& code, TestCase& test,
                         const Comparison& comparison)
    : random_(random),
      decoder_(decoder),
      code_(code),
      test_(test),
      regs_(test.initial),
      at_(test.initial.rip),
      comparison_(comparison) {
  test_.patch_count = 0;
  test_.instruction_count = 0;
}

void CaseBuilder::emit_bytes(std::span<const u8> bytes) {
  for (const u8 byte : bytes) {
    if (at_ < kCodeBase + kCodeBytes) code_[at_ - kCodeBase] = byte;
    ++at_;
  }
}

void CaseBuilder::finish() {
  test_.code_length = static_cast<u16>(at_ - regs_.rip);
  put_terminator(code_, at_);
  at_ += kTerminatorBytes;
}

void CaseBuilder::fill_registers(Kind kind) {
  for (u64& gpr : regs_.gpr) gpr = interesting_integer(random_);
  fill_fx(random_, kind, regs_.fx);
}

void CaseBuilder::fill_flags(bool string) {
  u64 value = flags::FIXED1 | flags::IF | (random_.next() & flags::kArithmetic);
  if (random_.percent(string ? 40 : 8)) value |= flags::DF;
  if (random_.percent(2)) value |= flags::AC;
  if (random_.percent(10)) value |= flags::ID;
  if (random_.per_mille(4)) value |= flags::NT;
  regs_.rflags = value;
}

// Where a memory operand goes: mostly plain writable memory of the right kind, else every edge there is.
u64 CaseBuilder::choose_target(unsigned size, Kind kind) {
  constexpr u64 kPage1 = kDataBase + kPageSize, kHole = kDataBase + 2 * kPageSize, kPage3 = kDataBase + 3 * kPageSize,
                kEnd = kDataBase + kDataBytes;
  const u64 inside = size > 1 ? 1 + random_.below(size - 1) : 0;  // bytes before a boundary that is crossed
  const u64 what = random_.below(1000);
  if (what < 800) {
    constexpr u64 kWritable[] = {kDataBase, kPage1, kPage3};
    const u64 step = size > kGranule ? kGranule * kKinds : kGranule;
    const u64 granules = (kPageSize - size) / (kGranule * kKinds);
    u64 address = kWritable[random_.below(3)] + random_.below(granules ? granules : 1) * kGranule * kKinds +
                  (step == kGranule ? static_cast<u64>(kind) * kGranule : 0);
    if (size < kGranule && size && random_.percent(50)) address += random_.below(kGranule / size) * size;
    if (random_.percent(20)) address += random_.below(kGranule);
    return address;
  }
  if (what < 850) return kPage1 - inside;
  if (what < 880) return kHole - inside;
  if (what < 900) return kPage3 - inside;
  if (what < 920) return kReadOnlyPage - inside;
  if (what < 950)
    return kReadOnlyPage + random_.below((kPageSize - size) / 16) * 16 + (random_.percent(20) ? random_.below(16) : 0);
  if (what < 960) return kEnd - inside;
  if (what < 975) return kHole + random_.below(kPageSize - size) / 16 * 16;
  if (what < 983) return kNonCanonicalStart + random_.below(4096) * 16;
  if (what < 987) return (random_.next() | kNonCanonicalStart) & ~(u64{1} << 63);
  if (what < 991) return kNonCanonicalStart - inside;
  if (what < 996) return 0xffff900000000000 + random_.below(1 << 20) * 16;
  return u64{0} - inside;
}

void CaseBuilder::set_displacement(Encoded& encoded, u64 value) {
  for (unsigned i = 0; i < encoded.displacement_bytes; ++i)
    encoded.bytes[encoded.displacement_at + i] = static_cast<u8>(value >> (8 * i));
}

void CaseBuilder::set_immediate(Encoded& encoded, u64 value) {
  for (unsigned i = 0; i < encoded.immediate_bytes; ++i)
    encoded.bytes[encoded.immediate_at + i] = static_cast<u8>(value >> (8 * i));
}

// Sets base and index (or the displacement) so that they add up to `offset`. Returns the offset that came out.
u64 CaseBuilder::aim_registers(const decoder::Memory& memory, u64 offset, Encoded& encoded) {
  const auto set = [&](unsigned reg, u64 value) {
    if (memory.address_bytes == 4) value = (value & 0xffffffff) | (random_.percent(50) ? random_.next() << 32 : 0);
    regs_.gpr[reg] = value;
  };
  const u64 scale = u64{1} << memory.scale_shift;
  u64 displacement = static_cast<u64>(memory.displacement);
  const bool has_base = memory.base != decoder::kNoRegister, has_index = memory.index != decoder::kNoRegister;
  if (has_base && !has_index) {
    set(memory.base, offset - displacement);
  } else if (has_base && memory.base != memory.index) {
    const u64 index = random_.percent(60) ? random_.below(64) : interesting_integer(random_);
    set(memory.index, index);
    set(memory.base, offset - displacement - (index << memory.scale_shift));
  } else if (has_base) {
    const u64 sum = offset - displacement;
    set(memory.base, scale == 1 ? sum / 2 : sum * inverse(scale + 1));
  } else {  // index only, with a 32-bit displacement whose low bits make the difference divisible
    displacement = (displacement & ~(scale - 1)) | (offset & (scale - 1));
    set_displacement(encoded, displacement);
    displacement = sign_extend(displacement, 4);
    set(memory.index, static_cast<u64>(static_cast<i64>(offset - displacement) >> memory.scale_shift));
  }
  return offset;
}

// Makes the memory operand hit `target`. False if the encoding cannot reach it.
bool CaseBuilder::aim(const Instruction& instruction, Encoded& encoded, u64 target) {
  const decoder::Memory& memory = instruction.memory;
  const u64 offset = target - segment_base(memory.segment);
  if (memory.address_bytes == 4 && offset >> 32) return false;
  const auto fits = [](u64 value) { return sign_extend(value, 4) == value; };
  if (encoded.displacement_at == 0 && memory.base == decoder::kNoRegister && memory.index == decoder::kNoRegister) {
    set_immediate(encoded, offset);  // moffs
    return true;
  }
  if (memory.base == decoder::kRipRegister) {
    const u64 displacement = offset - (at_ + encoded.length);
    set_displacement(encoded, displacement);
    return fits(displacement);
  }
  if (!single_) {
    const u64 displacement = offset - regs_.gpr[memory.base];
    set_displacement(encoded, displacement);
    return fits(displacement);
  }
  if (memory.base == decoder::kNoRegister && memory.index == decoder::kNoRegister) {
    set_displacement(encoded, offset);
    return fits(offset);
  }
  aim_registers(memory, offset, encoded);
  return true;
}

void CaseBuilder::patch(u64 address, std::span<const u8> bytes) {
  // Runs of bytes that are in pages.
  for (std::size_t i = 0; i < bytes.size();) {
    const auto mapped = [&](u64 at) {
      return in_data(at) && kDataPages[(at - kDataBase) / kPageSize] != PageKind::hole;
    };
    if (!mapped(address + i)) {
      ++i;
      continue;
    }
    std::size_t length = 0;
    while (i + length < bytes.size() && mapped(address + i + length)) ++length;
    if (test_.patch_count == test_.patches.size() || patch_bytes_used_ + length > test_.patch_bytes.size()) return;
    test_.patches[test_.patch_count++] = {static_cast<u32>(address + i), static_cast<u16>(length), patch_bytes_used_};
    std::memcpy(test_.patch_bytes.data() + patch_bytes_used_, bytes.data() + i, length);
    patch_bytes_used_ = static_cast<u16>(patch_bytes_used_ + length);
    i += length;
  }
}

// Whether UD0 and UD1 fetch what follows their opcode differs between vendors: it shows where the page after is
// missing.
bool CaseBuilder::needs_modrm_of_undefined(const Instruction& instruction, unsigned length) const {
  const bool undefined = instruction.operation == Operation::UD0 || instruction.operation == Operation::UD1;
  return undefined && at_ + length > kCodeBase + kCodeBytes;
}

bool CaseBuilder::emit(const Form& form, const AddressingChoice& addressing) {
  Encoded encoded = encode(random_, form, addressing);
  Instruction instruction;
  if (decoder_.decode(std::span(encoded.bytes).first(15), decoder::CodeMode::bits64, instruction) !=
      decoder::DecodeStatus::ok) {
    // An illegal LOCK is worth running: #UD. Anything else may be an instruction that the model does not have.
    const auto lock = std::find(encoded.bytes.begin(), encoded.bytes.begin() + 6, 0xf0);
    if (lock == encoded.bytes.begin() + 6 || encoded.length > 15 || random_.percent(70)) return false;
    std::array<u8, 32> without = encoded.bytes;
    std::copy(encoded.bytes.begin() + (lock - encoded.bytes.begin()) + 1, encoded.bytes.end(),
              without.begin() + (lock - encoded.bytes.begin()));
    const bool known = decoder_.decode(std::span(without).first(14), decoder::CodeMode::bits64, instruction) ==
                       decoder::DecodeStatus::ok;
    if (!known || !excluded(instruction, comparison_).empty() || instruction.operation == Operation::MOV_CR)
      return false;  // AMD: LOCK MOV CR0 is MOV CR8
    if (needs_modrm_of_undefined(instruction, encoded.length)) return false;
    emit_bytes(std::span(encoded.bytes).first(encoded.length));
    ++test_.instruction_count;
    return true;
  }
  if (!excluded(instruction, comparison_).empty()) return false;
  if (!single_ && !fits_sequences(instruction, comparison_)) return false;
  encoded.length = instruction.length;
  if (encoded.immediate_bytes && encoded.immediate_at + encoded.immediate_bytes != instruction.length) {
    if (encoded.immediate_at >= instruction.length) return false;
    encoded.immediate_bytes = static_cast<u8>(instruction.length - encoded.immediate_at);
  }
  const bool branch =
      is_indirect_branch(instruction.operation) || instruction.operands[0].kind == OperandKind::relative;
  if (branch && std::find(encoded.bytes.begin(), encoded.bytes.begin() + 6, 0x66) != encoded.bytes.begin() + 6)
    return false;
  if (needs_modrm_of_undefined(instruction, encoded.length)) return false;
  bool memory = false;
  for (unsigned i = 0; i < instruction.operand_count; ++i)
    memory |= instruction.operands[i].kind == OperandKind::memory;
  u64 target = 0;
  if (memory) {
    const unsigned size = access_size(instruction);
    const Kind kind = operand_kind(instruction.operation, size);
    target = choose_target(size, kind);
    // What cannot be reached is replaced by what always can.
    if (!aim(instruction, encoded, target)) {
      target = kDataBase + random_.below(kPageSize / 16 - size / 16 - 1) * 16;
      if (instruction.memory.address_bytes == 4 && target < segment_base(instruction.memory.segment)) return false;
      if (!aim(instruction, encoded, target)) return false;
    }
  }
  prepare(instruction, encoded, target);
  emit_bytes(std::span(encoded.bytes).first(encoded.length));
  ++test_.instruction_count;
  if (marker_) {
    emit_bytes(kMarker);
    ++test_.instruction_count;
    marker_ = false;
  }
  return true;
}

bool CaseBuilder::build_single(const std::vector<Form>& forms) {
  const Form& form = forms[random_.below(forms.size())];
  single_ = true;
  fill_registers(operand_kind(form.operation, 0));
  fill_flags(is_string(form.operation));
  if (uses_stack(form.operation)) regs_.gpr[RSP] = choose_target(8, Kind::integer);
  if (form.operation == Operation::ENTER || form.operation == Operation::LEAVE)
    regs_.gpr[RBP] = choose_target(8, Kind::integer);
  if (!emit(form, {})) return false;
  finish();
  return true;
}

bool CaseBuilder::build_sequence(const Forms& forms, unsigned count) {
  single_ = false;
  fill_registers(static_cast<Kind>(random_.below(3)));
  fill_flags(false);
  const AddressingChoice addressing{false, {RBX, RSI, RDI, R14}};
  for (const u8 reg : {RBX, RSI, RDI, R14, RSP, RBP})
    regs_.gpr[reg] = kDataBase + kPageSize / 2 + random_.below(kPageSize / 16) * 16;
  regs_.gpr[RCX] = random_.below(24);
  const bool common = !forms.common.empty() && random_.percent(40);
  for (unsigned made = 0, tried = 0; made < count; ++tried) {
    if (tried > 4 * count) return false;
    const auto& operations = common ? forms.common : forms.by_operation;
    const std::vector<Form>& choice = operations[random_.below(operations.size())];
    if (emit(choice[random_.below(choice.size())], addressing)) ++made;
  }
  finish();
  return true;
}

}  // namespace rondo::silicon
