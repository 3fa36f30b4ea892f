// IN, OUT, INS, OUTS (SDM 1 chapter 19).
#include "core/cpu/patched_text.h"
#include "core/software/ops/system_forms.h"
#include "core/software/system/debug.h"
#include "core/software/system/tss.h"

namespace rondo::software {
namespace {

// A port access is about to happen: permission, breakpoints, and the Moment for the devices.
void begin_io(Vcpu& cpu, const Op& op, u16 port, unsigned size) {
  if (!io_permitted(cpu, port, size)) throw fault_gp(0);
  if (const u64 hit = debug_io_match(cpu, port, size)) {
    cpu.arch.pending_debug |= hit;
    cpu.attention = true;
  }
  cpu.begin_event(&op);
}

// op.aux: the port comes from DX, else from the immediate.
u16 port_of(const Vcpu& cpu, const Op& op) {
  return op.aux ? cpu.reg<u16>(gpr_slot(RDX)) : static_cast<u16>(op.imm & 0xff);
}

template <class T>
void in(Vcpu& cpu, const Op& op) {
  const u16 port = port_of(cpu, op);
  begin_io(cpu, op, port, sizeof(T));
  cpu.set_reg<T>(gpr_slot(RAX), static_cast<T>(cpu.ports->read(port, sizeof(T))));
}

template <class T>
void out(Vcpu& cpu, const Op& op) {
  const u16 port = port_of(cpu, op);
  begin_io(cpu, op, port, sizeof(T));
  cpu.ports->write(port, sizeof(T), cpu.reg<T>(gpr_slot(RAX)));
}

// OUT kTimeStampPort.
template <class T>
void out_time_stamp(Vcpu& cpu, const Op& op) {
  if (!cpu.patched_text) return out<T>(cpu, op);
  begin_io(cpu, op, kTimeStampPort, sizeof(T));
  put_time_stamp<sizeof(T) == 2>(cpu);
}

// OUT kCpuidPort, AL.
void out_cpuid(Vcpu& cpu, const Op& op) {
  if (!cpu.patched_text) return out<u8>(cpu, op);
  begin_io(cpu, op, kCpuidPort, sizeof(u8));
  put_model_cpuid(cpu);
}

u64 read_address(const Vcpu& cpu, unsigned reg, unsigned address_bytes) {
  switch (address_bytes) {
    case 8:
      return cpu.gpr(reg);
    case 4:
      return cpu.reg<u32>(gpr_slot(reg));
    default:
      return cpu.reg<u16>(gpr_slot(reg));
  }
}

void write_address(Vcpu& cpu, unsigned reg, unsigned address_bytes, u64 value) {
  switch (address_bytes) {
    case 8:
      cpu.set_reg<u64>(gpr_slot(reg), value);
      break;
    case 4:
      cpu.set_reg<u32>(gpr_slot(reg), static_cast<u32>(value));
      break;
    default:
      cpu.set_reg<u16>(gpr_slot(reg), static_cast<u16>(value));
      break;
  }
}

// INS and OUTS: op.src: REP, op.aux: address size, op.dst: the segment of the source. One iteration at a time: devices
// may end the run or interrupt after each.

// False: REP with a count of zero.
bool begin_string(const Vcpu& cpu, const Op& op) { return !op.src || read_address(cpu, RCX, op.aux) != 0; }

void end_string(Vcpu& cpu, const Op& op, unsigned index, unsigned size) {
  const u64 step = cpu.rflags_rest & flags::DF ? u64{0} - size : size;
  write_address(cpu, index, op.aux, read_address(cpu, index, op.aux) + step);
  if (!op.src) return;
  const u64 left = read_address(cpu, RCX, op.aux) - 1;
  write_address(cpu, RCX, op.aux, left);
  if (read_address(cpu, RCX, op.aux) != 0) cpu.rep_unfinished = true;
}

template <class T>
void ins(Vcpu& cpu, const Op& op) {
  const u16 port = cpu.reg<u16>(gpr_slot(RDX));
  if (!io_permitted(cpu, port, sizeof(T))) throw fault_gp(0);  // with a count of zero too (found on the silicon)
  if (!begin_string(cpu, op)) return;
  const u64 linear = linear_in_segment(cpu, ES, read_address(cpu, RDI, op.aux), sizeof(T), true);
  require_writable(cpu, &op, linear, sizeof(T));
  begin_io(cpu, op, port, sizeof(T));
  write_linear<T>(cpu, &op, linear, static_cast<T>(cpu.ports->read(port, sizeof(T))));
  end_string(cpu, op, RDI, sizeof(T));
}

template <class T>
void outs(Vcpu& cpu, const Op& op) {
  const u16 port = cpu.reg<u16>(gpr_slot(RDX));
  if (!io_permitted(cpu, port, sizeof(T))) throw fault_gp(0);  // with a count of zero too (found on the silicon)
  if (!begin_string(cpu, op)) return;
  const u64 linear = linear_in_segment(cpu, op.dst, read_address(cpu, RSI, op.aux), sizeof(T), false);
  const T value = read_linear<T>(cpu, &op, linear, Privilege::current, op.dst == SS);
  begin_io(cpu, op, port, sizeof(T));
  cpu.ports->write(port, sizeof(T), value);
  end_string(cpu, op, RSI, sizeof(T));
}

void set_string(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = instruction.address_bytes;
  op.src = instruction.rep || instruction.repne;
  op.dst = instruction.segment_override == decoder::kNoRegister ? u8{DS} : instruction.segment_override;
  context.ends_block = true;
}

}  // namespace

template <>
Handler lower<Operation::IN>(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = is_register(instruction.operands[1]);
  context.ends_block = true;
  return by_size(instruction.operands[0].size_bytes, &ending<in<u8>>, &ending<in<u16>>, &ending<in<u32>>, nullptr);
}

template <>
Handler lower<Operation::OUT>(const Instruction& instruction, Op& op, LowerContext& context) {
  op.aux = is_register(instruction.operands[0]);
  context.ends_block = true;
  if (!op.aux && (op.imm & 0xff) == kCpuidPort && instruction.operands[1].size_bytes == 1) return &ending<out_cpuid>;
  if (!op.aux && (op.imm & 0xff) == kTimeStampPort)
    return by_size(instruction.operands[1].size_bytes, &ending<out_time_stamp<u8>>, &ending<out_time_stamp<u16>>,
                   &ending<out<u32>>, nullptr);
  return by_size(instruction.operands[1].size_bytes, &ending<out<u8>>, &ending<out<u16>>, &ending<out<u32>>, nullptr);
}

template <>
Handler lower<Operation::INS>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_string(instruction, op, context);
  return by_size(instruction.operand_bytes == 8 ? 4 : instruction.operand_bytes, &ending<ins<u8>>, &ending<ins<u16>>,
                 &ending<ins<u32>>, nullptr);
}

template <>
Handler lower<Operation::OUTS>(const Instruction& instruction, Op& op, LowerContext& context) {
  set_string(instruction, op, context);
  return by_size(instruction.operand_bytes == 8 ? 4 : instruction.operand_bytes, &ending<outs<u8>>, &ending<outs<u16>>,
                 &ending<outs<u32>>, nullptr);
}

}  // namespace rondo::software
