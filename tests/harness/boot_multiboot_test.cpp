#include <gmock/gmock.h>

#include "tests/harness/boot_fixture.h"

namespace rondo::boot {
namespace {

using images::Bytes;
using ::testing::HasSubstr;

class Multiboot : public BootTest {};

Bytes kernel() { return images::elf32({{0x100000, images::multiboot_content(), 0x2000}}, 0x100010); }

TEST_F(Multiboot, StateIsWhatTheSpecificationSays) {
  const auto image = boot(kernel());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->kind, "multiboot");
  const CpuState& cpu = image->cpu;
  EXPECT_EQ(cpu.rip, 0x100010u);
  EXPECT_EQ(cpu.gpr[RAX], 0x2badb002u);
  EXPECT_EQ(cpu.cr0 & (cr0::PE | cr0::PG), cr0::PE);
  EXPECT_FALSE(cpu.rflags & (flags::IF | flags::VM));
  EXPECT_TRUE(cpu.segment[CS].db);
  EXPECT_EQ(cpu.segment[CS].limit, 0xffffffffu);
  EXPECT_EQ(read(0x100000, 256), images::multiboot_content());
}

TEST_F(Multiboot, InformationHasMapCommandLineAndModule) {
  const Bytes module = images::pattern(777, 5);
  const auto image = boot(kernel(), module, "test one two");
  ASSERT_TRUE(image) << image.error().message;
  const u64 info = image->cpu.gpr[RBX];
  EXPECT_EQ(read_field<u32>(info), 0x24du);
  EXPECT_EQ(read_field<u32>(info + 4), 0x9fc00u >> 10);
  EXPECT_EQ(read_field<u32>(info + 8), (kMemory - 0x100000) >> 10);
  EXPECT_EQ(read_text(read_field<u32>(info + 16)), "test one two");
  ASSERT_EQ(read_field<u32>(info + 20), 1u);
  const u64 entry = read_field<u32>(info + 24);
  const u32 start = read_field<u32>(entry);
  EXPECT_EQ(read_field<u32>(entry + 4) - start, module.size());
  EXPECT_EQ(start % kPageSize, 0u);
  EXPECT_EQ(read(start, module.size()), module);
  const u32 length = read_field<u32>(info + 44), map = read_field<u32>(info + 48);
  ASSERT_EQ(length, 3 * 24u);
  EXPECT_EQ(read_field<u32>(map), 20u);
  EXPECT_EQ(read_field<u64>(map + 24 + 4), 0xe0000u);
  EXPECT_EQ(read_field<u32>(map + 24 + 20), 2u);
  EXPECT_EQ(read_text(read_field<u32>(info + 64)), "rondo");
}

// A flat file with the address fields, as assemblers make them.
Bytes flat(u32 load_end = 0, u32 bss_end = 0, u32 entry = 0x200040, u32 load = 0x200000,
           u32 header_address = 0x200008) {
  Bytes file = images::pattern(512);
  const u32 wants = 3 | 1 << 16;
  const u32 fields[] = {0x1badb002, wants, 0 - 0x1badb002 - wants, header_address, load, load_end, bss_end, entry};
  for (u64 i = 0; i < 8; ++i) images::put<u32>(file, 8 + 4 * i, fields[i]);
  return file;
}

TEST_F(Multiboot, AddressFieldsLoadAnyFile) {
  const auto image = boot(flat());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->cpu.rip, 0x200040u);
  EXPECT_EQ(read(0x200000, 512), flat());
  EXPECT_TRUE(boot(flat(0x200100, 0x300000)));
}

TEST_F(Multiboot, RefusesWithOneLine) {
  EXPECT_THAT(error_of(flat(0x200400)), HasSubstr("truncated"));
  EXPECT_THAT(error_of(flat(0x1fffff)), HasSubstr("load_end_addr"));
  EXPECT_THAT(error_of(flat(0, 0x200010)), HasSubstr("bss_end_addr"));
  EXPECT_THAT(error_of(flat(0, 0, 0x200200)), HasSubstr("entry_addr"));
  EXPECT_THAT(error_of(flat(0, 0, 0x200040, 0x200010)), HasSubstr("load address"));
  EXPECT_THAT(error_of(flat(0, 0, 0x200040, 0x100000)), HasSubstr("load address"));
  EXPECT_THAT(error_of(flat(0, 0xffffffff)), HasSubstr("larger --memory"));
  EXPECT_THAT(error_of(images::elf32({{0x100000, images::multiboot_content(7)}}, 0x100010)), HasSubstr("feature"));
  EXPECT_THAT(error_of(images::elf32({{0x100000, images::multiboot_content()}}, 0x100000 + 4096)),
              HasSubstr("entry point"));
  EXPECT_THAT(error_of(images::elf32({{0x10000, images::multiboot_content()}}, 0x10010)), HasSubstr("overlaps"));
}

TEST_F(Multiboot, TruncatedAnywhereIsAnError) {
  for (const Bytes& whole : {kernel(), flat(0x200200)}) {
    ASSERT_TRUE(boot(whole));
    for (u64 length = 0; length < whole.size(); ++length) {
      EXPECT_NE(error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))), "") << length;
    }
  }
}

}  // namespace
}  // namespace rondo::boot
