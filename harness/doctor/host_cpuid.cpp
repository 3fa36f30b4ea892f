#include "harness/doctor/host_cpuid.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "harness/doctor/probe_guest.h"

namespace rondo::doctor {
namespace {

// A question and, in its place, the answer.
struct Entry {
  u32 eax, ebx, ecx, edx;
};
static_assert(sizeof(Entry) == 16);
constexpr u64 kMostEntries = 4096;  // between the guest's data and its stacks

// 1: mov eax, [rsi]; mov ecx, [rsi+8]; cpuid; mov [rsi], eax; mov [rsi+4], ebx; mov [rsi+8], ecx; mov [rsi+12], edx;
//    add rsi, 16; cmp rsi, rdi; jb 1b
constexpr u8 kAskAll[] = {0x8b, 0x06, 0x8b, 0x4e, 0x08, 0x0f, 0xa2, 0x89, 0x06, 0x89, 0x5e, 0x04, 0x89, 0x4e,
                          0x08, 0x89, 0x56, 0x0c, 0x48, 0x83, 0xc6, 0x10, 0x48, 0x39, 0xfe, 0x72, 0xe5};
constexpr u8 kXgetbv[] = {0x0f, 0x01, 0xd0};

// The answers to (leaf, subleaf).
Result<std::vector<CpuidResult>> ask(ProbeGuest& guest, const std::vector<std::pair<u32, u32>>& questions) {
  std::vector<CpuidResult> answers;
  for (std::size_t done = 0; done < questions.size();) {
    const std::size_t count = std::min<std::size_t>(questions.size() - done, kMostEntries);
    u8* data = guest.memory().data() + ProbeGuest::kData;
    for (std::size_t i = 0; i < count; ++i) {
      const Entry entry{questions[done + i].first, 0, questions[done + i].second, 0};
      std::memcpy(data + i * sizeof entry, &entry, sizeof entry);
    }
    const Outcome outcome = guest.run(kAskAll, {.level = Level::user}, ProbeGuest::kData + count * sizeof(Entry));
    if (outcome.ending != Ending::finished)
      return Error{"KVM did not run a guest that asks for CPUID" + std::string(kvm::kAdvice)};
    for (std::size_t i = 0; i < count; ++i) {
      Entry entry;
      std::memcpy(&entry, data + i * sizeof entry, sizeof entry);
      answers.push_back({entry.eax, entry.ebx, entry.ecx, entry.edx});
    }
    done += count;
  }
  return answers;
}

}  // namespace

// Every leaf of the three ranges. One that answers three unlike values of ECX alike does not look at it.
Result<HostCpuid> probe_host_cpuid(const kvm::System& system) {
  constexpr u32 kRanges[] = {0, 0x40000000, 0x80000000};
  constexpr u32 kMostLeaves = 0x100, kSubleaves = 64, kFar = 0x5555;
  auto guest = ProbeGuest::create(system);
  if (!guest) return guest.error();
  std::vector<std::pair<u32, u32>> questions;
  for (const u32 range : kRanges) questions.emplace_back(range, 0);
  auto answers = ask(**guest, questions);
  if (!answers) return answers.error();
  std::vector<u32> leaves;
  for (std::size_t i = 0; i < std::size(kRanges); ++i) {
    const u32 last = (*answers)[i].eax;
    // A range that is not there answers something else.
    const u32 end = last >= kRanges[i] && last - kRanges[i] < kMostLeaves ? last : kRanges[i];
    for (u32 leaf = kRanges[i]; leaf <= end; ++leaf) leaves.push_back(leaf);
  }
  questions.clear();
  for (const u32 leaf : leaves) {
    for (u32 subleaf = 0; subleaf < kSubleaves; ++subleaf) questions.emplace_back(leaf, subleaf);
    questions.emplace_back(leaf, kFar);
  }
  answers = ask(**guest, questions);
  if (!answers) return answers.error();
  HostCpuid found;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const auto first = answers->begin() + static_cast<std::ptrdiff_t>(i * (kSubleaves + 1));
    if (std::all_of(first, first + kSubleaves + 1, [&](const CpuidResult& r) { return r == *first; })) {
      found.leaves.push_back({leaves[i], HostCpuid::kAnySubleaf, *first});
      continue;
    }
    for (u32 subleaf = 0; subleaf < kSubleaves; ++subleaf)
      found.leaves.push_back({leaves[i], subleaf, *(first + subleaf)});
  }
  const Outcome xgetbv = (*guest)->run(kXgetbv, {.level = Level::user, .rcx = 0});
  if (xgetbv.ending == Ending::finished)
    found.xcr0 = (xgetbv.regs.rdx & 0xffffffff) << 32 | (xgetbv.regs.rax & 0xffffffff);
  return found;
}

}  // namespace rondo::doctor
