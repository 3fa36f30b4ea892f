#include "core/software/fetch.h"

#include <algorithm>
#include <cstring>

#include "core/software/debug_index.h"
#include "core/software/fusion.h"
#include "core/software/host_answers.h"
#include "core/software/mode.h"
#include "core/software/ops/alu_quiet.h"
#include "core/software/ops/branch_forms.h"
#include "core/software/ops/likely.h"

namespace rondo::software {

using decoder::CodeMode;
using decoder::DecodeStatus;

namespace {

u64 linear_of(const CodeKey& key, u64 rip) {
  return key.mode == CodeMode::bits64 ? rip : (rip + key.base) & 0xffffffff;
}

// Only where time is sampled may a host have executed this before, on KVM.
void note_doubtful(Vcpu& cpu, const Instruction& instruction, u64 rip) {
  if (cpu.cpl == 3 && cpu.clock->sampled() && may_be_answered_by_host(instruction.operation))
    cpu.clock->note_doubtful(rip, decoder::operation_name(instruction.operation));
}

}  // namespace

bool Fetcher::translate(Vcpu& cpu, u64 linear, u64& physical) {
  PageEntry& entry = pages_[(linear >> kPageShift) & (kPages - 1)];
  if (entry.linear != (linear & ~kPageMask) || entry.epoch != cpu.code_epoch) {
    if (cpu.long_mode() && !is_canonical(linear)) {
      cpu.fault = fault_gp();
      return false;
    }
    Translation t;
    if (!cpu.mmu->translate(cpu, linear, Access::fetch, Mmu::current_rights(cpu), t, cpu.fault)) return false;
    entry = {linear & ~kPageMask, cpu.code_epoch, t.physical & ~kPageMask};
  }
  physical = entry.physical | (linear & kPageMask);
  return true;
}

Fetcher::Found Fetcher::block_at(Vcpu& cpu) {
  JumpEntry& jump = cpu.jump_cache[jump_index(cpu.rip)];
  if (jump.rip == cpu.rip && jump.epoch == cpu.code_epoch) return {Outcome::block, jump.block};
  const u64 linear = linear_of(cache_.mode(), cpu.rip);
  u64 physical;
  if (!translate(cpu, linear, physical)) return {Outcome::fault};
  if (!memory_.host(GuestPhys{physical})) return {Outcome::step};
  Block* block = cache_.find(physical);
  if (block && block->crosses) {
    u64 second;
    if (!translate(cpu, (linear & ~kPageMask) + kPageSize, second)) return {Outcome::fault};
    block = cache_.find_crossing(physical, second);
  }
  if (!block) {
    const Found built = build(cpu, linear, physical);
    if (!built.block) return built;
    block = built.block;
  }
  jump = {cpu.rip, cpu.code_epoch, block};
  if (const WantedLink& wanted = cpu.wanted; wanted.link && wanted.rip == cpu.rip && wanted.epoch == cpu.code_epoch) {
    set_link(cpu, *wanted.link, block, wanted.same_page);
  }
  cpu.wanted.link = nullptr;
  return {Outcome::block, block};
}

Block* Fetcher::add(Vcpu& cpu, u64 physical, u64 second_page, bool crosses, unsigned bytes, std::span<const Op> ops, unsigned count) {
  Block* block = cache_.add(physical, second_page, crosses, bytes, ops, count);
  if (cpu.code_generation != cache_.generation()) {  // the cache was full: all other blocks are gone
    cpu.code_generation = cache_.generation();
    cpu.forget_links();
  }
  privilege_context_changed(cpu);
  return block;
}

Fetcher::Found Fetcher::build(Vcpu& cpu, u64 linear, u64 physical) {
  const CodeKey& key = cache_.mode();
  const u64 in_page = physical & kPageMask;
  const std::span<const u8> page(memory_.host(GuestPhys{physical}), kPageSize - in_page);
  ops_.clear();
  LowerContext context{.page_offset = in_page};
  unsigned at = 0;
  Instruction previous;
  DeadFlags dead_flags;
  unsigned count = 0;  // instructions; a NOP counts but has no Op
  if (cpu.debug->ends_block(in_page)) lower_guard(ops_.emplace_back());
  const std::size_t first = ops_.size();
  while (count < kMaxBlockInstructions && !context.ends_block && at < page.size()) {
    Instruction instruction;
    const DecodeStatus status = decoder_.decode(page.subspan(at), key.mode, instruction);
    if (status == DecodeStatus::truncated && at == 0) return build_crossing(cpu, linear, physical);
    if (at != 0 && cpu.debug->ends_block(in_page + at)) break;
    if (status != DecodeStatus::ok) {
      if (at != 0) break;
      // Not an instruction: one Op that raises, watched over the bytes that were looked at.
      lower_invalid(status == DecodeStatus::too_long, ops_.emplace_back());
      for (Op& op : ops_) op.left = 1;
      const unsigned looked_at = static_cast<unsigned>(std::min<std::size_t>(page.size(), decoder::kMaxInstructionBytes));
      Block* block = add(cpu, physical, 0, false, looked_at, ops_, 1);
      return {Outcome::block, block};
    }
    const unsigned index = count++;
    if (instruction.operation == Operation::NOP) {
      at += instruction.length;
      context.page_offset = in_page + at;
      continue;
    }
    note_doubtful(cpu, instruction, cpu.rip + at);
    Op& op = ops_.emplace_back();
    lower_instruction(instruction, at, op, context);
    op.left = static_cast<u8>(index);  // for now
    dead_flags.lowered(instruction, ops_);
    if (ops_.size() > first + 1 && key.mode == CodeMode::bits64) {
      fuse_with_branch(previous, ops_[ops_.size() - 2], instruction, successors_in_page(instruction, context));
    }
    previous = instruction;
    at += instruction.length;
    context.page_offset = in_page + at;
  }
  for (Op& op : ops_) op.left = static_cast<u8>(count - op.left);
  if (!context.ends_block) {
    lower_fall_through(key.mode == CodeMode::bits64, at, ops_.emplace_back(), context);
    context.wants_links = true;
  }
  // From the end, since which edition an Op has shows in its handler.
  for (std::size_t i = ops_.size() - 1; i-- > 0;) ops_[i].handler = led_edition(ops_[i].handler, ops_[i + 1].handler);
  Block* block = add(cpu, physical, 0, false, at, ops_, count);
  if (context.wants_links) block->ops()[ops_.size() - 1].imm = reinterpret_cast<u64>(&block->links[0]);
  return {Outcome::block, block};
}

// One instruction whose bytes lie in two pages.
Fetcher::Found Fetcher::build_crossing(Vcpu& cpu, u64 linear, u64 physical) {
  u64 second;
  if (!translate(cpu, (linear & ~kPageMask) + kPageSize, second)) return {Outcome::fault};
  const u8* second_host = memory_.host(GuestPhys{second});
  if (!second_host || (physical & ~kPageMask) == second) return {Outcome::step};
  u8 bytes[2 * decoder::kMaxInstructionBytes];
  const u64 in_first = kPageSize - (physical & kPageMask);
  std::memcpy(bytes, memory_.host(GuestPhys{physical}), in_first);
  std::memcpy(bytes + in_first, second_host, decoder::kMaxInstructionBytes);
  Instruction instruction;
  const CodeKey& key = cache_.mode();
  const DecodeStatus status = decoder_.decode({bytes, decoder::kMaxInstructionBytes}, key.mode, instruction);
  if (status != DecodeStatus::ok) return {Outcome::step};
  note_doubtful(cpu, instruction, cpu.rip);
  LowerContext context{.page_offset = physical & kPageMask, .crosses = true};
  ops_.clear();
  if (cpu.debug->ends_block(physical & kPageMask)) lower_guard(ops_.emplace_back());
  lower_instruction(instruction, 0, ops_.emplace_back(), context);
  for (Op& op : ops_) op.left = 1;
  if (!context.ends_block) {
    lower_fall_through(key.mode == CodeMode::bits64, instruction.length, ops_.emplace_back(), context);
    context.wants_links = true;
  }
  Block* block = add(cpu, physical, second, true, instruction.length, ops_, 1);
  if (context.wants_links) block->ops()[ops_.size() - 1].imm = reinterpret_cast<u64>(&block->links[0]);
  return {Outcome::block, block};
}

FetchedBytes Fetcher::fetch(Vcpu& cpu) {
  FetchedBytes out;
  const CodeKey& key = cache_.mode();
  const bool code64 = key.mode == CodeMode::bits64;
  for (u64 rip = cpu.rip; out.count < sizeof out.bytes;) {
    if (!code64 && rip > cpu.arch.segment[CS].limit) {
      cpu.fault = fault_gp();
      out.fault = true;
      return out;
    }
    const u64 linear = linear_of(key, rip);
    u64 physical;
    if (!translate(cpu, linear, physical)) {
      out.fault = true;
      return out;
    }
    u64 part = std::min<u64>(kPageSize - (linear & kPageMask), sizeof out.bytes - out.count);
    if (!code64) part = std::min<u64>(part, cpu.arch.segment[CS].limit - rip + 1);
    const u8* host = memory_.host(GuestPhys{physical});
    if (host) std::memcpy(out.bytes + out.count, host, part);
    else std::memset(out.bytes + out.count, 0xff, part);  // nothing answers there
    out.count += static_cast<unsigned>(part);
    // The second page is touched (and its Accessed bit set) only if the instruction needs it.
    Instruction instruction;
    if (decoder_.decode({out.bytes, out.count}, key.mode, instruction) != DecodeStatus::truncated) return out;
    rip += part;
  }
  return out;
}

bool Fetcher::single(Vcpu& cpu, Op (&ops)[2], Link* links) {
  const FetchedBytes fetched = fetch(cpu);
  Instruction instruction;
  const DecodeStatus status = decoder_.decode({fetched.bytes, fetched.count}, cache_.mode().mode, instruction);
  if (fetched.fault && status == DecodeStatus::truncated) return false;
  if (status == DecodeStatus::ok) {
    note_doubtful(cpu, instruction, cpu.rip);
    LowerContext context{.page_offset = 0, .crosses = true};
    lower_instruction(instruction, 0, ops[0], context);
    ops[0].left = 1;
    lower_stop(instruction.length, ops[1]);
    if (context.wants_links) ops[0].imm = reinterpret_cast<u64>(links);
    return true;
  }
  lower_invalid(status == DecodeStatus::too_long, ops[0]);
  ops[0].left = 1;
  return true;
}

bool Fetcher::is_undefined(Vcpu& cpu, FetchedBytes& out) {
  const Fault saved = cpu.fault;
  out = fetch(cpu);
  cpu.fault = saved;
  Instruction instruction;
  return decoder_.decode({out.bytes, out.count}, cache_.mode().mode, instruction) == DecodeStatus::invalid;
}

}  // namespace rondo::software
