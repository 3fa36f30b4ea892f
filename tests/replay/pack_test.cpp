// Packing and unpacking: everything that a recording is arrives, and nothing else.
#include "replay/pack.h"

#include <sys/stat.h>

#include "replay/format/blob_store.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

class PackTest : public testing::Test {
 protected:
  void SetUp() override {
    const NewImage images[] = {{"kernel", "vmlinuz", kernel_}, {"initrd", "initrd.img", initrd_}};
    write_sample(directory_, 4, true, sample_manifest(), images);
    std::filesystem::create_directory(directory_ + "/checkpoints");
    spit(directory_ + "/checkpoints/3.ckpt", std::vector<u8>(700'000, 42));
    spit(directory_ + "/checkpoints/12.ckpt", {});
  }

  std::vector<std::string> tree(const std::string& directory) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      names.push_back(std::filesystem::relative(entry.path(), directory).string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // What is in the folder of the test, without the recording itself.
  std::vector<std::string> leftovers() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / ""))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    std::erase(names, "r");
    return names;
  }

  TemporaryFolder folder_;
  std::string directory_ = folder_ / "r";
  std::string file_ = folder_ / "packed";
  std::string target_ = folder_ / "unpacked";
  std::vector<u8> kernel_ = [] {
    std::vector<u8> bytes(300'000);
    u32 random = 1;
    for (u8& byte : bytes) byte = static_cast<u8>((random = random * 1664525 + 1013904223) >> 24);
    return bytes;
  }();
  std::vector<u8> initrd_ = std::vector<u8>(500'000, 'a');
};

TEST_F(PackTest, EverythingArrives) {
  const auto packed = pack_recording(directory_, file_);
  ASSERT_TRUE(packed) << packed.error().message;
  EXPECT_EQ(packed->entries, 7u);
  EXPECT_EQ(packed->packed_bytes, std::filesystem::file_size(file_));
  EXPECT_LT(packed->packed_bytes, packed->unpacked_bytes);
  const auto unpacked = unpack_recording(file_, target_ + "/");
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  EXPECT_EQ(unpacked->unpacked_bytes, packed->unpacked_bytes);
  ASSERT_EQ(tree(target_), tree(directory_));
  for (const std::string& name : tree(directory_)) {
    if (std::filesystem::is_regular_file(directory_ + "/" + name)) {
      EXPECT_EQ(slurp(target_ + "/" + name), slurp(directory_ + "/" + name)) << name;
    }
  }
  auto reader = RecordingReader::open(target_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(read_all(*reader), finished_events());
  const BlobStore blobs(target_);
  EXPECT_EQ(*blobs.get(reader->manifest().machine.images[0].blob), kernel_);
  EXPECT_EQ(*blobs.get(reader->manifest().machine.images[1].blob), initrd_);
  EXPECT_EQ(leftovers(), (std::vector<std::string>{"packed", "unpacked"}));
}

TEST_F(PackTest, PackedTwiceItIsTheSameFile) {
  ASSERT_TRUE(pack_recording(directory_, file_));
  const std::vector<u8> first = slurp(file_);
  ASSERT_TRUE(pack_recording(directory_, file_));  // over the old one
  EXPECT_EQ(slurp(file_), first);
}

TEST_F(PackTest, IsLookedAtWithoutUnpacking) {
  ASSERT_TRUE(pack_recording(directory_, file_));
  EXPECT_TRUE(pack_version(file_));
  EXPECT_FALSE(pack_version(directory_ + "/manifest"));
  EXPECT_FALSE(pack_version(directory_));
  auto packed = open_packed(file_);
  ASSERT_TRUE(packed) << packed.error().message;
  EXPECT_EQ(packed->reader.validity().ending, LogEnding::complete);
  EXPECT_EQ(read_all(packed->reader), finished_events());
  EXPECT_EQ(packed->blobs.size(), 2u);
  ASSERT_EQ(packed->checkpoints.size(), 2u);
  EXPECT_EQ(packed->checkpoints[1].name, "3.ckpt");
  EXPECT_EQ(packed->checkpoints[1].bytes, 700'000u);
  EXPECT_EQ(leftovers(), (std::vector<std::string>{"packed"}));
}

TEST_F(PackTest, OnlyARecordingsFilesAreTaken) {
  spit(directory_ + "/notes.txt", {1});
  spit(directory_ + "/blobs/notes", {1});
  spit(directory_ + "/checkpoints/3.ckpt.tmp0", {1});
  const auto packed = pack_recording(directory_, file_);
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->entries, 7u);
}

TEST_F(PackTest, RefusesWhatCouldNotBeReplayedElsewhere) {
  const std::string blob =
      directory_ + "/blobs/" + RecordingReader::open(directory_)->manifest().machine.images[0].blob;
  std::vector<u8> bytes = slurp(blob);
  bytes[1000] ^= 1;
  spit(blob, bytes);
  auto packed = pack_recording(directory_, file_);
  ASSERT_FALSE(packed);
  EXPECT_NE(packed.error().message.find("is damaged"), std::string::npos) << packed.error().message;
  std::filesystem::remove(blob);
  EXPECT_FALSE(pack_recording(directory_, file_));
  EXPECT_FALSE(pack_recording(folder_ / "nothing", file_));
  EXPECT_EQ(leftovers(), std::vector<std::string>{});
}

TEST_F(PackTest, LinksAreNotFollowed) {
  spit(folder_ / "secret", {1, 2, 3});
  std::filesystem::create_symlink(folder_ / "secret", directory_ + "/checkpoints/77.ckpt");
  EXPECT_FALSE(pack_recording(directory_, file_));
  EXPECT_EQ(leftovers(), (std::vector<std::string>{"secret"}));
}

TEST_F(PackTest, AnUnfinishedOneStaysUnfinished) {
  write_sample(folder_ / "half", 4, false);
  std::vector<u8> log = slurp(folder_ / "half/events.log");
  log.erase(log.end() - 10, log.end());
  spit(folder_ / "half/events.log", log);
  auto half = RecordingReader::open(folder_ / "half");
  ASSERT_TRUE(half);
  const auto events = read_all(*half);
  ASSERT_TRUE(pack_recording(folder_ / "half", file_));
  ASSERT_TRUE(unpack_recording(file_, target_));
  auto reader = RecordingReader::open(target_);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->validity().ending, LogEnding::unfinished);
  EXPECT_EQ(read_all(*reader), events);
}

TEST_F(PackTest, ExistingTargetsAreRefused) {
  ASSERT_TRUE(pack_recording(directory_, file_));
  std::filesystem::create_directory(target_);
  const auto onto_directory = unpack_recording(file_, target_);
  ASSERT_FALSE(onto_directory);
  EXPECT_NE(onto_directory.error().message.find("exists"), std::string::npos);
  EXPECT_FALSE(unpack_recording(file_, file_));
  EXPECT_FALSE(unpack_recording(file_, folder_ / "no/parent"));
  EXPECT_FALSE(unpack_recording(file_, ""));
  EXPECT_FALSE(unpack_recording(directory_, folder_ / "x"));
  EXPECT_FALSE(unpack_recording(directory_ + "/manifest", folder_ / "x"));
  EXPECT_TRUE(tree(target_).empty());
  EXPECT_EQ(leftovers(), (std::vector<std::string>{"packed", "unpacked"}));
}

TEST_F(PackTest, PathsNeverLeaveTheTarget) {
  const std::string id(64, 'a');
  for (const std::string& good :
       {std::string("manifest"), std::string("events.log"), std::string("index"), "blobs/" + id,
        std::string("checkpoints/0.ckpt"), std::string("checkpoints/00000012.ckpt")}) {
    EXPECT_TRUE(classify_pack_path(good)) << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("/manifest"), std::string("../manifest"), std::string("./manifest"),
        std::string("manifest/"), std::string("blobs/"), "blobs/../" + id, "blobs/" + id + "/x", "blobs/" + id + "a",
        "blobs/" + std::string(63, 'a') + "A", "blobs//" + id, std::string("checkpoints/.ckpt"),
        std::string("checkpoints/1.ckpt/../../x.ckpt"), std::string("checkpoints/../1.ckpt"),
        std::string("checkpoints/1.ckpt\0", 19), std::string("checkpoints/-1.ckpt"), std::string("etc/passwd"),
        std::string("checkpoints/123456789012345678901.ckpt")}) {
    EXPECT_FALSE(classify_pack_path(bad)) << bad;
  }
}

TEST_F(PackTest, AnotherMajorVersionIsRefused) {
  ASSERT_TRUE(pack_recording(directory_, file_));
  std::vector<u8> bytes = slurp(file_);
  bytes[8] = 7;
  spit(file_, bytes);
  const auto unpacked = unpack_recording(file_, target_);
  ASSERT_FALSE(unpacked);
  EXPECT_NE(unpacked.error().message.find(to_string(FormatVersion{7, kFormatVersion.minor})), std::string::npos) << unpacked.error().message;
  EXPECT_EQ(leftovers(), (std::vector<std::string>{"packed"}));
}

}  // namespace
}  // namespace rondo::replay::test
