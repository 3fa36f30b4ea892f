#include "core/kvm/string_io.h"

#include <array>
#include <cerrno>

namespace rondo::kvm {
namespace {

constexpr unsigned kLongestInstruction = 15;

bool in_code64(const CpuState& s) { return (s.efer & efer::LMA) && s.segment[CS].l; }

struct StringInstruction {
  bool repeated = false;
  u64 address_mask = 0;  // of RCX, RSI and RDI
  u8 opcode = 0;
  unsigned length = 0;  // 0: not readable
};

// The host's byte behind an offset of a segment with this base. Null: not mapped, or not RAM.
Result<const u8*> byte_at(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& s, u64 base,
                          u64 offset) {
  const auto physical = vcpu.translate(in_code64(s) ? offset : (base + offset) & 0xffff'ffff);
  if (!physical) return physical.error();
  return *physical ? memory.host(**physical) : nullptr;
}

Result<StringInstruction> decode(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& s) {
  const bool code64 = in_code64(s);
  bool other_size = false;
  StringInstruction found;
  for (unsigned i = 0; i < kLongestInstruction && found.length == 0; ++i) {
    const Result<const u8*> at = byte_at(vcpu, memory, s, s.segment[CS].base, s.rip + i);
    if (!at) return at.error();
    const u8* const byte = *at;
    if (!byte) return found;
    switch (*byte) {
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0x64:
      case 0x65:
      case 0x66:
      case 0xf0:
        break;
      case 0x67:
        other_size = true;
        break;
      case 0xf2:
      case 0xf3:
        found.repeated = true;
        break;
      default:
        if (code64 && (*byte & 0xf0) == 0x40) break;  // REX
        found.opcode = *byte;
        found.length = i + 1;
    }
  }
  if (code64) {
    found.address_mask = other_size ? 0xffff'ffff : ~u64{0};
  } else {
    found.address_mask = (s.segment[CS].db != 0) != other_size ? 0xffff'ffff : 0xffff;
  }
  return found;
}

bool is_string_opcode(u8 opcode) {
  return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

}  // namespace

Status end_finished_repeat(const VcpuHandle& vcpu, const PhysicalMemory& memory, CpuState& s) {
  const Result<StringInstruction> found = decode(vcpu, memory, s);
  if (!found) return found.error();
  if (!found->repeated || !is_string_opcode(found->opcode) || (s.gpr[RCX] & found->address_mask) != 0) return success();
  s.rip += found->length;
  if (!in_code64(s)) s.rip &= s.segment[CS].db ? 0xffff'ffff : 0xffff;
  s.rflags &= ~flags::RF;
  return success();
}

Result<bool> is_string_input(const VcpuHandle& vcpu, const PhysicalMemory& memory, const CpuState& s) {
  constexpr u8 kOuts = 0x6e, kStos = 0xaa;
  const Result<StringInstruction> found = decode(vcpu, memory, s);
  if (!found) return found.error();
  const u8 opcode = found->opcode;
  return is_string_opcode(opcode) && (opcode & 0xfe) != kOuts && (opcode & 0xfe) != kStos;
}

// KVM can only be made to finish what it has begun: one iteration, into bytes that are put back. Further accesses of it
// are not made; a page fault that it raises instead is lost with its registers.
Status withdraw_input(VcpuHandle& vcpu, PhysicalMemory& memory, const CpuState& s) {
  constexpr unsigned kMostAccesses = 64;
  const Result<StringInstruction> found = decode(vcpu, memory, s);
  if (!found) return found.error();
  std::array<u8*, 8> bytes{};  // of the widest element
  std::array<u8, 8> before{};
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const u64 offset = (s.gpr[RDI] & found->address_mask) + i;
    const Result<const u8*> at = byte_at(vcpu, memory, s, s.segment[ES].base, offset);
    if (!at) return at.error();
    bytes[i] = const_cast<u8*>(*at);
    if (bytes[i]) before[i] = *bytes[i];
  }
  Result<kvm_regs> regs = vcpu.regs();
  if (!regs) return regs.error();
  regs->rcx = 1;  // this iteration is the last one
  if (Status set = vcpu.set_regs(*regs); !set) return set;
  int result = 0;
  for (unsigned i = 0; i < kMostAccesses && result == 0; ++i) result = vcpu.complete();
  if (result != -EINTR) return refused("KVM_RUN", result);
  for (unsigned i = 0; i < bytes.size(); ++i)
    if (bytes[i]) *bytes[i] = before[i];
  return success();
}

}  // namespace rondo::kvm
