#include "devices/pci_config/pci_config.h"

#include <gtest/gtest.h>

#include "devices/reset_control/reset_control.h"
#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

class Pci : public ::testing::Test {
 protected:
  u32 read(unsigned bus, unsigned slot, unsigned function, unsigned reg) {
    pci_.bus_write(0, 4, 0x80000000u | bus << 16 | slot << 11 | function << 8 | (reg & 0xfc));
    return static_cast<u32>(pci_.bus_read(4, 4));
  }
  FakeMachine machine_;
  ResetControl reset_{machine_};
  PciConfig pci_{reset_};
};

// Linux's pci_check_type1 and pci_sanity_check.
TEST_F(Pci, MechanismOneIsFound) {
  pci_.bus_write(3, 1, 1);
  const u64 before = pci_.bus_read(0, 4);
  pci_.bus_write(0, 4, 0x80000000);
  EXPECT_EQ(pci_.bus_read(0, 4), 0x80000000u);
  pci_.bus_write(0, 4, before);
  EXPECT_EQ(read(0, 0, 0, 8) >> 16, 0x0600u);
}

TEST_F(Pci, HostBridgeOnly) {
  EXPECT_EQ(read(0, 0, 0, 0), 0x00081b36u);
  EXPECT_EQ(read(0, 0, 0, 0x0c), 0u);  // type 0, one function
  EXPECT_EQ(read(0, 0, 0, 0x10), 0u);  // no BARs
  pci_.bus_write(4, 4, 0xffffffff);
  EXPECT_EQ(read(0, 0, 0, 0x10), 0u);
  EXPECT_EQ(read(0, 1, 0, 0), 0xffffffffu);
  EXPECT_EQ(read(0, 0, 1, 0), 0xffffffffu);
  EXPECT_EQ(read(1, 0, 0, 0), 0xffffffffu);
  read(0, 0, 0, 0);
  EXPECT_EQ(pci_.bus_read(5, 1), 0x1bu);
  EXPECT_EQ(pci_.bus_read(6, 2), 0x0008u);
  EXPECT_EQ(pci_.bus_read(5, 2), 0xffffu);  // not aligned
  pci_.bus_write(0, 4, 0);
  EXPECT_EQ(pci_.bus_read(4, 4), 0xffffffffu);  // not enabled
}

TEST_F(Pci, FurtherFunctionsCanBeAttached) {
  struct Function final : PciFunction {
    u32 config_read(u8 offset, unsigned size) override { return offset * 256u + size; }
    void config_write(u8 offset, unsigned, u32 value) override { written = offset + value; }
    u32 written = 0;
  } function;
  pci_.attach(3, 1, function);
  EXPECT_EQ(read(0, 3, 1, 0x44), 0x4404u);
  pci_.bus_write(6, 2, 0x1000);
  EXPECT_EQ(function.written, 0x1046u);
}

TEST_F(Pci, ByteAccessesToCf9AreTheResetRegister) {
  pci_.bus_write(1, 1, 2);
  EXPECT_EQ(machine_.resets, 0u);
  EXPECT_EQ(pci_.bus_read(1, 1), 2u);
  pci_.bus_write(1, 1, 6);
  EXPECT_EQ(machine_.resets, 1u);
  pci_.bus_write(1, 1, 6);  // no edge
  EXPECT_EQ(machine_.resets, 1u);
}

TEST_F(Pci, Restored) {
  read(0, 0, 0, 8);
  pci_.bus_write(1, 1, 2);
  FakeMachine machine;
  ResetControl reset(machine);
  PciConfig other(reset);
  Clock a, b;
  ASSERT_TRUE(copy_state(pci_, a, other, b));
  ASSERT_TRUE(copy_state(reset_, a, reset, b));
  EXPECT_EQ(other.bus_read(4, 4), 0x06000000u);
  EXPECT_EQ(other.bus_read(1, 1), 2u);
}

}  // namespace
}  // namespace rondo::devices
