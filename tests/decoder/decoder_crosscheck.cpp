// decoder_crosscheck [--exhaustive] [--random N] [--seed N] [--known FILE] [ELF...]
// Exit status 1 if anything that known_disagreements.txt does not explain differs from Zydis.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "crosscheck.h"

int main(int argc, char** argv) {
  using namespace rondo::decoder::testing;
  using rondo::decoder::CodeMode;
  std::uint64_t random = 0;
  std::uint64_t seed = 1;
  bool exhaustive = false;
  std::string known = RONDO_KNOWN_DISAGREEMENTS;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return std::strcmp(argv[i], option) == 0 && i + 1 < argc; };
    if (is("--random")) {
      random = std::strtoull(argv[++i], nullptr, 10);
    } else if (is("--seed")) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--exhaustive") == 0) {
      exhaustive = true;
    } else if (is("--known")) {
      known = argv[++i];
    } else {
      files.emplace_back(argv[i]);
    }
  }
  Crosscheck check(read_known_disagreements(known));
  for (const auto& file : files) {
    const auto before = check.compared();
    if (!check.sweep_elf(file)) {
      fmt::print(stderr, "{}: not a readable 64-bit ELF file\n", file);
      return 2;
    }
    fmt::print("{}: {} instructions\n", file, check.compared() - before);
  }
  if (exhaustive) {
    for (const auto mode : {CodeMode::bits16, CodeMode::bits32, CodeMode::bits64}) check.exhaustive(mode);
  }
  check.random(seed, random);
  fmt::print("{} compared, {} decoded by Rondo\n", check.compared(), check.decoded());
  for (const auto& entry : check.known())
    fmt::print("{:9} explained: {} | {}\n", entry.count, entry.pattern, entry.reason);
  for (const auto& [description, entry] : check.unexplained()) {
    fmt::print("{:9} UNEXPLAINED: {}   e.g. {}\n", entry.count, description, entry.example);
  }
  return check.unexplained().empty() ? 0 : 1;
}
