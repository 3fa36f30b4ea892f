// Instructions of a Linux kernel's text that stock KVM lets a guest execute unlogged, replaced where the kernel is
// loaded by others of the same length (core/cpu/patched_text.h). docs/kvm.md says what this reaches and what not.
//
// A site is found by decoding the text from the start of each executable section. Its bytes in data, in another
// instruction's immediate, or in the vDSO, which is data to the kernel and runs at CPL 3, are none.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/memory/physical_memory.h"
#include "harness/boot/elf.h"

namespace rondo::boot {

struct TextPatch {
  GuestPhys address;
  std::vector<u8> original, replacement;  // of the same length, which is that of an instruction
  bool operator==(const TextPatch&) const = default;
};

// What to look for.
struct PatchKinds {
  bool time_stamps = false;  // RDTSC, RDTSCP: answered from virtual time
  bool cpuid = false;        // CPUID: answered by the CPU model
  bool random = false;       // RDRAND, RDSEED: #UD, as on the CPU model
  bool any() const { return time_stamps || cpuid || random; }
};

// The sites in 64-bit code, in address order. `text` lies in RAM.
std::vector<TextPatch> find_text_patches(const PhysicalMemory& memory, std::span<const MemoryRange> text,
                                         PatchKinds kinds);
// Fails if a patch does not lie in RAM, or other bytes are there; then nothing has changed.
Status apply_text_patches(std::span<const TextPatch> patches, PhysicalMemory& memory);
// How many of each instruction were replaced: {"RDTSC", 107}, {"RDTSCP", 17}.
std::vector<std::pair<std::string, u64>> count_text_patches(std::span<const TextPatch> patches);

}  // namespace rondo::boot
