#include <gmock/gmock.h>

#include "harness/guest_memory.h"
#include "tests/harness/boot_fixture.h"

namespace rondo::boot {
namespace {

using images::Bytes;
using ::testing::HasSubstr;

const Bytes kText = images::pattern(10'000), kData = images::pattern(5'000, 99);

Bytes vmlinux() { return images::elf64({{0x1000000, kText}, {0x1200000, kData, 20'000}}, 0x1000000); }

class LinuxBoot : public BootTest {};

TEST_F(LinuxBoot, VmlinuxIsLoadedByItsProgramHeaders) {
  const auto image = boot(vmlinux());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->kind, "vmlinux");
  EXPECT_EQ(image->cpu.rip, 0x1000000u);
  EXPECT_EQ(read(0x1000000, kText.size()), kText);
  EXPECT_EQ(read(0x1200000, kData.size()), kData);
  EXPECT_EQ(read(0x1200000 + kData.size(), 1000), Bytes(1000));
}

TEST_F(LinuxBoot, StateIsThatOfThe64BitProtocol) {
  const auto image = boot(vmlinux());
  ASSERT_TRUE(image);
  const CpuState& cpu = image->cpu;
  EXPECT_EQ(cpu.segment[CS].selector, 0x10);
  EXPECT_TRUE(cpu.segment[CS].l);
  EXPECT_EQ(cpu.segment[DS].selector, 0x18);
  EXPECT_EQ(cpu.segment[ES].selector, 0x18);
  EXPECT_EQ(cpu.segment[SS].selector, 0x18);
  EXPECT_FALSE(cpu.rflags & flags::IF);
  EXPECT_TRUE(cpu.cr0 & cr0::PG);
  EXPECT_TRUE(cpu.efer & efer::LMA);
  for (const u64 address : {u64{0}, u64{0x1000000}, u64{0x10000}, u64{0x20000}, u64{0x3ffffff}, u64{0xfee00000}}) {
    EXPECT_EQ(translate(cpu, *memory_, GuestLinear{address}), GuestPhys{address});
  }
  EXPECT_EQ(read_field<u64>(cpu.gdtr.base + 0x10), 0x00af9b000000ffffu);
  EXPECT_EQ(read_field<u64>(cpu.gdtr.base + 0x18), 0x00cf93000000ffffu);
}

TEST_F(LinuxBoot, BootParamsSayWhatThereIs) {
  const Bytes initrd = images::pattern(5'000, 3);
  const auto image = boot(vmlinux(), initrd, "console=ttyS0 panic=-1");
  ASSERT_TRUE(image) << image.error().message;
  const u64 params = image->cpu.gpr[RSI];
  EXPECT_EQ(read_field<u32>(params + 0x202), 0x53726448u);
  EXPECT_EQ(read_field<u8>(params + 0x210), 0xff);
  EXPECT_EQ(read_text(read_field<u32>(params + 0x228)), "console=ttyS0 panic=-1");
  const u32 start = read_field<u32>(params + 0x218);
  EXPECT_EQ(read_field<u32>(params + 0x21c), initrd.size());
  EXPECT_EQ(start, kMemory - 2 * kPageSize);
  EXPECT_EQ(read(start, initrd.size()), initrd);
  EXPECT_EQ(read_field<u64>(params + 0x70), 0xe0000u);
  ASSERT_EQ(read_field<u8>(params + 0x1e8), 3);
  struct Entry {
    u64 start, length;
    u32 type;
  };
  const Entry expected[] = {{0, 0x9fc00, 1}, {0xe0000, 0x20000, 2}, {0x100000, kMemory - 0x100000, 1}};
  for (u64 i = 0; i < 3; ++i) {
    EXPECT_EQ(read_field<u64>(params + 0x2d0 + 20 * i), expected[i].start);
    EXPECT_EQ(read_field<u64>(params + 0x2d0 + 20 * i + 8), expected[i].length);
    EXPECT_EQ(read_field<u32>(params + 0x2d0 + 20 * i + 16), expected[i].type);
  }
}

TEST_F(LinuxBoot, MemoryAboveThePciHoleIsInTheMap) {
  const auto image = boot(vmlinux(), {}, "", u64{5} << 30);
  ASSERT_TRUE(image);
  const u64 params = image->cpu.gpr[RSI];
  ASSERT_EQ(read_field<u8>(params + 0x1e8), 4);
  EXPECT_EQ(read_field<u64>(params + 0x2d0 + 60), kPciHoleEnd);
  EXPECT_EQ(read_field<u64>(params + 0x2d0 + 68), (u64{5} << 30) - kPciHoleStart);
}

TEST_F(LinuxBoot, EveryCompressionGivesTheSameMemory) {
  ASSERT_TRUE(boot(vmlinux()));
  const Bytes elf = vmlinux();
  const u32 size = static_cast<u32>(elf.size());
  Bytes text = read(0x1000000, 0x300000);
  const std::pair<const char*, Bytes> packed[] = {{"bzImage (uncompressed)", elf},
                                                  {"bzImage (lz4)", images::pack_lz4(elf)},
                                                  {"bzImage (zstd)", images::pack_zstd(elf)},
                                                  {"bzImage (gzip)", images::pack_gzip(elf)},
                                                  {"bzImage (xz)", images::pack_xz(elf)}};
  for (const auto& [kind, payload] : packed) {
    const auto image = boot(images::bzimage(payload, size));
    ASSERT_TRUE(image) << kind << ": " << image.error().message;
    EXPECT_EQ(image->kind, kind);
    EXPECT_EQ(image->cpu.rip, 0x1000000u);
    EXPECT_EQ(read(0x1000000, text.size()), text) << kind;
  }
}

TEST_F(LinuxBoot, UnknownCompressionRunsTheImagesOwnLoader) {
  Bytes payload = images::pattern(3'000);
  payload[0] = 'B', payload[1] = 'Z', payload[2] = 'h';
  const Bytes kernel = images::bzimage(payload, 3'000);
  const auto image = boot(kernel);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->kind, "bzImage (unpacks itself)");
  EXPECT_EQ(image->cpu.rip, 0x1000200u);
  EXPECT_EQ(read(0x1000000, kernel.size() - 1024), Bytes(kernel.begin() + 1024, kernel.end()));
}

TEST_F(LinuxBoot, RefusesWithOneLine) {
  const u32 size = static_cast<u32>(vmlinux().size());
  EXPECT_THAT(error_of({}), HasSubstr("is empty"));
  EXPECT_THAT(error_of(images::pattern(100)), HasSubstr("is not a kernel"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText}}, 0x1000000, 40)), HasSubstr("not for x86-64"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText}}, 0x2000000)), HasSubstr("entry point"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText}, {0x1001000, kText}}, 0x1000000)), HasSubstr("overlaps"));
  EXPECT_THAT(error_of(images::elf64({{0xe1000, kText}}, 0xe1000)), HasSubstr("overlaps the ACPI tables"));
  EXPECT_THAT(error_of(images::elf64({{0x10000000, kText}}, 0x10000000)), HasSubstr("larger --memory"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText, 100}}, 0x1000000)), HasSubstr("more bytes in the file"));
  EXPECT_THAT(error_of(images::elf64({{~u64{0} - 100, kText}}, ~u64{0} - 100)), HasSubstr("wrap"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText, ~u64{0}}}, 0x1000000)), HasSubstr("wrap"));
  EXPECT_THAT(error_of(images::elf64({{0x1000000, kText, ~u64{0} - 0x1000000}}, 0x1000000)),
              HasSubstr("larger --memory"));
  EXPECT_THAT(error_of(images::bzimage(images::pack_lz4(vmlinux()), size, 0xffffffff)), HasSubstr("larger --memory"));
  EXPECT_THAT(error_of(vmlinux(), Bytes(70u << 20)), HasSubstr("initrd"));
  EXPECT_THAT(error_of(vmlinux(), {}, std::string(2048, 'a')), HasSubstr("command line"));
  EXPECT_TRUE(boot(vmlinux(), {}, std::string(2047, 'a')));
  EXPECT_THAT(error_of(vmlinux(), {}, "", u64{2} << 20), HasSubstr("larger --memory"));
}

TEST_F(LinuxBoot, InitrdStaysClearOfTheKernelsWorkingMemory) {
  const Bytes elf = vmlinux();
  // The kernel claims all but 1 MB at the end.
  const Bytes kernel = images::bzimage(images::pack_lz4(elf), static_cast<u32>(elf.size()),
                                       static_cast<u32>(kMemory - 0x1000000 - 0x100000));
  EXPECT_TRUE(boot(kernel, Bytes(0x100000, 1)));
  const auto below = boot(kernel, Bytes(0x100001, 1));
  ASSERT_TRUE(below);
  EXPECT_LT(read_field<u32>(below->cpu.gpr[RSI] + 0x218), 0x1000000u);
  EXPECT_THAT(error_of(kernel, Bytes(16u << 20, 1)), HasSubstr("does not fit"));
}

TEST_F(LinuxBoot, ABombIsStoppedAtTheSizeOfMemory) {
  const Bytes bomb = images::elf64({{0x1000000, Bytes(80u << 20)}}, 0x1000000);
  for (const Bytes& payload : {images::pack_zstd(bomb), images::pack_gzip(bomb), images::pack_xz(bomb)}) {
    EXPECT_NE(error_of(images::bzimage(payload, 1)), "");
  }
  Bytes tail = vmlinux();
  tail.resize(80u << 20);  // zeros after the segments, as relocations would be
  EXPECT_THAT(error_of(images::bzimage(images::pack_zstd(tail), 1)), HasSubstr("unpacks to more"));
}

TEST_F(LinuxBoot, TruncatedAnywhereIsAnErrorOrTheSameKernel) {
  const Bytes small = images::elf64({{0x1000000, images::pattern(64)}}, 0x1000000);
  const u32 size = static_cast<u32>(small.size());
  for (const Bytes& whole :
       {small, images::bzimage(images::pack_lz4(small), size), images::bzimage(images::pack_zstd(small), size),
        images::bzimage(images::pack_gzip(small), size), images::bzimage(images::pack_xz(small), size)}) {
    ASSERT_TRUE(boot(whole, {}, ""));
    for (u64 length = 0; length < whole.size(); length += length < 0x1e0 || length > 0x280 ? 5 : 1) {
      EXPECT_NE(error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))), "") << length;
    }
  }
}

}  // namespace
}  // namespace rondo::boot
