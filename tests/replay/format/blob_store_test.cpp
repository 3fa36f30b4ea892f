#include "replay/format/blob_store.h"

#include "core/state/stream.h"
#include "replay/format/sha256.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

class BlobStoreTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string directory_ = folder_ / "";
  BlobStore store_{directory_};
};

TEST(Sha256, IsSha256) {  // FIPS 180-4, examples
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(bytes_of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(BlobStoreTest, WhatIsPutIsGot) {
  std::vector<u8> noise(600'000);
  u32 random = 1;
  for (u8& byte : noise) byte = static_cast<u8>((random = random * 1664525 + 1013904223) >> 24);
  for (const std::vector<u8>& bytes : {std::vector<u8>{}, std::vector<u8>{1}, std::vector<u8>(1'000'000, 7), noise}) {
    const auto id = store_.put(bytes);
    ASSERT_TRUE(id) << id.error().message;
    EXPECT_EQ(*id, sha256_hex(bytes));
    EXPECT_TRUE(store_.contains(*id));
    const auto got = store_.get(*id);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, bytes);
    EXPECT_TRUE(store_.verify(*id, bytes.size()));
    EXPECT_FALSE(store_.verify(*id, bytes.size() + 1));
    if (!bytes.empty()) {
      EXPECT_FALSE(store_.get(*id, bytes.size() - 1));
    }
    ASSERT_TRUE(store_.put(bytes));  // again
  }
  EXPECT_LT(std::filesystem::file_size(directory_ + "blobs/" + sha256_hex(std::vector<u8>(1'000'000, 7))), 1000u);
}

TEST_F(BlobStoreTest, RefusesOtherNames) {
  for (const std::string& id : {std::string(""), std::string("../x"), std::string("abc")}) {
    EXPECT_FALSE(store_.get(id));
    EXPECT_FALSE(store_.contains(id));
  }
  EXPECT_FALSE(store_.get(std::string(64, '0')));
}

// But for a bit of zstd's header that means nothing.
TEST_F(BlobStoreTest, NoDamagedByteChangesWhatIsGot) {
  for (const std::vector<u8>& bytes : {bytes_of("short and incompressible: 8ahdk2nd"), std::vector<u8>(3000, 'x')}) {
    const auto id = store_.put(bytes);
    ASSERT_TRUE(id);
    const std::string path = directory_ + "blobs/" + *id;
    const std::vector<u8> good = slurp(path);
    for (u64 i = 0; i < good.size(); ++i) {
      std::vector<u8> bad = good;
      bad[i] ^= static_cast<u8>(1 << (i % 8));
      spit(path, bad);
      const auto got = store_.get(*id, 1 << 20);
      EXPECT_TRUE(!got || *got == bytes) << i;
      spit(path, {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i)});
      EXPECT_FALSE(store_.get(*id, 1 << 20)) << i;
    }
    std::vector<u8> longer = good;
    longer.push_back(0);
    spit(path, longer);
    EXPECT_FALSE(store_.get(*id));
    spit(path, good);
    EXPECT_TRUE(store_.get(*id));
  }
}

// A small file that says, and unpacks to, far more than is allowed.
TEST_F(BlobStoreTest, BombsAreRefused) {
  const auto id = store_.put(std::vector<u8>(100'000'000));
  ASSERT_TRUE(id);
  const std::string path = directory_ + "blobs/" + *id;
  EXPECT_LT(std::filesystem::file_size(path), 20'000u);
  EXPECT_FALSE(store_.get(*id, 1'000'000));
  std::vector<u8> bytes = slurp(path);
  bytes[8] = 1, bytes[9] = bytes[10] = bytes[11] = 0;  // says that it is one byte
  spit(path, bytes);
  EXPECT_FALSE(store_.get(*id, 1'000'000));
}

}  // namespace
}  // namespace rondo::replay::test
