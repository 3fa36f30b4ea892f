// PageMap against std::map; sharing; pages that outlive their pool.
#include "core/memory/page_map.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "core/memory/memory_hash.h"

namespace rondo {
namespace {

using Reference = std::map<u64, const Page*>;

Reference contents(const PageMap& map) {
  Reference all;
  u64 last = 0;
  map.for_each([&](u64 index, const Page* page) {
    EXPECT_TRUE(all.empty() || index > last) << "in order";
    last = index;
    all[index] = page;
  });
  return all;
}

class PageMaps : public ::testing::Test {
 protected:
  PageRef page(u64 seed) {
    std::array<u8, kPageSize> bytes{};
    std::memcpy(bytes.data() + seed % 4000, &seed, sizeof seed);
    return pool->make(bytes);
  }
  // Near and far, with whole subtrees between.
  u64 index() {
    switch (random() % 4) {
      case 0:
        return random() % 40;
      case 1:
        return 500 + random() % 30;
      case 2:
        return (u64{1} << 18) - 10 + random() % 20;
      default:
        return random() % (u64{1} << 28);
    }
  }
  std::shared_ptr<PagePool> pool = PagePool::create();
  std::mt19937_64 random{1};
};

TEST_F(PageMaps, LikeStdMap) {
  PageMap map;
  Reference reference;
  std::vector<std::pair<PageMap, Reference>> kept;
  for (u64 step = 0; step < 20'000; ++step) {
    const u64 at = index();
    PageRef p = random() % 3 ? page(step + 1) : PageRef();
    if (p)
      reference[at] = p.get();
    else
      reference.erase(at);
    map.set(at, std::move(p));
    ASSERT_EQ(map.count(), reference.size());
    ASSERT_EQ(map.get(at), reference.count(at) ? reference[at] : nullptr);
    ASSERT_EQ(map.end(), reference.empty() ? 0 : reference.rbegin()->first + 1);
    if (step % 1000 == 0) kept.emplace_back(map, reference);
  }
  ASSERT_EQ(contents(map), reference);
  for (const auto& [copy, was] : kept) ASSERT_EQ(contents(copy), was) << "a copy never changes";
  for (const auto& [after, after_reference] : kept) {
    for (const auto& [before, before_reference] : kept) {
      Reference patched = before_reference;
      after.for_each_difference(before, [&](u64 i, const Page* b, const Page* a) {
        ASSERT_NE(a, b);
        ASSERT_EQ(b, before_reference.count(i) ? before_reference.at(i) : nullptr);
        if (a)
          patched[i] = a;
        else
          patched.erase(i);
      });
      ASSERT_EQ(patched, after_reference);
    }
  }
}

TEST_F(PageMaps, OutlivesThePool) {
  PageMap map;
  map.set(7, page(1234));
  const Hash128 hash = map.get(7)->hash();
  pool.reset();
  PageRef kept(map.get(7));
  map = {};
  EXPECT_EQ(hash128(kept->bytes()), hash);
}

TEST_F(PageMaps, PagesAreUsedAgain) {
  pool->reserve(600);
  EXPECT_GE(pool->free_pages(), 600u);
  const u64 free = pool->free_pages();
  for (int round = 0; round < 10; ++round) {
    PageMap map;
    for (u64 i = 0; i < 500; ++i) map.set(i, page(i + 1));
    EXPECT_EQ(pool->free_pages(), free - 500);
  }
  EXPECT_EQ(pool->free_pages(), free);
}

TEST_F(PageMaps, AReusedPageForgetsItsHash) {
  const Hash128 first = page(1)->hash();
  const PageRef again = page(2);
  EXPECT_FALSE(again->known_hash());
  EXPECT_NE(again->hash(), first);
  EXPECT_EQ(again->hash(), hash128(again->bytes()));
}

TEST_F(PageMaps, HeldAndHashedByOtherThreads) {
  PageMap map;
  for (u64 i = 0; i < 2000; ++i) map.set(3 * i, page(i + 1));
  const Hash128 expected = memory_hash(map);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([copy = map, expected]() mutable {
      EXPECT_EQ(memory_hash(copy), expected);
      for (u64 i = 0; i < 2000; i += 2) copy.set(3 * i, {});
      EXPECT_EQ(copy.count(), 1000u);
    });
  }
  for (u64 i = 0; i < 2000; ++i) map.set(3 * i, page(i + 5000));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(map.count(), 2000u);
}

}  // namespace
}  // namespace rondo
