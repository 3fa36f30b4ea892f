#include "core/software/ops/string_address.h"

#include <algorithm>

#include "core/software/debug_index.h"

namespace rondo::software {

u8 StringOp::pack(const Instruction& instruction) {
  const Repeat repeat = instruction.repne ? Repeat::while_not_equal
                        : instruction.rep ? Repeat::while_equal
                                          : Repeat::none;
  const unsigned log2 = instruction.address_bytes == 8 ? 2 : instruction.address_bytes == 4 ? 1 : 0;
  const bool segmented = instruction.mode != decoder::CodeMode::bits64;
  return static_cast<u8>(static_cast<unsigned>(repeat) | log2 << 2 | (segmented ? 0x10 : 0));
}

void set_string(const Instruction& instruction, Op& op) {
  op.aux = StringOp::pack(instruction);
  op.base = op.index = kSlotZero;
  op.disp = 0;
  op.ea = 0;
  unsigned segment = instruction.segment_override == decoder::kNoRegister ? unsigned{DS} : instruction.segment_override;
  if (instruction.mode == decoder::CodeMode::bits64) {
    op.segment = segment >= FS ? segment_slot(segment) : kSlotZero;
  } else {
    op.segment = segment_slot(segment);
  }
}

// As every register write: 16 bits leave the rest, 32 bits clear it.
void StringWalk::set(unsigned reg, u64 value) {
  switch (kind_.address_bytes) {
    case 8:
      cpu_.gpr(reg) = value;
      break;
    case 4:
      cpu_.gpr(reg) = value & 0xffffffff;
      break;
    default:
      cpu_.set_reg<u16>(gpr_slot(reg), static_cast<u16>(value));
      break;
  }
}

u64 StringWalk::linear(unsigned segment, unsigned reg, unsigned size, bool write) {
  return linear_in_segment(cpu_, segment, cpu_.gpr(reg) & mask_, size, write);
}

Run StringWalk::run(unsigned segment, unsigned reg, unsigned size, u64 want, bool write) {
  const u64 offset = cpu_.gpr(reg) & mask_;
  // Elements before the offset wraps at the address size.
  const u64 room = down_ ? offset : mask_ - offset;
  u64 n = want;
  if (kind_.address_bytes != 8) n = std::min(n, down_ ? room / size + 1 : (room - (size - 1)) / size + 1);
  if (!down_ && room < size - 1) return {nullptr, 0};

  const LinearAddress first = segment_linear(cpu_, segment, offset, size, write);
  if (!first.ok) return {nullptr, 0};
  const u64 linear = first.value;
  const TlbEntry& entry = cpu_.tlb->at(linear);
  const bool watched = write && tlb_hit(cpu_, entry.watched_tag, linear, size);
  if (!watched && !tlb_hit(cpu_, write ? entry.write_tag : entry.read_tag, linear, size)) return {nullptr, 0};
  // Elements that lie in this page as a whole.
  const u64 in_page = linear & kPageMask;
  n = std::min(n, down_ ? in_page / size + 1 : (kPageSize - in_page) / size);
  if (kind_.segmented && n > 1) {
    const u64 bytes = n * size;
    const u64 lowest = down_ ? offset - (bytes - size) : offset;
    const LinearAddress all = segment_linear(cpu_, segment, lowest, static_cast<unsigned>(bytes), write);
    if (!all.ok) n = 1;
  }
  u8* host = static_cast<u8*>(host_of(entry, linear));
  if (watched) {
    const u64 bytes = n * size;
    if (bytes < kBulkStore || cpu_.debug->watched_page(linear)) return {nullptr, 0};
    prepare_bulk_store(cpu_, down_ ? host - (bytes - size) : host, static_cast<unsigned>(bytes));
  }
  return {host, n};
}

}  // namespace rondo::software
