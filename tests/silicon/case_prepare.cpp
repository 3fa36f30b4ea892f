// What particular operations need to do something other than fault: counts, stack contents, images to restore, branch
// targets.
#include <algorithm>

#include "core/cpu/registers.h"
#include "tests/silicon/case_builder.h"

namespace rondo::silicon {

using decoder::Instruction;
using decoder::OperandKind;
using decoder::Operation;

namespace {
constexpr u32 kMisalignedMask = 1 << 17;  // MXCSR.MM: AMD has it, the model does not
}

void CaseBuilder::prepare_branch(const Instruction& instruction, Encoded& encoded, u64 target) {
  marker_ = true;
  const u64 next = at_ + encoded.length;
  u64 destination = next + (random_.percent(85) ? 2 : 0);
  if (instruction.operands[0].kind == OperandKind::relative) {
    const bool loop = instruction.operation == Operation::LOOP || instruction.operation == Operation::LOOPE ||
                      instruction.operation == Operation::LOOPNE;
    if (loop && random_.percent(70)) regs_.gpr[RCX] = random_.below(6);
    if (loop && single_ && regs_.gpr[RCX] - 1 < 16 && random_.percent(25)) destination = at_;  // to itself
    set_immediate(encoded, destination - next);
    return;
  }
  // Which comes first, a fault of the push or of the target, differs between vendors: not both.
  const bool calls_rsp = instruction.operands[0].kind == OperandKind::gpr && instruction.operands[0].reg == RSP;
  const bool may_fault = instruction.operation != Operation::CALL_INDIRECT ||
                         (regs_.gpr[RSP] - 8 - kDataBase <= kPageSize && regs_.gpr[RSP] % 8 == 0 && !calls_rsp);
  if (may_fault && random_.percent(6)) {  // not executable, not there, not canonical
    constexpr u64 kWild[] = {kDataBase + 64, kDataBase + 2 * kPageSize + 5, u64{1} << 47, 0x8000000000000000,
                             0xffff900000000010};
    destination = kWild[random_.below(std::size(kWild))];
  }
  if (instruction.operation == Operation::RET) {
    patch_value(regs_.gpr[RSP], destination);
  } else if (instruction.operands[0].kind == OperandKind::gpr) {
    regs_.gpr[instruction.operands[0].reg] = destination;
  } else {
    patch_value(target, destination);
  }
}

void CaseBuilder::prepare_string(const Instruction& instruction) {
  const unsigned size = instruction.operand_bytes;
  const bool down = regs_.rflags & flags::DF;
  for (const Gpr reg : {RSI, RDI}) {
    u64 target = choose_target(size, Kind::integer);
    if (random_.percent(30)) target += (down ? 1 : -1) * static_cast<i64>(random_.below(kPageSize));
    if (reg == RSI && instruction.segment_override == FS) target -= kFsBase;
    if (reg == RSI && instruction.segment_override == GS) target -= kGsBase;
    if (instruction.address_bytes == 4) target = (target & 0xffffffff) | random_.next() << 32;
    regs_.gpr[reg] = target;
  }
  if (random_.percent(25)) regs_.gpr[RDI] = regs_.gpr[RSI] + random_.below(20) - 10;  // overlapping, or the same
  u64 count = random_.below(24);
  if (random_.percent(10)) count = random_.below(1500);
  if (random_.percent(5)) count = interesting_integer(random_);
  if (instruction.address_bytes == 4 && random_.percent(70)) count |= random_.next() << 32;
  regs_.gpr[RCX] = count;
  if (random_.percent(40)) {  // runs of equal elements, so that comparisons go on for a while
    u8 run[64];
    std::fill(std::begin(run), std::end(run), static_cast<u8>(random_.next()));
    for (const Gpr reg : {RSI, RDI}) patch(down ? regs_.gpr[reg] - 56 : regs_.gpr[reg], run);
    regs_.gpr[RAX] = u64{0x0101010101010101} * run[0];
  }
}

// Images that FXRSTOR, FRSTOR, FLDENV, LDMXCSR, FLDCW, POPF read: valid ones mostly.
void CaseBuilder::prepare_image(const Instruction& instruction, u64 target) {
  switch (instruction.operation) {
    case Operation::FXRSTOR: {
      FxImage image;
      fill_fx(random_, static_cast<Kind>(random_.below(3)), image);
      image.opcode = static_cast<u16>(random_.next() & 0x7ff);
      image.instruction_pointer = random_.next() >> 17;  // canonical: Zen drops the rest
      image.data_pointer = random_.next() >> 17;
      if (random_.percent(8)) image.mxcsr = static_cast<u32>(interesting_integer(random_)) & ~kMisalignedMask;
      if (random_.percent(8)) image.status = static_cast<u16>(random_.next());
      if (random_.percent(8)) image.control = static_cast<u16>(random_.next());
      patch_value(target, image);
      break;
    }
    case Operation::LDMXCSR: {
      u32 value = static_cast<u32>(random_.next() & 0xffff);
      if (random_.percent(15)) value = static_cast<u32>(interesting_integer(random_)) & ~kMisalignedMask;
      patch_value(target, value);
      break;
    }
    case Operation::FLDCW:
      if (random_.percent(50)) patch_value(target, static_cast<u16>(0x37f | (random_.next() & 0xc00)));
      break;
    case Operation::FRSTOR:
    case Operation::FLDENV: {
      FxImage image;
      fill_fx(random_, Kind::f64, image);
      if (random_.percent(10)) image.status = static_cast<u16>(random_.next());
      const u16 tags = static_cast<u16>(random_.next());
      if (instruction.operand_bytes == 2) {
        const u16 environment[3] = {image.control, image.status, tags};
        patch_value(target, environment);
      } else {
        const u32 environment[3] = {image.control, image.status, tags};
        patch_value(target, environment);
      }
      break;
    }
    case Operation::POPF: {
      u64 value = random_.next() & 0x3fffff & ~flags::TF & ~flags::NT;
      if (random_.percent(60)) value &= flags::kArithmetic | flags::DF;
      if (random_.percent(3)) value |= flags::TF;
      patch_value(regs_.gpr[RSP], value);
      break;
    }
    default:
      break;
  }
}

// Selectors of every kind, and frames that IRET and far transfers find something behind.
void CaseBuilder::prepare_selector(const Instruction& instruction, u64 target) {
  static constexpr u16 kSelectors[] = {0,  1, 3, kCodeSelector,  kCodeSelector,     kCode32Selector, kStackSelector,
                                       16, 2, 5, kStackSelector, kReadOnlySelector, kSmallSelector};
  const auto selector = [this]() -> u16 {
    return random_.percent(10) ? static_cast<u16>(random_.next()) : kSelectors[random_.below(std::size(kSelectors))];
  };
  const u64 code = random_.percent(70) ? kExit : choose_target(8, Kind::integer);
  const unsigned size = instruction.operand_bytes;
  switch (instruction.operation) {
    case Operation::IRET: {
      const u64 frame[] = {code, selector(), random_.next() & 0x3fffff & ~(flags::TF | flags::NT), regs_.gpr[RSP],
                           selector()};
      for (unsigned i = 0; i < std::size(frame); ++i)
        patch(regs_.gpr[RSP] + i * size, {reinterpret_cast<const u8*>(&frame[i]), size});
      break;
    }
    case Operation::RET_FAR:
      patch(regs_.gpr[RSP], {reinterpret_cast<const u8*>(&code), size});
      patch_value(regs_.gpr[RSP] + size, selector());
      break;
    case Operation::POP_SEG:
      patch_value(regs_.gpr[RSP], selector());
      break;
    case Operation::JMP_FAR:
    case Operation::CALL_FAR:
      patch(target, {reinterpret_cast<const u8*>(&code), size});
      patch_value(target + size, selector());
      break;
    case Operation::LFS:
    case Operation::LGS:
    case Operation::LSS:
      patch_value(target + size, selector());
      break;
    default:
      if (target) patch_value(target, selector());
      for (unsigned i = 0; i < instruction.operand_count; ++i)
        if (instruction.operands[i].kind == OperandKind::gpr && random_.percent(80))
          regs_.gpr[instruction.operands[i].reg] = selector();
      break;
  }
}

// Arguments within the domain of F2XM1 and FYL2XP1 (outside the result is undefined, SDM 2A), and no trap on what is
// not compared.
void CaseBuilder::prepare_approximate(Operation operation) {
  constexpr u16 kPrecision = 0x20, kPending = 0x8080, kBias = 16383;
  FxImage& fx = regs_.fx;
  fx.control |= kPrecision;
  if (!(fx.status & ~fx.control & 0x3f)) fx.status &= static_cast<u16>(~kPending);
  const u16 largest = operation == Operation::F2XM1 ? kBias - 1 : operation == Operation::FYL2XP1 ? kBias - 3 : 0x7fff;
  const u16 exponent = fx.st[0].sign_exponent & 0x7fff;
  const bool nan = exponent == 0x7fff && fx.st[0].significand << 1;
  if (exponent > largest && !nan)
    fx.st[0].sign_exponent = static_cast<u16>((fx.st[0].sign_exponent & 0x8000) | (largest - random_.below(70)));
}

void CaseBuilder::prepare(const Instruction& instruction, Encoded& encoded, u64 target) {
  prepare_image(instruction, target);
  if (takes_selector(instruction.operation)) return prepare_selector(instruction, target);
  if (instruction.operands[0].kind == OperandKind::relative) return prepare_branch(instruction, encoded, target);
  if (!single_) return;
  const unsigned size = instruction.operand_bytes;
  if (approximate(instruction.operation)) prepare_approximate(instruction.operation);
  switch (instruction.operation) {
    case Operation::JMP_INDIRECT:
    case Operation::CALL_INDIRECT:
    case Operation::RET:
      return prepare_branch(instruction, encoded, target);
    case Operation::MOVS:
    case Operation::CMPS:
    case Operation::STOS:
    case Operation::LODS:
    case Operation::SCAS:
      return prepare_string(instruction);
    case Operation::XLAT:
      regs_.gpr[RBX] = choose_target(1, Kind::integer) - (regs_.gpr[RAX] & 0xff);
      break;
    case Operation::MASKMOVQ:
    case Operation::MASKMOVDQU:
      regs_.gpr[RDI] = choose_target(instruction.operation == Operation::MASKMOVQ ? 8 : 16, Kind::integer);
      break;
    case Operation::DIV:
    case Operation::IDIV:
      if (random_.percent(70)) {  // a quotient that fits, more often than not
        const u64 sign = instruction.operation == Operation::IDIV && random_.below(2) ? ~u64{0} : 0;
        if (size == 1) {
          regs_.gpr[RAX] = (regs_.gpr[RAX] & ~u64{0xffff}) | (random_.below(4096) ^ (sign & 0xffff));
        } else {
          regs_.gpr[RDX] = sign ^ (random_.percent(60) ? 0 : random_.below(16));
        }
      }
      break;
    case Operation::SHL:
    case Operation::SHR:
    case Operation::SAR:
    case Operation::ROL:
    case Operation::ROR:
    case Operation::RCL:
    case Operation::RCR:
    case Operation::SHLD:
    case Operation::SHRD:
      if (random_.percent(80)) regs_.gpr[RCX] = (regs_.gpr[RCX] & ~u64{0xff}) | random_.below(72);
      break;
    case Operation::BT:
    case Operation::BTS:
    case Operation::BTR:
    case Operation::BTC:
      // The bit offset moves the address: within the data area, or far beyond anything.
      if (encoded.displacement_at || instruction.operands[0].kind == OperandKind::memory) {
        if (instruction.operands[1].kind != OperandKind::gpr) break;
        const unsigned reg = instruction.operands[1].reg;
        if (reg == instruction.memory.base || reg == instruction.memory.index) break;
        const u64 bits = random_.below(8 * 2048) - 8 * 1024;
        regs_.gpr[reg] = random_.percent(3) ? u64{1} << 63
                         : size == 2        ? (regs_.gpr[reg] & ~u64{0xffff}) | (bits & 0xffff)
                                            : bits;
      }
      break;
    case Operation::CMPXCHG:
    case Operation::CMPXCHG8B:
    case Operation::CMPXCHG16B:
      if (random_.percent(50) && target) {
        const u64 values[2] = {regs_.gpr[RAX], regs_.gpr[RDX]};
        if (instruction.operation == Operation::CMPXCHG8B)
          patch_value(target, values[0] << 32 >> 32 | values[1] << 32);
        else
          patch_value(target, values);
      } else if (random_.percent(50) && instruction.operands[0].kind == OperandKind::gpr) {
        regs_.gpr[instruction.operands[0].reg] = regs_.gpr[RAX];
      }
      break;
    case Operation::ENTER:
      if (random_.percent(70)) set_immediate(encoded, random_.below(64) | random_.below(40) << 16);
      break;
    case Operation::PCMPESTRI:
    case Operation::PCMPESTRM:
      for (const Gpr reg : {RAX, RDX})
        if (random_.percent(80)) regs_.gpr[reg] = random_.below(40) - 20;
      break;
    default:
      break;
  }
}

}  // namespace rondo::silicon
