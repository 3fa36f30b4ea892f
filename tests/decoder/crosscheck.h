// Compares the decoder with Zydis over many byte strings and sorts what differs into explained and unexplained.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "zydis_reference.h"

namespace rondo::decoder::testing {

// A line of known_disagreements.txt: a pattern (* is any text) for a disagreement's description, and why it is right.
struct KnownDisagreement {
  std::string pattern;
  std::string reason;
  std::uint64_t count = 0;
};

std::vector<KnownDisagreement> read_known_disagreements(const std::string& path);

struct Disagreement {
  std::uint64_t count = 0;
  std::string example;  // the bytes of the first one
};

class Crosscheck {
 public:
  explicit Crosscheck(std::vector<KnownDisagreement> known) : known_(std::move(known)) {}

  // Compares one instruction; returns how far to go on in a linear sweep (at least 1).
  unsigned check(std::span<const std::uint8_t> bytes, CodeMode mode);

  // Every byte string also with its end cut off: it must be truncated or decode the same, at every length.
  void check_cuts(std::span<const std::uint8_t> bytes, CodeMode mode);

  void sweep(std::span<const std::uint8_t> text, CodeMode mode);
  void random(std::uint64_t seed, std::uint64_t count);

  // Every opcode of the four maps x every ModRM byte x sets of prefixes.
  void exhaustive(CodeMode mode);

  // Executable sections of an ELF file. False if it is not one.
  bool sweep_elf(const std::string& path);

  std::uint64_t compared() const { return compared_; }
  std::uint64_t decoded() const { return decoded_; }
  const std::map<std::string, Disagreement>& unexplained() const { return unexplained_; }
  const std::vector<KnownDisagreement>& known() const { return known_; }

 private:
  void report(const std::string& description, std::span<const std::uint8_t> bytes);

  Decoder decoder_;
  ZydisReference zydis_;
  std::vector<KnownDisagreement> known_;
  std::map<std::string, Disagreement> unexplained_;
  std::map<std::string, std::size_t> explained_by_;
  std::uint64_t compared_ = 0;
  std::uint64_t decoded_ = 0;
};

}  // namespace rondo::decoder::testing
