// Instruction fetch: from an instruction pointer to a block, or to the fault that fetching raises.
#pragma once

#include <vector>

#include "core/software/block.h"
#include "core/software/code_cache.h"
#include "core/software/lowering.h"
#include "core/software/paging.h"
#include "decoder/decoder.h"

namespace rondo::software {

// Bytes at an instruction pointer, across a page boundary if need be.
struct FetchedBytes {
  u8 bytes[decoder::kMaxInstructionBytes] = {};
  unsigned count = 0;
  bool fault = false;  // the first byte that is missing raises Vcpu::fault
};

class Fetcher {
 public:
  Fetcher(PhysicalMemory& memory, CodeCache& cache) : memory_(memory), cache_(cache) {}

  enum class Outcome : u8 {
    block,
    fault,   // fetching raises cpu.fault
    step     // the code there has no block (it lies outside RAM, or across pages in an awkward way): execute it by single()
  };
  struct Found {
    Outcome outcome;
    Block* block = nullptr;
  };
  // The block at cpu.rip, decoded now if it is new.
  Found block_at(Vcpu& cpu);
  // Decodes the one instruction at cpu.rip afresh into ops[0], and a stop into ops[1]. links: two unused ones for a branch. False: cpu.fault.
  bool single(Vcpu& cpu, Op (&ops)[2], Link* links);
  // Whether the bytes at cpu.rip are no instruction of this model; for the log of unsupported instructions.
  bool is_undefined(Vcpu& cpu, FetchedBytes& out);

 private:
  bool translate(Vcpu& cpu, u64 linear, u64& physical);
  FetchedBytes fetch(Vcpu& cpu);
  Block* add(Vcpu& cpu, u64 physical, u64 second_page, bool crosses, unsigned bytes, std::span<const Op> ops, unsigned count);
  Found build(Vcpu& cpu, u64 linear, u64 physical);
  Found build_crossing(Vcpu& cpu, u64 linear, u64 physical);

  PhysicalMemory& memory_;
  CodeCache& cache_;
  decoder::Decoder decoder_;
  std::vector<Op> ops_;
  // Recent translations for fetching, valid while the epoch stands.
  struct PageEntry {
    u64 linear = 1;
    u64 epoch = 0;
    u64 physical = 0;
  };
  static constexpr u64 kPages = 256;
  PageEntry pages_[kPages];
};

}  // namespace rondo::software
