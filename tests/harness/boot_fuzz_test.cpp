// Hostile boot images: random damage to valid ones. Whatever happens must be an error of one line or a boot; the
// sanitizers watch.
#include "harness/boot/text_patches.h"
#include "tests/harness/boot_fixture.h"

namespace rondo::boot {
namespace {

using images::Bytes;

class BootFuzz : public BootTest {
 protected:
  u64 random() {  // xorshift64*: the same damage every time
    state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }
  void damage(Bytes& image) {
    static constexpr u64 kInteresting[] = {
        0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, ~u64{0}};
    for (u64 n = 1 + random() % 4; n > 0; --n) {
      // Most of the interesting fields lie in the headers.
      const u64 range = random() % 4 ? std::min<u64>(image.size(), 0x290) : image.size();
      const u64 at = random() % range;
      const u64 value = random() % 2 ? kInteresting[random() % std::size(kInteresting)] : random();
      const u64 width = u64{1} << random() % 4;
      for (u64 i = 0; i < width && at + i < image.size(); ++i) image[at + i] = static_cast<u8>(value >> (8 * i));
    }
    if (random() % 16 == 0) image.resize(random() % (image.size() + 1));
  }
  void fuzz(const Bytes& valid, unsigned rounds) {
    ASSERT_TRUE(boot(valid, {}, "x", u64{32} << 20));
    unsigned booted = 0;
    for (unsigned round = 0; round < rounds; ++round) {
      Bytes image = valid;
      damage(image);
      const auto result = boot(image, images::pattern(random() % 64), "x", u64{32} << 20);
      if (result) {
        ++booted;
        const auto patches =
            find_text_patches(*memory_, result->text, {.time_stamps = true, .cpuid = true, .random = true});
        ASSERT_TRUE(apply_text_patches(patches, *memory_));
      } else {
        ASSERT_EQ(result.error().message.find('\n'), std::string::npos);
      }
    }
    RecordProperty("booted", static_cast<int>(booted));
  }

 private:
  u64 state_ = 0x9e3779b97f4a7c15;
};

const Bytes kElf = images::elf64({{0x1000000, images::pattern(300)}, {0x1100000, images::pattern(40), 100}}, 0x1000000);
const u32 kSize = static_cast<u32>(kElf.size());

TEST_F(BootFuzz, Vmlinux) { fuzz(kElf, 3000); }
// The executable sections are those of both segments; there is something to find in them.
TEST_F(BootFuzz, VmlinuxWithSections) {
  const Bytes text{0x0f, 0x31, 0x0f, 0x01, 0xf9, 0x0f, 0xa2, 0x48, 0x0f, 0xc7, 0xf0, 0xf3, 0x66, 0x0f, 0x31, 0xc3};
  const Bytes elf = images::elf64({{0x1000000, text}, {0x1100000, text, 100}}, 0x1000000);
  const u64 first = 64 + 2 * 56;
  fuzz(images::with_sections(elf, {{first, text.size()}, {first + text.size(), text.size()}}), 3000);
}
TEST_F(BootFuzz, BzimageUncompressed) { fuzz(images::bzimage(kElf, kSize), 2000); }
TEST_F(BootFuzz, BzimageLz4) { fuzz(images::bzimage(images::pack_lz4(kElf), kSize), 1000); }
TEST_F(BootFuzz, BzimageZstd) { fuzz(images::bzimage(images::pack_zstd(kElf), kSize), 1000); }
TEST_F(BootFuzz, BzimageGzip) { fuzz(images::bzimage(images::pack_gzip(kElf), kSize), 1000); }
TEST_F(BootFuzz, BzimageXz) { fuzz(images::bzimage(images::pack_xz(kElf), kSize), 1000); }
TEST_F(BootFuzz, Multiboot) { fuzz(images::elf32({{0x100000, images::multiboot_content()}}, 0x100010), 3000); }
TEST_F(BootFuzz, MultibootAddressFields) {
  Bytes content = images::multiboot_content(0x10003, 512);
  const u32 fields[] = {0x100000, 0x100000, 0x100180, 0x100400, 0x100040};
  for (u64 i = 0; i < 5; ++i) images::put<u32>(content, 12 + 4 * i, fields[i]);
  fuzz(content, 3000);
}

}  // namespace
}  // namespace rondo::boot
