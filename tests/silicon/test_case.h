// A test case and its outcome: plain data, shared between processes.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/types.h"
#include "tests/silicon/layout.h"

namespace rondo::silicon {

// The 512 bytes of FXSAVE64 (SDM 1 table 10-2, 64-bit format), of which 416 are state.
struct alignas(16) FxImage {
  u16 control = 0x037f;
  u16 status = 0;
  u8 valid = 0;
  u8 reserved0 = 0;
  u16 opcode = 0;
  u64 instruction_pointer = 0;
  u64 data_pointer = 0;
  u32 mxcsr = 0x1f80;
  u32 mxcsr_mask = 0;
  struct {
    u64 significand;
    u16 sign_exponent;
    u16 reserved[3];
  } st[8]{};
  struct {
    u64 lane[2];
  } xmm[16]{};
  u8 reserved1[96]{};
};
static_assert(sizeof(FxImage) == 512);

struct Registers {
  std::array<u64, 16> gpr{};
  u64 rip = 0;
  u64 rflags = 0x202;
  FxImage fx;
};

// Bytes put into the data area before a case runs, on top of the batch's base contents.
struct Patch {
  u32 address = 0;
  u16 length = 0;
  u16 offset = 0;  // into TestCase::patch_bytes
};

struct alignas(64) TestCase {
  Registers initial;
  u16 code_length = 0;       // at initial.rip; the jump to kExit that follows is not included
  u8 instruction_count = 0;  // as generated
  u8 patch_count = 0;
  std::array<Patch, 4> patches{};
  std::array<u8, 704> patch_bytes{};
};

inline constexpr u32 kNoFault = 0xffffffff;

// An aligned 8-byte word of the data area that differs from the base contents.
struct WordChange {
  u32 address = 0;
  u32 reserved = 0;
  u64 value = 0;
  bool operator==(const WordChange&) const = default;
};
inline constexpr unsigned kMaxChanges = 96;

struct SegmentRegister {
  u16 selector = 0;
  bool usable = false;
  u64 base = 0;
  bool operator==(const SegmentRegister&) const = default;
};

struct Outcome {
  Registers final;
  u32 vector = kNoFault;
  u32 error_code = 0;
  u64 fault_address = 0;                      // CR2, with #PF only
  u32 change_count = 0;                       // may exceed kMaxChanges: the rest is in change_hash only
  u32 ran = 0;                                // 0: the runner did not get to it
  std::array<SegmentRegister, 6> segments{};  // by SegmentName; in guests only
  bool has_segments = false;
  u64 change_hash = 0;
  std::array<WordChange, kMaxChanges> changes{};
};

using DataImage = std::array<u8, kDataBytes>;
using CodeImage = std::array<u8, kCodeBytes>;

// Records and undoes every change of a page of the data area. Both runners use it, so that their lists compare.
[[gnu::always_inline]] inline void collect_changes(u8* page, const u8* base, u64 address, Outcome& out) {
  for (u64 line = 0; line < kPageSize; line += 64) {
    u64 now[8], was[8];
    __builtin_memcpy(now, page + line, 64);
    __builtin_memcpy(was, base + line, 64);
    u64 different = 0;
    for (unsigned i = 0; i < 8; ++i) different |= now[i] ^ was[i];
    if (different == 0) continue;
    for (unsigned i = 0; i < 8; ++i) {
      if (now[i] == was[i]) continue;
      const u64 where = address + line + 8 * i;
      out.change_hash = (out.change_hash ^ now[i] ^ (where << 20)) * 0x9e3779b97f4a7c15;
      if (out.change_count < kMaxChanges) out.changes[out.change_count] = {static_cast<u32>(where), 0, now[i]};
      ++out.change_count;
      __builtin_memcpy(page + line + 8 * i, &was[i], 8);
    }
  }
}

inline constexpr unsigned kBatchCases = 2048;
inline constexpr unsigned kTerminatorBytes = 5;

// A batch: many cases over one code image and one data image.
struct Batch {
  u32 case_count = 0;
  u32 current = 0;   // the native runner's progress, for the report if it dies
  DataImage data{};  // base contents; holes are unused
  CodeImage code{};
  std::array<TestCase, kBatchCases> cases{};
  std::array<Outcome, kBatchCases> outcomes{};
};

// Writes the jump to kExit at `address`; what lies beyond the code image is dropped.
inline void put_terminator(CodeImage& code, u64 address) {
  const u32 distance = static_cast<u32>(kExit - (address + kTerminatorBytes));
  std::array<u8, kTerminatorBytes> jump{0xe9};
  std::memcpy(jump.data() + 1, &distance, sizeof distance);
  for (u64 i = 0; i < kTerminatorBytes; ++i)
    if (address + i - kCodeBase < kCodeBytes) code[address + i - kCodeBase] = jump[i];
}

}  // namespace rondo::silicon
