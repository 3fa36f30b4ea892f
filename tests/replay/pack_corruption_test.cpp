// Damaged packed files: an error, and nothing is left of the attempt.
#include "replay/pack.h"
#include "tests/replay/corruption.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

class PackCorruptionTest : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<u8> kernel(2000);
    for (u64 i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<u8>(i * i >> 3);
    const NewImage images[] = {{"kernel", "vmlinuz", kernel}};
    write_sample(folder_ / "r", 4, true, sample_manifest(), images);
    std::filesystem::create_directory(folder_ / "r/checkpoints");
    spit(folder_ / "r/checkpoints/1.ckpt", std::vector<u8>(5000, 42));
    ASSERT_TRUE(pack_recording(folder_ / "r", folder_ / "packed"));
    good_ = slurp(folder_ / "packed");
  }

  u64 files_here() {
    u64 files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_ / "")) ++files;
    return files;
  }

  void expect_refused(const std::vector<u8>& bytes) {
    spit(folder_ / "packed", bytes);
    const auto unpacked = unpack_recording(folder_ / "packed", folder_ / "target");
    ASSERT_FALSE(unpacked);
    ASSERT_FALSE(unpacked.error().message.empty());
    ASSERT_EQ(unpacked.error().message.find('\n'), std::string::npos);
    ASSERT_EQ(files_here(), 2u);
    ASSERT_FALSE(open_packed(folder_ / "packed"));
  }

  TemporaryFolder folder_;
  std::vector<u8> good_;
};

TEST_F(PackCorruptionTest, RandomDamageIsRefused) {
  const u64 rounds = slow_tests() ? 30'000 : 1'500;
  Corruptor corruptor(7);
  for (u64 round = 0; round < rounds; ++round) {
    const std::vector<u8> bad = corruptor.damage(good_, good_);
    if (bad == good_) continue;
    expect_refused(bad);
    if (HasFatalFailure()) FAIL() << "in round " << round;
  }
}

TEST_F(PackCorruptionTest, CutAtEveryByteItIsRefused) {
  for (u64 size = 0; size < good_.size(); size += slow_tests() ? 1 : 7) {
    expect_refused({good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(size)});
    if (HasFatalFailure()) FAIL() << "cut at " << size;
  }
}

TEST_F(PackCorruptionTest, AStrangePathIsRefused) {
  const std::string name = "manifest";
  const auto at = std::search(good_.begin(), good_.end(), name.begin(), name.end());
  ASSERT_NE(at, good_.end());
  for (const std::string& bad : {std::string("../../xy"), std::string("/etc/xyz"), std::string("manifes.")}) {
    std::vector<u8> bytes = good_;
    const auto place = bytes.begin() + (at - good_.begin());
    std::copy(bad.begin(), bad.end(), place);
    // The entry's header, with a digest that fits.
    const auto header = std::span(bytes).subspan(static_cast<u64>(at - good_.begin()) - 16, 16 + name.size());
    const u64 digest = digest64(header);
    for (unsigned i = 0; i < 8; ++i) *(place + 8 + i) = static_cast<u8>(digest >> (8 * i));
    expect_refused(bytes);
    spit(folder_ / "packed", bytes);
    EXPECT_NE(open_packed(folder_ / "packed").error().message.find("holds a path"), std::string::npos);
  }
}

}  // namespace
}  // namespace rondo::replay::test
