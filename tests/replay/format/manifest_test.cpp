#include "replay/format/manifest.h"

#include <gtest/gtest.h>

namespace rondo::replay {
namespace {

TEST(Manifest, EveryFieldComesBack) {
  Manifest manifest;
  manifest.program_version = "1.2.3";
  manifest.recording_id = "id";
  manifest.machine = {.memory_bytes = 1 << 20,
                      .cpus = 1,
                      .engine = "kvm",
                      .sampled_time = true,
                      .seed = 7,
                      .rtc_start = -5,
                      .command_line = "panic=-1",
                      .image_kind = "vmlinux",
                      .images = {{"kernel", "vmlinux", std::string(64, 'a'), 3}},
                      .ns_per_instruction = 2,
                      .cpu_model = "rondo-v1",
                      .cpuid = {{0, 0, 1, 2, 3, 4}},
                      .text_patches = {{0x1000, {0x0f, 0x31}, {0xe6, 0xed}}},
                      .user_cpuid = {{7, 1, 5, 6, 7, 8}, {1, ~u32{0}, 9, 10, 11, 12}},
                      .user_xcr0 = 7};
  manifest.host = {{"cpu", "a processor"}};
  manifest.settings = {.hash_interval = 10, .checkpoint_interval = 20};
  manifest.marks = {"not guaranteed"};
  manifest.component_names = {"vcpu0", "memory"};
  const Result<Manifest> again = decode_manifest(encode_manifest(manifest), "test");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, manifest);
  manifest.machine.user_xcr0.reset();
  EXPECT_EQ(*decode_manifest(encode_manifest(manifest), "test"), manifest);
}

}  // namespace
}  // namespace rondo::replay
