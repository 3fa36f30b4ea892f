#include "crosscheck.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>

namespace rondo::decoder::testing {
namespace {

// splitmix64: the same strings on every run.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned limit) { return static_cast<unsigned>(next() % limit); }

 private:
  std::uint64_t state_;
};

bool matches(const char* pattern, const char* text) {
  if (*pattern == '\0') return *text == '\0';
  if (*pattern == '*') {
    for (;; ++text) {
      if (matches(pattern + 1, text)) return true;
      if (*text == '\0') return false;
    }
  }
  return *pattern == *text && matches(pattern + 1, text + 1);
}

const char* mode_name(CodeMode mode) {
  return mode == CodeMode::bits16 ? "16" : mode == CodeMode::bits32 ? "32" : "64";
}

const char* status_name(DecodeStatus status) {
  switch (status) {
    case DecodeStatus::ok:
      return "ok";
    case DecodeStatus::invalid:
      return "invalid";
    case DecodeStatus::truncated:
      return "truncated";
    case DecodeStatus::too_long:
      return "too_long";
  }
  return "";
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const auto byte : bytes) text += fmt::format("{:02x} ", byte);
  return text;
}

// "0F 38 41" and the like: the opcode without prefixes, so that a known disagreement can name it.
std::string opcode_text(std::span<const std::uint8_t> bytes, CodeMode mode) {
  std::size_t at = 0;
  std::string prefixes;
  for (; at < bytes.size(); ++at) {
    const auto byte = bytes[at];
    const bool is_rex = mode == CodeMode::bits64 && (byte & 0xf0) == 0x40;
    if (byte == 0x66 || byte == 0xf2 || byte == 0xf3) prefixes += fmt::format("{:02X}+", byte);
    if (byte == 0xf0) prefixes += "LOCK+";
    const bool is_segment =
        byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || byte == 0x64 || byte == 0x65;
    if (!is_rex && !is_segment && byte != 0x66 && byte != 0x67 && byte != 0xf0 && byte != 0xf2 && byte != 0xf3) break;
  }
  const auto byte = [&](std::size_t i) { return at + i < bytes.size() ? fmt::format("{:02X}", bytes[at + i]) : "--"; };
  std::string text = prefixes + byte(0);
  std::size_t next = 1;
  if (at < bytes.size() && bytes[at] == 0x0f) {
    text += byte(next++);
    if (at + 1 < bytes.size() && (bytes[at + 1] == 0x38 || bytes[at + 1] == 0x3a)) text += byte(next++);
  }
  if (at + next < bytes.size()) {
    const auto modrm = bytes[at + next];
    text += fmt::format("/{}{}", (modrm >> 3) & 7, (modrm >> 6) == 3 ? "r" : "m");
  }
  return text;
}

}  // namespace

std::vector<KnownDisagreement> read_known_disagreements(const std::string& path) {
  std::vector<KnownDisagreement> known;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const auto bar = line.find(" | ");
    if (bar == std::string::npos) continue;
    auto pattern = line.substr(0, bar);
    pattern.erase(pattern.find_last_not_of(' ') + 1);
    known.push_back({pattern, line.substr(bar + 3), 0});
  }
  return known;
}

void Crosscheck::report(const std::string& description, std::span<const std::uint8_t> bytes) {
  if (const auto found = explained_by_.find(description); found != explained_by_.end()) {
    ++known_[found->second].count;
    return;
  }
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (!matches(known_[i].pattern.c_str(), description.c_str())) continue;
    explained_by_.emplace(description, i);
    ++known_[i].count;
    return;
  }
  auto& entry = unexplained_[description];
  if (entry.count++ == 0) entry.example = hex(bytes);
}

unsigned Crosscheck::check(std::span<const std::uint8_t> bytes, CodeMode mode) {
  bytes = bytes.subspan(0, std::min<std::size_t>(bytes.size(), kMaxInstructionBytes));
  Instruction ours;
  const DecodeStatus status = decoder_.decode(bytes, mode, ours);
  const Reference reference = zydis_.decode(bytes, mode);
  ++compared_;
  if (status == DecodeStatus::ok) ++decoded_;
  // Zydis asks for more where 15 bytes are not enough.
  const bool cannot_have_more = bytes.size() >= kMaxInstructionBytes;
  auto theirs = reference.status;
  if (theirs == DecodeStatus::truncated && cannot_have_more) theirs = DecodeStatus::too_long;
  if (theirs == DecodeStatus::ok && !reference.in_model) theirs = DecodeStatus::invalid;

  std::string difference;
  if (status != theirs) {
    difference = std::string("status ") + status_name(status) + "/" + status_name(theirs);
  } else if (status == DecodeStatus::ok) {
    difference = first_difference(ours, reference.instruction);
  } else if (status == DecodeStatus::invalid && ours.length != 0 && reference.status == DecodeStatus::ok &&
             ours.length != reference.instruction.length) {
    difference = "length of an invalid one";
  }
  if (!difference.empty()) {
    report(
        fmt::format("{} {} rondo={} zydis={} {}", mode_name(mode), opcode_text(bytes, mode),
                    operation_name(ours.operation), reference.mnemonic.empty() ? "-" : reference.mnemonic, difference),
        bytes);
  }
  if (reference.status == DecodeStatus::ok) return reference.instruction.length;
  return ours.length != 0 ? ours.length : 1;
}

void Crosscheck::check_cuts(std::span<const std::uint8_t> bytes, CodeMode mode) {
  bytes = bytes.subspan(0, std::min<std::size_t>(bytes.size(), kMaxInstructionBytes));
  Instruction whole;
  const DecodeStatus status = decoder_.decode(bytes, mode, whole);
  if (status != DecodeStatus::ok) return;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Instruction part;
    const DecodeStatus got = decoder_.decode(bytes.subspan(0, size), mode, part);
    const DecodeStatus expected = size < whole.length ? DecodeStatus::truncated : DecodeStatus::ok;
    if (got != expected) {
      report(
          fmt::format("{} {} cut to {} bytes: {}", mode_name(mode), opcode_text(bytes, mode), size, status_name(got)),
          bytes);
    } else if (got == DecodeStatus::ok && !first_difference(part, whole).empty()) {
      report(fmt::format("{} {} cut: {}", mode_name(mode), opcode_text(bytes, mode), first_difference(part, whole)),
             bytes);
    }
  }
}

void Crosscheck::sweep(std::span<const std::uint8_t> text, CodeMode mode) {
  for (std::size_t at = 0; at < text.size();) at += check(text.subspan(at), mode);
}

void Crosscheck::random(std::uint64_t seed, std::uint64_t count) {
  static constexpr std::array<std::uint8_t, 11> kPrefixes = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26,
                                                             0x2e, 0x36, 0x3e, 0x64, 0x65};
  Random random(seed);
  std::array<std::uint8_t, kMaxInstructionBytes> bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
    // Half are plain bytes; the others get prefixes and opcode maps that plain bytes rarely have.
    if (random.below(2) == 0) {
      std::size_t at = 0;
      for (unsigned n = random.below(4); n > 0; --n) bytes[at++] = kPrefixes[random.below(kPrefixes.size())];
      if (random.below(3) == 0) bytes[at++] = static_cast<std::uint8_t>(0x40 | random.below(16));
      if (random.below(3) != 0) bytes[at++] = 0x0f;
      if (random.below(4) == 0) bytes[at++] = random.below(2) == 0 ? 0x38 : 0x3a;
    }
    const auto mode = static_cast<CodeMode>(i % 3);
    check(bytes, mode);
    if (i % 16 == 0) check_cuts(bytes, mode);
  }
}

void Crosscheck::exhaustive(CodeMode mode) {
  static constexpr std::array<std::array<std::uint8_t, 2>, 6> kMandatory = {
      {{0, 0}, {0x66, 0}, {0xf2, 0}, {0xf3, 0}, {0x66, 0xf2}, {0xf3, 0x66}}};
  static constexpr std::array<std::uint8_t, 5> kRex = {0, 0x40, 0x48, 0x45, 0x4b};
  static constexpr std::array<std::array<std::uint8_t, 2>, 4> kMaps = {{{0, 0}, {0x0f, 0}, {0x0f, 0x38}, {0x0f, 0x3a}}};
  Random random(static_cast<std::uint64_t>(mode) + 1);
  const std::size_t rex_count = mode == CodeMode::bits64 ? kRex.size() : 1;
  std::array<std::uint8_t, kMaxInstructionBytes> bytes;
  const auto combine = [&](bool has_67, unsigned mandatory, std::uint8_t rex, unsigned map) {
    std::size_t at = 0;
    const auto put = [&](std::uint8_t byte) {
      if (byte != 0) bytes[at++] = byte;
    };
    put(has_67 ? 0x67 : 0);
    for (const auto byte : kMandatory[mandatory]) put(byte);
    put(rex);
    for (const auto byte : kMaps[map]) put(byte);
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      for (unsigned modrm = 0; modrm < 256; ++modrm) {
        bytes[at] = static_cast<std::uint8_t>(opcode);
        bytes[at + 1] = static_cast<std::uint8_t>(modrm);
        for (std::size_t i = at + 2; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(random.next());
        check(bytes, mode);
      }
    }
  };
  for (const bool has_67 : {false, true}) {
    for (unsigned mandatory = 0; mandatory < kMandatory.size(); ++mandatory) {
      for (std::size_t rex = 0; rex < rex_count; ++rex) {
        for (unsigned map = 0; map < kMaps.size(); ++map) combine(has_67, mandatory, kRex[rex], map);
      }
    }
  }
}

bool Crosscheck::sweep_elf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<std::uint8_t> image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Elf64_Ehdr header;
  if (image.size() < sizeof(header)) return false;
  std::memcpy(&header, image.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return false;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    const std::uint64_t at = header.e_shoff + i * sizeof(section);
    if (at > image.size() || image.size() - at < sizeof(section)) return false;
    std::memcpy(&section, image.data() + at, sizeof(section));
    if (section.sh_type != SHT_PROGBITS || (section.sh_flags & SHF_EXECINSTR) == 0) continue;
    if (section.sh_offset > image.size() || section.sh_size > image.size() - section.sh_offset) return false;
    sweep({image.data() + section.sh_offset, section.sh_size}, CodeMode::bits64);
  }
  return true;
}

}  // namespace rondo::decoder::testing
