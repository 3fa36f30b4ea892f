// ELF executables as boot images (System V ABI, chapters 4 and 5): what to put where in guest memory.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/memory/physical_memory.h"

namespace rondo::boot {

inline constexpr u16 kElf386 = 3;  // e_machine
inline constexpr u16 kElfX86_64 = 62;

struct ElfSegment {
  u64 file_offset = 0;
  u64 file_size = 0;
  GuestPhys address;    // p_paddr
  u64 memory_size = 0;  // the part beyond file_size is zero
};

// Of 64-bit files: where the section headers lie in the file. None: count is 0.
struct SectionTable {
  u64 file_offset = 0;
  u64 count = 0;
};

struct ElfImage {
  bool is_64 = false;
  u16 machine = 0;
  u64 entry = 0;
  std::vector<ElfSegment> segments;  // PT_LOAD with a non-empty place in memory
  SectionTable sections;
};

// A part of guest memory.
struct MemoryRange {
  GuestPhys start;
  u64 length = 0;
  bool operator==(const MemoryRange&) const = default;
};

bool looks_like_elf(std::span<const u8> bytes);

// `head`: the beginning of the file, with all program headers in it. The image is not trusted: every segment that is
// returned has file_size <= memory_size, and neither its file range nor its addresses wrap around. Whether the file is
// long enough is SegmentWriter's to say.
Result<ElfImage> parse_elf(std::span<const u8> head);

// Copies the file's bytes, fed in order, into guest memory. Guest memory is zero before.
class SegmentWriter {
 public:
  SegmentWriter(PhysicalMemory& memory, std::vector<ElfSegment> segments)
      : memory_(memory), segments_(std::move(segments)) {}
  // The next bytes of the file.
  Status feed(std::span<const u8> bytes);
  // The file has ended: fails if a segment is incomplete.
  Status finish() const;

 private:
  PhysicalMemory& memory_;
  std::vector<ElfSegment> segments_;
  u64 position_ = 0;
};

// Collects the section headers of a 64-bit file, fed in order.
class SectionReader {
 public:
  explicit SectionReader(const SectionTable& table) : table_(table) {}
  void feed(std::span<const u8> bytes);
  // Where the code lies in memory: the executable sections that `segments` load, in order of their addresses and
  // without overlaps. Empty if the file does not say, or says nonsense.
  std::vector<MemoryRange> text(std::span<const ElfSegment> segments) const;

 private:
  SectionTable table_;
  std::vector<u8> headers_;
  u64 position_ = 0;
};

}  // namespace rondo::boot
