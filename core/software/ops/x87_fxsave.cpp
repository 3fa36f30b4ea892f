// FXSAVE and FXRSTOR, 32- and 64-bit forms (SDM 1 10.5).
#include "core/software/ops/simd.h"
#include "core/software/ops/x87.h"
#include "core/software/ops/x87_image.h"

namespace rondo::software {
namespace {

using namespace x87;

// Offsets in the 512-byte image (SDM 1 table 10-2). Bytes from kEnd on are neither read nor written.
constexpr unsigned kControl = 0, kStatus = 2, kTags = 4, kReserved = 5, kOpcode = 6, kInstruction = 8, kData = 16,
                   kMxcsr = 24, kMxcsrMask = 28, kRegisters = 32, kXmm = 160, kXmm8 = 288, kEnd = 416;
constexpr unsigned kImageBytes = 512;
constexpr u32 kMxcsrBits = 0xffff;

template <class T>
void put(u8* image, unsigned offset, T value) {
  std::memcpy(image + offset, &value, sizeof value);
}
template <class T>
T take(const u8* image, unsigned offset) {
  T value;
  std::memcpy(&value, image + offset, sizeof value);
  return value;
}

void require_available(const Vcpu& cpu) {
  if (cpu.arch.cr0 & (cr0::EM | cr0::TS)) throw fault_nm();
}

// XMM8 to XMM15 exist in 64-bit mode only.
unsigned image_end(const Vcpu& cpu) { return cpu.code64() ? kEnd : kXmm8; }

// `wide`: REX.W, 64-bit pointers without selectors.
template <bool wide>
void save(Vcpu& cpu, const Op& op) {
  require_available(cpu);
  const FpuState& f = cpu.arch.fpu;
  u8 image[kEnd] = {};
  put<u16>(image, kControl, f.control);
  put<u16>(image, kStatus, f.status);
  put<u8>(image, kTags, f.valid);
  put<u8>(image, kReserved, 0);
  put<u16>(image, kOpcode, f.opcode);
  if (wide) {
    put<u64>(image, kInstruction, f.instruction_pointer);
    put<u64>(image, kData, f.data_pointer);
  } else {
    put<u32>(image, kInstruction, static_cast<u32>(f.instruction_pointer));
    put<u16>(image, kInstruction + 4, f.instruction_selector);
    put<u32>(image, kData, static_cast<u32>(f.data_pointer));
    put<u16>(image, kData + 4, f.data_selector);
  }
  put<u32>(image, kMxcsr, cpu.arch.mxcsr);
  put<u32>(image, kMxcsrMask, kMxcsrBits);
  for (unsigned i = 0; i < 8; i++) {
    const Ext80 v = get(f, i);
    put<u64>(image, kRegisters + 16 * i, v.significand);
    put<u16>(image, kRegisters + 16 * i + 8, v.sign_exponent);
  }
  for (unsigned i = 0; i < 16; i++) put<Xmm>(image, kXmm + 16 * i, cpu.arch.xmm[i]);
  writable_image(cpu, op, kImageBytes, 16);  // the whole image, though its end is not written
  write_image(cpu, op, image, image_end(cpu), 16);
}

template <bool wide>
void restore(Vcpu& cpu, const Op& op) {
  require_available(cpu);
  u8 image[kImageBytes];
  read_image(cpu, op, image, kImageBytes, 16);
  const u32 mxcsr = take<u32>(image, kMxcsr);
  if (mxcsr & ~kMxcsrBits) throw fault_gp();
  cpu.arch.mxcsr = mxcsr;
  FpuState& f = cpu.arch.fpu;
  f.control = static_cast<u16>((take<u16>(image, kControl) & 0x1f3f) | 0x0040);
  f.status = take<u16>(image, kStatus);
  f.valid = take<u8>(image, kTags);
  f.opcode = take<u16>(image, kOpcode) & 0x7ff;
  if (wide) {
    f.instruction_pointer = take<u64>(image, kInstruction);
    f.data_pointer = take<u64>(image, kData);
    f.instruction_selector = f.data_selector = 0;
  } else {
    f.instruction_pointer = take<u32>(image, kInstruction);
    f.instruction_selector = take<u16>(image, kInstruction + 4);
    f.data_pointer = take<u32>(image, kData);
    f.data_selector = take<u16>(image, kData + 4);
  }
  for (unsigned i = 0; i < 8; i++) {
    const unsigned r = physical(f, i);
    f.significand[r] = take<u64>(image, kRegisters + 16 * i);
    f.sign_exponent[r] = take<u16>(image, kRegisters + 16 * i + 8);
  }
  update_summary(f);
  const unsigned count = cpu.code64() ? 16 : 8;
  for (unsigned i = 0; i < count; i++) cpu.arch.xmm[i] = take<Xmm>(image, kXmm + 16 * i);
}

}  // namespace

template <>
Handler lower<Operation::FXSAVE>(const Instruction& instruction, Op&, LowerContext&) {
  return instruction.operand_bytes == 8 ? &cold<&save<true>> : &cold<&save<false>>;
}
template <>
Handler lower<Operation::FXRSTOR>(const Instruction& instruction, Op&, LowerContext&) {
  return instruction.operand_bytes == 8 ? &cold<&restore<true>> : &cold<&restore<false>>;
}

}  // namespace rondo::software
