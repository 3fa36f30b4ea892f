// Marks, hashes, captures and restores of guest memory, against full copies.
#include "core/memory/physical_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace rondo {
namespace {

constexpr u64 kBytes = u64{8} << 20;

using Copy = std::vector<u8>;

Copy copy_of(const PhysicalMemory& memory) {
  Copy bytes(memory.size());
  EXPECT_TRUE(memory.read(GuestPhys{0}, bytes));
  return bytes;
}

// From scratch, by the definition in memory_hash.h.
std::string reference_hash(const Copy& bytes) {
  MemoryHasher hasher;
  for (u64 first = 0; first < bytes.size(); first += kGroupPages * kPageSize) {
    std::vector<Hash128> pages(kGroupPages);
    for (u64 i = 0; i < kGroupPages && first + i * kPageSize < bytes.size(); ++i) {
      const std::span<const u8> page(bytes.data() + first + i * kPageSize, kPageSize);
      const bool zero = std::all_of(page.begin(), page.end(), [](u8 b) { return b == 0; });
      if (!zero) pages[i] = hash128(page);
    }
    hasher.add_group(first / (kGroupPages * kPageSize), group_hash(std::span<const Hash128, kGroupPages>(pages)));
  }
  return hasher.digest().hex();
}

std::unique_ptr<PhysicalMemory> make(u64 bytes = kBytes) { return std::move(PhysicalMemory::create(bytes)).value(); }

class Memory : public ::testing::Test {
 protected:
  void write(PhysicalMemory& to, u64 address, std::span<const u8> bytes) {
    ASSERT_TRUE(to.write(GuestPhys{address}, bytes));
  }
  void random_writes(PhysicalMemory& to, unsigned count) {
    for (unsigned n = 0; n < count; ++n) {
      std::vector<u8> bytes(1 + random() % (random() % 8 ? 64 : 3 * kPageSize));
      const bool zeros = random() % 4 == 0;
      for (u8& b : bytes) b = zeros ? 0 : static_cast<u8>(random());
      write(to, random() % (to.size() - bytes.size() + 1), bytes);
    }
  }
  std::unique_ptr<PhysicalMemory> memory = make();
  std::mt19937_64 random{1};
};

TEST_F(Memory, HashIsAFunctionOfTheContents) {
  const std::string empty = memory->hash();
  EXPECT_EQ(empty, make(u64{64} << 20)->hash()) << "not of the size";
  const u8 one = 1, zero = 0;
  write(*memory, 0x5000, {&one, 1});
  const std::string touched = memory->hash();
  EXPECT_NE(touched, empty);
  write(*memory, 0x5000, {&zero, 1});
  EXPECT_EQ(memory->hash(), empty);
  write(*memory, 0x6000, {&one, 1});
  EXPECT_NE(memory->hash(), touched) << "of the place too";
}

TEST_F(Memory, HashAfterRandomWritesIsTheHashFromScratch) {
  for (int round = 0; round < 50; ++round) {
    random_writes(*memory, 1 + static_cast<unsigned>(random() % 40));
    ASSERT_EQ(memory->hash(), reference_hash(copy_of(*memory)));
    ASSERT_EQ(memory->hash(), memory_hash(memory->capture()).hex());
  }
}

TEST_F(Memory, CaptureAndRestoreLikeFullCopies) {
  std::vector<std::pair<PageMap, Copy>> kept;
  for (int round = 0; round < 200; ++round) {
    random_writes(*memory, static_cast<unsigned>(random() % 20));
    if (random() % 2) kept.emplace_back(memory->capture(), copy_of(*memory));
    if (random() % 3 == 0) (void)memory->hash();
    if (kept.empty() || random() % 2) continue;
    const auto& [map, bytes] = kept[random() % kept.size()];
    const Copy before = copy_of(*memory);
    const Result<std::vector<u64>> changed = memory->restore(map);
    ASSERT_TRUE(changed);
    ASSERT_EQ(copy_of(*memory), bytes);
    std::vector<u64> expected;
    for (u64 i = 0; i < memory->page_count(); ++i) {
      if (std::memcmp(&before[i * kPageSize], &bytes[i * kPageSize], kPageSize) != 0) expected.push_back(i);
    }
    ASSERT_EQ(*changed, expected);
    ASSERT_EQ(memory->hash(), reference_hash(bytes));
  }
  for (const auto& [map, bytes] : kept) {
    const auto other = make();
    ASSERT_TRUE(other->restore(map)) << "into another memory";
    ASSERT_EQ(copy_of(*other), bytes);
    ASSERT_EQ(other->hash(), reference_hash(bytes));
  }
}

TEST_F(Memory, CaptureSharesWhatIsTheSame) {
  random_writes(*memory, 100);
  const PageMap first = memory->capture();
  const u8 one = 1;
  write(*memory, 0x3000, {&one, 1});
  write(*memory, 0x3800, {&one, 1});
  const PageMap second = memory->capture();
  unsigned differences = 0;
  second.for_each_difference(first, [&](u64 index, const Page*, const Page*) {
    EXPECT_EQ(index, 3u);
    ++differences;
  });
  EXPECT_EQ(differences, 1u);
}

TEST_F(Memory, CapturedPagesKnowTheirHashIfTheMemoryDoes) {
  random_writes(*memory, 10);
  (void)memory->hash();
  memory->capture().for_each([](u64, const Page* page) {
    ASSERT_TRUE(page->known_hash());
    EXPECT_EQ(*page->known_hash(), hash128(page->bytes()));
  });
}

TEST_F(Memory, SavedAndLoaded) {
  random_writes(*memory, 50);
  const PageMap before = memory->capture();
  const Copy before_bytes = copy_of(*memory);
  random_writes(*memory, 50);
  const Copy bytes = copy_of(*memory);
  StateWriter writer;
  memory->save(writer);
  const auto other = make();
  random_writes(*other, 50);
  (void)other->capture();
  (void)other->hash();
  StateReader reader(writer.bytes());
  other->load(reader);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(copy_of(*other), bytes);
  EXPECT_EQ(other->hash(), memory->hash());
  EXPECT_EQ(memory_hash(other->capture()).hex(), reference_hash(bytes));
  EXPECT_EQ(other->touched_pages(), memory->capture().count());
  ASSERT_TRUE(other->restore(before));
  EXPECT_EQ(copy_of(*other), before_bytes);
}

TEST_F(Memory, APageOutsideIsRefusedAndNothingChanges) {
  random_writes(*memory, 10);
  PageMap map = memory->capture();
  const Copy bytes = copy_of(*memory);
  map.set(memory->page_count() - 1, PageRef(map.get(*memory->restore(PageMap()).value().begin())));
  ASSERT_TRUE(memory->restore(map));
  const std::string hash = memory->hash();
  map.set(memory->page_count(), PageRef(map.get(memory->page_count() - 1)));
  EXPECT_FALSE(memory->restore(map));
  EXPECT_EQ(memory->hash(), hash);
}

TEST_F(Memory, WritersAreAskedBeforeMarksAreRead) {
  struct Writer final : MemoryWriter {
    explicit Writer(PhysicalMemory& m) : memory(m) { memory.attach_writer(*this); }
    ~Writer() override { memory.detach_writer(*this); }
    void watch_writes() override {
      ++asked;
      memory.page_host(9)[0] = static_cast<u8>(asked);
      memory.mark_written(memory.page_host(9));
    }
    PhysicalMemory& memory;
    int asked = 0;
  } writer(*memory);
  const std::string hash = memory->hash();
  EXPECT_EQ(hash, reference_hash(copy_of(*memory)));
  EXPECT_EQ(memory->capture().get(9)->bytes()[0], 2);
  EXPECT_EQ(writer.asked, 2);
  ASSERT_TRUE(memory->restore(PageMap()));
  EXPECT_EQ(memory->page_host(9)[0], 0);
}

TEST_F(Memory, AGuestOf64GbCostsNothing) {
  const auto large = make(u64{64} << 30);
  const u8 one = 1;
  write(*large, (u64{60} << 30), {&one, 1});
  const std::string hash = large->hash();
  const PageMap map = large->capture();
  EXPECT_EQ(map.count(), 1u);
  write(*large, (u64{61} << 30), {&one, 1});
  ASSERT_TRUE(large->restore(map));
  EXPECT_EQ(large->hash(), hash);
  EXPECT_EQ(large->touched_pages(), 1u);
}

}  // namespace
}  // namespace rondo
