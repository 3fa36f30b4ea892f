#include "harness/boot/text_patches.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

#include "core/cpu/patched_text.h"
#include "decoder/decoder.h"
#include "decoder/prefixes.h"

namespace rondo::boot {
namespace {

using decoder::CodeMode;
using decoder::DecodeStatus;
using decoder::Instruction;
using decoder::Operation;

enum class Kind : u8 { none, rdtsc, rdtscp, cpuid, rdrand, rdseed };
constexpr const char* kNames[] = {"", "RDTSC", "RDTSCP", "CPUID", "RDRAND", "RDSEED"};
constexpr u8 kNop = 0x90;

// The decoder knows only the CPU model's instructions: these are 0F C7 /6 and /7 with a register, without F2, F3 and
// LOCK (SDM 2B). The length, or 0.
unsigned random_length(std::span<const u8> bytes, Kind& kind) {
  const decoder::Prefixes prefixes = decoder::scan_prefixes(bytes, CodeMode::bits64);
  const unsigned length = prefixes.length + 3;
  if (length > std::min<std::size_t>(bytes.size(), decoder::kMaxInstructionBytes)) return 0;
  const auto code = bytes.subspan(prefixes.length, 3);
  const unsigned reg = code[2] >> 3 & 7;
  if (code[0] != 0x0f || code[1] != 0xc7 || code[2] < 0xc0 || reg < 6) return 0;
  if (prefixes.repeat != 0 || prefixes.lock) return 0;
  kind = reg == 6 ? Kind::rdrand : Kind::rdseed;
  return length;
}

// The kind of the instruction at the start of `bytes`, and its length: at least 1, whatever is there.
Kind look_at(decoder::Decoder& decoder, std::span<const u8> bytes, unsigned& length) {
  const auto window = bytes.first(std::min<std::size_t>(bytes.size(), decoder::kMaxInstructionBytes));
  Instruction instruction;
  const DecodeStatus status = decoder.decode(window, CodeMode::bits64, instruction);
  length = std::max<unsigned>(instruction.length, 1);
  if (status == DecodeStatus::ok) {
    switch (instruction.operation) {
      case Operation::RDTSC:
        return Kind::rdtsc;
      case Operation::RDTSCP:
        return Kind::rdtscp;
      case Operation::CPUID:
        return Kind::cpuid;
      default:
        return Kind::none;
    }
  }
  Kind kind = Kind::none;
  if (const unsigned found = random_length(window, kind)) length = found;
  return kind;
}

std::vector<u8> replacement_for(Kind kind, unsigned length) {
  std::vector<u8> bytes = kind == Kind::rdtsc    ? std::vector<u8>{0xe6, kTimeStampPort}
                          : kind == Kind::rdtscp ? std::vector<u8>{0x66, 0xe7, kTimeStampPort}
                          : kind == Kind::cpuid  ? std::vector<u8>{0xe6, kCpuidPort}
                                                 : std::vector<u8>{0x0f, 0x0b};  // UD2
  bytes.resize(length, kNop);
  return bytes;
}

bool is_wanted(Kind kind, PatchKinds kinds) {
  switch (kind) {
    case Kind::none:
      return false;
    case Kind::rdtsc:
    case Kind::rdtscp:
      return kinds.time_stamps;
    case Kind::cpuid:
      return kinds.cpuid;
    case Kind::rdrand:
    case Kind::rdseed:
      return kinds.random;
  }
  return false;
}

}  // namespace

std::vector<TextPatch> find_text_patches(const PhysicalMemory& memory, std::span<const MemoryRange> text,
                                         PatchKinds kinds) {
  std::vector<TextPatch> patches;
  decoder::Decoder decoder;
  for (const MemoryRange& range : text) {
    std::vector<u8> bytes(range.length);
    if (!memory.read(range.start, bytes)) continue;
    unsigned length = 0;
    for (u64 at = 0; at < bytes.size(); at += length) {
      const Kind kind = look_at(decoder, std::span(bytes).subspan(at), length);
      if (!is_wanted(kind, kinds)) continue;
      const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      patches.push_back({range.start + at, {first, first + length}, replacement_for(kind, length)});
    }
  }
  return patches;
}

Status apply_text_patches(std::span<const TextPatch> patches, PhysicalMemory& memory) {
  for (const TextPatch& patch : patches) {
    std::array<char, 24> where{};
    std::snprintf(where.data(), where.size(), "0x%llx", static_cast<unsigned long long>(patch.address.value));
    std::vector<u8> there(patch.original.size());
    if (!memory.read(patch.address, there))
      return Error{std::string("the patch of the kernel's text at ") + where.data() + " lies outside memory"};
    if (there != patch.original)
      return Error{std::string("the kernel's text at ") + where.data() +
                   " is not what was patched when it was recorded"};
  }
  for (const TextPatch& patch : patches) memory.write(patch.address, patch.replacement);
  return success();
}

std::vector<std::pair<std::string, u64>> count_text_patches(std::span<const TextPatch> patches) {
  decoder::Decoder decoder;
  std::array<u64, std::size(kNames)> counts{};
  for (const TextPatch& patch : patches) {
    unsigned length = 0;
    ++counts[static_cast<unsigned>(look_at(decoder, patch.original, length))];
  }
  std::vector<std::pair<std::string, u64>> named;
  for (unsigned kind = 1; kind < counts.size(); ++kind) {
    if (counts[kind] != 0) named.emplace_back(kNames[kind], counts[kind]);
  }
  return named;
}

}  // namespace rondo::boot
