// x87 control: initialisation, control and status words, environment and state images (SDM 1 5.2.6, 8.1.10-8.1.11).
#include "core/cpu/fpu_tags.h"
#include "core/software/ops/x87.h"
#include "core/software/ops/x87_image.h"

namespace rondo::software {
namespace {

using namespace x87;

// The no-wait forms check only for #NM.
void begin_no_wait(const Vcpu& cpu) {
  if (cpu.arch.cr0 & (cr0::EM | cr0::TS)) throw fault_nm();
}

void set_control(FpuState& f, u16 value) {
  // Bit 6 reads as 1, bits 7 and 15:13 as 0.
  f.control = static_cast<u16>((value & 0x1f3f) | 0x0040);
  update_summary(f);
}

void reset(FpuState& f) {
  f.control = 0x037f;
  f.status = 0;
  f.valid = 0;
  f.opcode = 0;
  f.instruction_pointer = 0;
  f.instruction_selector = 0;
  f.data_pointer = 0;
  f.data_selector = 0;
}

void initialize(Vcpu& cpu, const Op&) {
  begin_no_wait(cpu);
  reset(cpu.arch.fpu);
}

void clear_exceptions(Vcpu& cpu, const Op&) {
  begin_no_wait(cpu);
  cpu.arch.fpu.status &= static_cast<u16>(~(0x3f | kStackFault | kErrorSummary | kBusy));
}

// FNOP waits and is recorded; its aliases DB E0, E1 and E4 (FENI, FDISI, FSETPM of old) do neither.
void no_operation(Vcpu& cpu, const Op& op) {
  constexpr u64 kFnop = 0x1d0;
  if (op.imm != kFnop) return begin_no_wait(cpu);
  begin(cpu);
  record(cpu, op);
}

void wait(Vcpu& cpu, const Op&) {
  if ((cpu.arch.cr0 & (cr0::TS | cr0::MP)) == (cr0::TS | cr0::MP)) throw fault_nm();
  if (cpu.arch.fpu.status & kErrorSummary) throw Fault{.vector = kMF};
}

template <int step>
void move_top(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  set_top(f, top(f) + static_cast<unsigned>(step));
  set_c1(f, false);
}

template <bool popping>
void free_register(Vcpu& cpu, const Op& op) {
  begin(cpu);
  record(cpu, op);
  FpuState& f = cpu.arch.fpu;
  set_empty(f, op.dst);
  set_c1(f, false);
  if (popping) pop(f);
}

void load_control(Vcpu& cpu, const Op& op) {
  begin(cpu);
  set_control(cpu.arch.fpu, read_operand<u16>(cpu, &op));
}

void store_control(Vcpu& cpu, const Op& op) {
  begin_no_wait(cpu);
  write_operand<u16>(cpu, &op, cpu.arch.fpu.control);
}

void store_status(Vcpu& cpu, const Op& op) {
  begin_no_wait(cpu);
  write_operand<u16>(cpu, &op, cpu.arch.fpu.status);
}

void store_status_ax(Vcpu& cpu, const Op&) {
  begin_no_wait(cpu);
  cpu.set_reg<u16>(gpr_slot(RAX), cpu.arch.fpu.status);
}

// --- Environment: 7 words of the operand size; in real and virtual-8086 mode another layout (SDM 1 figures 8-9 to
// 8-12).

bool real_mode_layout(const Vcpu& cpu) { return !cpu.protected_mode() || cpu.v8086(); }

template <class Word>
constexpr unsigned kEnvironmentBytes = 7 * sizeof(Word);

template <class Word>
void write_environment(const Vcpu& cpu, u8* out) {
  const FpuState& f = cpu.arch.fpu;
  constexpr Word kUpper = static_cast<Word>(~Word{0xffff});  // reserved halves are stored as ones
  const u32 ip = static_cast<u32>(f.instruction_pointer), dp = static_cast<u32>(f.data_pointer);
  Word words[7] = {static_cast<Word>(kUpper | f.control), static_cast<Word>(kUpper | f.status),
                   static_cast<Word>(kUpper | full_tag_word(f))};
  if (real_mode_layout(cpu)) {
    // Linear addresses, their upper part beside the opcode.
    const u32 linear_ip = (u32{f.instruction_selector} << 4) + ip, linear_dp = (u32{f.data_selector} << 4) + dp;
    words[3] = static_cast<Word>(kUpper | (linear_ip & 0xffff));
    words[4] = static_cast<Word>((linear_ip >> 16 << 12) | f.opcode);
    words[5] = static_cast<Word>(kUpper | (linear_dp & 0xffff));
    words[6] = static_cast<Word>(linear_dp >> 16 << 12);
  } else {
    words[3] = static_cast<Word>(ip);
    words[4] = static_cast<Word>(u32{f.opcode} << 16 | f.instruction_selector);
    words[5] = static_cast<Word>(dp);
    words[6] = static_cast<Word>(kUpper | f.data_selector);
  }
  std::memcpy(out, words, sizeof words);
}

template <class Word>
void read_environment(Vcpu& cpu, const u8* in) {
  FpuState& f = cpu.arch.fpu;
  Word words[7];
  std::memcpy(words, in, sizeof words);
  f.status = static_cast<u16>(words[1]);
  set_full_tag_word(f, words[2]);
  if (real_mode_layout(cpu)) {
    f.instruction_pointer = (words[3] & 0xffff) | static_cast<u32>(words[4]) >> 12 << 16;
    f.data_pointer = (words[5] & 0xffff) | static_cast<u32>(words[6]) >> 12 << 16;
    f.instruction_selector = f.data_selector = 0;
    f.opcode = words[4] & 0x7ff;
  } else {
    f.instruction_pointer = words[3];
    f.instruction_selector = static_cast<u16>(words[4]);
    f.opcode = static_cast<u16>(u64{words[4]} >> 16 & 0x7ff);
    f.data_pointer = words[5];
    f.data_selector = static_cast<u16>(words[6]);
  }
  set_control(f, static_cast<u16>(words[0]));
}

template <class Word>
void store_environment(Vcpu& cpu, const Op& op) {
  begin_no_wait(cpu);
  u8 image[kEnvironmentBytes<Word>];
  write_environment<Word>(cpu, image);
  write_image(cpu, op, image, sizeof image, sizeof(Word));
  FpuState& f = cpu.arch.fpu;
  f.control |= 0x3f;
  update_summary(f);
}

template <class Word>
void load_environment(Vcpu& cpu, const Op& op) {
  begin(cpu);
  u8 image[kEnvironmentBytes<Word>];
  read_image(cpu, op, image, sizeof image, sizeof(Word));
  read_environment<Word>(cpu, image);
}

// The environment and the registers from ST(0) on, 10 bytes each.
template <class Word>
void save_state(Vcpu& cpu, const Op& op) {
  begin_no_wait(cpu);
  FpuState& f = cpu.arch.fpu;
  u8 image[kEnvironmentBytes<Word> + 80];
  write_environment<Word>(cpu, image);
  for (unsigned i = 0; i < 8; i++) {
    const Ext80 v = get(f, i);
    u8* out = image + kEnvironmentBytes<Word> + 10 * i;
    std::memcpy(out, &v.significand, 8);
    std::memcpy(out + 8, &v.sign_exponent, 2);
  }
  write_image(cpu, op, image, sizeof image, sizeof(Word));
  reset(f);
}

template <class Word>
void restore_state(Vcpu& cpu, const Op& op) {
  begin(cpu);
  u8 image[kEnvironmentBytes<Word> + 80];
  read_image(cpu, op, image, sizeof image, sizeof(Word));
  read_environment<Word>(cpu, image);
  FpuState& f = cpu.arch.fpu;
  for (unsigned i = 0; i < 8; i++) {
    const u8* in = image + kEnvironmentBytes<Word> + 10 * i;
    const unsigned r = physical(f, i);
    std::memcpy(&f.significand[r], in, 8);
    std::memcpy(&f.sign_exponent[r], in + 8, 2);
  }
}

Handler by_operand_size(const Instruction& instruction, Handler h16, Handler h32) {
  return instruction.operand_bytes == 2 ? h16 : h32;
}

}  // namespace

RONDO_X87(FNINIT, &initialize)
RONDO_X87(FNCLEX, &clear_exceptions)
RONDO_X87(FNOP, &no_operation)
RONDO_X87(FWAIT, &wait)
RONDO_X87(FINCSTP, &move_top<1>)
RONDO_X87(FDECSTP, &move_top<-1>)
RONDO_X87(FLDCW, &load_control)
RONDO_X87(FNSTCW, &store_control)

template <>
Handler lower<Operation::FFREE>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  op.dst = instruction.operands[0].reg;
  return &cold<&free_register<false>>;
}
template <>
Handler lower<Operation::FFREEP>(const Instruction& instruction, Op& op, LowerContext&) {
  set_opcode(instruction, op);
  op.dst = instruction.operands[0].reg;
  return &cold<&free_register<true>>;
}
template <>
Handler lower<Operation::FNSTSW>(const Instruction& instruction, Op&, LowerContext&) {
  return is_memory(instruction.operands[0]) ? &cold<&store_status> : &cold<&store_status_ax>;
}
template <>
Handler lower<Operation::FNSTENV>(const Instruction& instruction, Op&, LowerContext&) {
  return by_operand_size(instruction, &cold<&store_environment<u16>>, &cold<&store_environment<u32>>);
}
template <>
Handler lower<Operation::FLDENV>(const Instruction& instruction, Op&, LowerContext&) {
  return by_operand_size(instruction, &cold<&load_environment<u16>>, &cold<&load_environment<u32>>);
}
template <>
Handler lower<Operation::FNSAVE>(const Instruction& instruction, Op&, LowerContext&) {
  return by_operand_size(instruction, &cold<&save_state<u16>>, &cold<&save_state<u32>>);
}
template <>
Handler lower<Operation::FRSTOR>(const Instruction& instruction, Op&, LowerContext&) {
  return by_operand_size(instruction, &cold<&restore_state<u16>>, &cold<&restore_state<u32>>);
}

}  // namespace rondo::software
