#include "harness/guest_memory.h"

#include <gtest/gtest.h>

#include "harness/boot/bytes.h"

namespace rondo {
namespace {

class GuestMemory : public ::testing::Test {
 protected:
  void entry64(u64 address, u64 value) {
    u8 bytes[8];
    boot::put_field<u64>(bytes, 0, value);
    ASSERT_TRUE(memory->write(GuestPhys{address}, bytes));
  }
  void entry32(u64 address, u32 value) {
    u8 bytes[4];
    boot::put_field<u32>(bytes, 0, value);
    ASSERT_TRUE(memory->write(GuestPhys{address}, bytes));
  }
  std::optional<GuestPhys> at(u64 linear) { return translate(cpu, *memory, GuestLinear{linear}); }

  std::unique_ptr<PhysicalMemory> memory = PhysicalMemory::create(u64{16} << 20).value();
  CpuState cpu = CpuState::at_reset();
};

TEST_F(GuestMemory, WithoutPagingLinearIsPhysical) { EXPECT_EQ(at(0x12345), GuestPhys{0x12345}); }

TEST_F(GuestMemory, FourLevels) {
  cpu.cr0 |= cr0::PE | cr0::PG, cpu.cr4 |= cr4::PAE, cpu.efer |= efer::LMA | efer::LME,
      cpu.cr3 = 0x1018;  // PWT and PCD do not matter
  entry64(0x1000 + 8 * 511, 0x2003);
  entry64(0x2000 + 8 * 510, 0x3003);
  entry64(0x2000 + 8 * 509, 0x8000000040000083);  // 1 GB, NX
  entry64(0x3000, 0x4003);
  entry64(0x3008, 0x00600083);  // 2 MB
  entry64(0x4000, 0x8000000000005003);
  EXPECT_EQ(at(0xffffffff80000123), GuestPhys{0x5123});
  EXPECT_EQ(at(0xffffffff80234567), GuestPhys{0x634567});
  EXPECT_EQ(at(0xffffffff40234567), GuestPhys{0x40234567});
  EXPECT_EQ(at(0xffffffff80001000), std::nullopt);
  EXPECT_EQ(at(0), std::nullopt);
}

TEST_F(GuestMemory, Pae) {
  cpu.cr0 |= cr0::PE | cr0::PG, cpu.cr4 |= cr4::PAE, cpu.cr3 = 0x1020;
  entry64(0x1020 + 8 * 3, 0x2001);
  entry64(0x2000, 0x00400083);
  EXPECT_EQ(at(0xc0012345), GuestPhys{0x412345});
  EXPECT_EQ(at(0x12345), std::nullopt);
}

TEST_F(GuestMemory, TwoLevels) {
  cpu.cr0 |= cr0::PE | cr0::PG, cpu.cr4 |= cr4::PSE, cpu.cr3 = 0x1000;
  entry32(0x1000, 0x2003);
  entry32(0x1004, 0x00802083);  // 4 MB with address bit 32
  entry32(0x2004, 0x7003);
  EXPECT_EQ(at(0x1abc), GuestPhys{0x7abc});
  EXPECT_EQ(at(0x412345), GuestPhys{0x100812345});
}

TEST_F(GuestMemory, ReadsUpToTheFirstHole) {
  cpu.cr0 |= cr0::PE | cr0::PG, cpu.cr3 = 0x1000;
  entry32(0x1000, 0x2003);
  entry32(0x2000, 0x7003);
  const u8 text[] = {1, 2, 3, 4};
  ASSERT_TRUE(memory->write(GuestPhys{0x7ffc}, text));
  u8 out[8] = {};
  EXPECT_EQ(read_linear(cpu, *memory, GuestLinear{0xffc}, out), 4u);
  EXPECT_EQ(out[3], 4);
  EXPECT_EQ(read_linear(cpu, *memory, GuestLinear{0x1000}, out), 0u);
}

TEST_F(GuestMemory, TablesOutsideMemoryAreHoles) {
  cpu.cr0 |= cr0::PE | cr0::PG, cpu.cr4 |= cr4::PAE, cpu.efer |= efer::LMA;
  cpu.cr3 = 0x000ffffffffff000;
  EXPECT_EQ(at(0), std::nullopt);
}

}  // namespace
}  // namespace rondo
