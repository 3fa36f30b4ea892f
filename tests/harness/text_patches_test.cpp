// Which instructions of a kernel's text are found and replaced, and which bytes are not.
#include "harness/boot/text_patches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "core/cpu/patched_text.h"
#include "harness/board.h"
#include "harness/boot/linux.h"
#include "harness/boot/setup_header.h"
#include "harness/boot/unpack.h"
#include "harness/host/file.h"
#include "tests/harness/boot_fixture.h"

namespace rondo::boot {
namespace {

using images::Bytes;
using testing::HasSubstr;
constexpr u64 kBase = 0x1000000;
constexpr PatchKinds kAll{.time_stamps = true, .cpuid = true, .random = true};

// Segment contents start behind the headers.
u64 content_offset(u64 segments) { return 64 + 56 * segments; }

class TextPatches : public BootTest {
 protected:
  std::vector<TextPatch> find(const Bytes& kernel, PatchKinds kinds = kAll) {
    const Result<BootedImage> image = boot(kernel);
    EXPECT_TRUE(image) << image.error().message;
    text_ = image->text;
    return find_text_patches(*memory_, image->text, kinds);
  }
  // One executable section with this content.
  std::vector<TextPatch> find_in(const Bytes& text, PatchKinds kinds = kAll) {
    return find(images::with_sections(images::elf64({{kBase, text}}, kBase), {{content_offset(1), text.size()}}),
                kinds);
  }
  std::vector<MemoryRange> text_;
};

TEST_F(TextPatches, ReplacesByTheSameLength) {
  // rdtsc; nop; rdtscp; rdrand %rax; rdseed %r9d; rdrand %cx; ret
  const Bytes text{0x0f, 0x31, 0x90, 0x0f, 0x01, 0xf9, 0x48, 0x0f, 0xc7, 0xf0,
                   0x41, 0x0f, 0xc7, 0xf9, 0x66, 0x0f, 0xc7, 0xf1, 0xc3};
  const std::vector<TextPatch> patches = find_in(text);
  const std::vector<TextPatch> expected{{GuestPhys{kBase}, {0x0f, 0x31}, {0xe6, kTimeStampPort}},
                                        {GuestPhys{kBase + 3}, {0x0f, 0x01, 0xf9}, {0x66, 0xe7, kTimeStampPort}},
                                        {GuestPhys{kBase + 6}, {0x48, 0x0f, 0xc7, 0xf0}, {0x0f, 0x0b, 0x90, 0x90}},
                                        {GuestPhys{kBase + 10}, {0x41, 0x0f, 0xc7, 0xf9}, {0x0f, 0x0b, 0x90, 0x90}},
                                        {GuestPhys{kBase + 14}, {0x66, 0x0f, 0xc7, 0xf1}, {0x0f, 0x0b, 0x90, 0x90}}};
  EXPECT_EQ(patches, expected);
  EXPECT_EQ(count_text_patches(patches),
            (std::vector<std::pair<std::string, u64>>{{"RDTSC", 1}, {"RDTSCP", 1}, {"RDRAND", 2}, {"RDSEED", 1}}));
  EXPECT_EQ(find_in(text, {.time_stamps = true}).size(), 2u);
  EXPECT_EQ(find_in(text, {.random = true}).size(), 3u);
  ASSERT_TRUE(apply_text_patches(patches, *memory_));
  EXPECT_EQ(read(kBase, text.size()), (Bytes{0xe6, kTimeStampPort, 0x90, 0x66, 0xe7, kTimeStampPort, 0x0f, 0x0b, 0x90,
                                             0x90, 0x0f, 0x0b, 0x90, 0x90, 0x0f, 0x0b, 0x90, 0x90, 0xc3}));
}

TEST_F(TextPatches, Cpuid) {
  const auto patches = find_in({0x0f, 0xa2, 0x0f, 0x31, 0xb8, 0x0f, 0xa2, 0x0f, 0xa2}, {.cpuid = true});
  ASSERT_EQ(patches.size(), 1u);
  EXPECT_EQ(patches[0].replacement, (Bytes{0xe6, kCpuidPort}));
}

TEST_F(TextPatches, LookAlikesStay) {
  EXPECT_TRUE(find_in({0xb8, 0x0f, 0x31, 0x0f, 0x31, 0xc3}).empty());              // mov $0x310f310f, %eax
  EXPECT_TRUE(find_in({0x48, 0x8b, 0x80, 0x0f, 0x01, 0xf9, 0x00, 0xc3}).empty());  // mov 0xf9010f(%rax), %rax
  EXPECT_TRUE(find_in({0x0f, 0xc7, 0x30, 0x0f, 0xc7, 0x0f, 0xc3}).empty());        // vmptrld; cmpxchg8b
  EXPECT_TRUE(find_in({0xf3, 0x0f, 0xc7, 0xf8, 0xc3}).empty());                    // rdpid %rax
  EXPECT_TRUE(find_in({0x0f, 0x31}, {}).empty());
  EXPECT_EQ(find_in({0xeb, 0x0f, 0x31, 0xc0, 0x0f, 0x31}).size(), 1u);  // jmp; xor %eax, %eax; rdtsc
}

// A prefix without a meaning is part of the instruction.
TEST_F(TextPatches, LongForms) {
  const auto patches = find_in({0x48, 0x0f, 0x31, 0x66, 0x0f, 0x01, 0xf9});
  ASSERT_EQ(patches.size(), 2u);
  EXPECT_EQ(patches[0].replacement, (Bytes{0xe6, kTimeStampPort, 0x90}));
  EXPECT_EQ(patches[1].replacement, (Bytes{0x66, 0xe7, kTimeStampPort, 0x90}));
}

TEST_F(TextPatches, OnlyExecutableSections) {
  const Bytes rdtsc{0x0f, 0x31};
  const Bytes elf = images::elf64({{kBase, {0x0f, 0x31, 0x0f, 0x31, 0x0f, 0x31}}, {2 * kBase, rdtsc}}, kBase);
  const u64 at = content_offset(2);
  // Of the first segment the second instruction is data, and the third is in no section.
  const auto patches = find(images::with_sections(elf, {{at, 2}, {at + 2, 2, 1, 2}, {at + 4, 2, 8, 6}, {at + 6, 2}}));
  ASSERT_EQ(patches.size(), 2u);
  EXPECT_EQ(patches[0].address, GuestPhys{kBase});
  EXPECT_EQ(patches[1].address, GuestPhys{2 * kBase});
  EXPECT_EQ(text_, (std::vector<MemoryRange>{{GuestPhys{kBase}, 2}, {GuestPhys{2 * kBase}, 2}}));
}

TEST_F(TextPatches, WithoutSectionsNothingIsKnown) {
  const Bytes elf = images::elf64({{kBase, {0x0f, 0x31}}}, kBase);
  EXPECT_TRUE(find(elf).empty());
  EXPECT_TRUE(text_.empty());
  // Nor with sections that lie outside of the file, outside of all segments, or across each other.
  for (const std::vector<images::Section>& sections :
       std::vector<std::vector<images::Section>>{{{~u64{0}, 2}},
                                                 {{0, 64}},
                                                 {{content_offset(1), ~u64{0}}},
                                                 {{content_offset(1), 2}, {content_offset(1) + 1, 1}}}) {
    EXPECT_TRUE(find(images::with_sections(elf, sections)).empty());
  }
  Bytes truncated = images::with_sections(elf, {{content_offset(1), 2}});
  truncated.resize(truncated.size() - 1);
  EXPECT_TRUE(find(truncated).empty());
}

TEST_F(TextPatches, AppliedOnlyWhereTheyWereFound) {
  std::vector<TextPatch> patches = find_in({0x0f, 0x31, 0x0f, 0x31});
  ASSERT_EQ(patches.size(), 2u);
  patches[1].address = GuestPhys{kBase + 1};
  EXPECT_THAT(apply_text_patches(patches, *memory_).error().message, HasSubstr("0x1000001 is not what was patched"));
  for (const u64 outside : {kMemory - 1, kMemory, ~u64{0}}) {
    patches[1].address = GuestPhys{outside};
    EXPECT_THAT(apply_text_patches(patches, *memory_).error().message, HasSubstr("outside memory"));
  }
  EXPECT_EQ(read(kBase, 4), (Bytes{0x0f, 0x31, 0x0f, 0x31}));
}

// The independent check: objdump's list of such instructions in a real kernel, as its names and physical addresses.
using Sites = std::map<u64, std::string>;

Sites objdump_sites(const std::string& vmlinux) {
  constexpr u64 kKernelMap = 0xffffffff80000000;  // __START_KERNEL_map: where its text's addresses start
  Sites sites;
  const std::string command = "objdump -d --no-show-raw-insn '" + vmlinux + "' 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 512> line{};
  while (pipe && std::fgets(line.data(), line.size(), pipe)) {
    std::array<char, 32> name{};
    unsigned long long address = 0;
    if (std::sscanf(line.data(), " %llx: %31s", &address, name.data()) != 2) continue;
    for (const char* wanted : {"rdtsc", "rdtscp", "cpuid", "rdrand", "rdseed"})
      if (std::string(wanted) == name.data()) sites[address - kKernelMap] = wanted;
  }
  if (pipe) pclose(pipe);
  return sites;
}

std::string name_of(const TextPatch& patch) {
  std::string name = count_text_patches(std::span(&patch, 1)).front().first;
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

class RealKernel : public testing::TestWithParam<const char*> {};

TEST_P(RealKernel, SitesAreObjdumps) {
  const char* path = std::getenv(GetParam());
  if (!path || !*path) GTEST_SKIP() << GetParam() << " names no kernel";
  if (std::system("objdump --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no objdump on this computer";
  auto kernel = Image::read(path, "kernel");
  ASSERT_TRUE(kernel) << kernel.error().message;

  auto memory = PhysicalMemory::create(u64{256} << 20).value();
  Placement placement(*memory);
  const auto image = load({kernel->bytes, {}, "", {}}, *memory, placement);
  ASSERT_TRUE(image) << image.error().message;
  Sites found;
  for (const TextPatch& patch : find_text_patches(*memory, image->text, kAll))
    found[patch.address.value] = name_of(patch);

  const auto header = parse_setup_header(kernel->bytes);
  ASSERT_TRUE(header) << header.error().message;
  const std::string vmlinux = testing::TempDir() + "rondo-vmlinux-" + GetParam();
  std::ofstream file(vmlinux, std::ios::binary);
  const auto payload =
      kernel->bytes.subspan(header->protected_mode_offset + header->payload_offset, header->payload_length);
  ASSERT_TRUE(unpack(payload, u64{256} << 20, [&](std::span<const u8> piece) {
    file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    return success();
  }));
  file.close();
  const Sites expected = objdump_sites(vmlinux);
  std::filesystem::remove(vmlinux);
  EXPECT_GT(expected.size(), 50u);
  EXPECT_EQ(found, expected);
}

INSTANTIATE_TEST_SUITE_P(Debian, RealKernel, testing::Values("RONDO_TEST_KERNEL", "RONDO_TEST_GENERAL_KERNEL"));

}  // namespace
}  // namespace rondo::boot
