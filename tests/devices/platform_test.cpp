// All devices wired as a board wires them: random accesses must never do harm, and a platform restored in the middle of
// anything must go on exactly as the one that was saved.
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "devices/acpi_pm/acpi_pm.h"
#include "devices/cmos_rtc/cmos_rtc.h"
#include "devices/debug_exit/debug_exit.h"
#include "devices/i8042/i8042.h"
#include "devices/ioapic/ioapic.h"
#include "devices/local_apic/local_apic.h"
#include "devices/pci_config/pci_config.h"
#include "devices/pic8259/pic8259.h"
#include "devices/pit8254/pit8254.h"
#include "devices/post_code/post_code.h"
#include "devices/reset_control/reset_control.h"
#include "devices/uart16550/uart16550.h"
#include "devices/wiring/isa_router.h"
#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

class Platform {
 public:
  Platform() {
    lapic.attach_pic(pic);
    lapic.attach_cpu(pins);
    router.connect(pic, ioapic);
    devices = {&lapic, &pic,           &ioapic,     &pit,       &rtc, &uart0, &uart1,
               &i8042, &reset_control, &debug_exit, &post_code, &pci, &acpi};
    struct Region {
      u64 base, length;
      BusTarget* target;
    };
    const Region port_map[] = {{kPicMasterPort, 2, &pic.master_ports()},
                               {kPicSlavePort, 2, &pic.slave_ports()},
                               {kPicElcrPort, 2, &pic.elcr_ports()},
                               {kPitPort, 4, &pit.timer_ports()},
                               {kSystemControlPort, 1, &pit.system_port()},
                               {kI8042DataPort, 1, &i8042.data_port()},
                               {kI8042CommandPort, 1, &i8042.command_port()},
                               {kRtcPort, 2, &rtc},
                               {kPostCodePort, 1, &post_code},
                               {kDebugExitPort, 4, &debug_exit},
                               {kCom1Port, 8, &uart0},
                               {kCom2Port, 8, &uart1},
                               {kPciConfigPort, 8, &pci},
                               {kAcpiPmPort, 12, &acpi}};
    for (const Region& region : port_map) {
      EXPECT_TRUE(ports.map(region.base, region.length, *region.target, "region"));
      for (u64 i = 0; i < region.length; ++i) interesting_ports.push_back(region.base + i);
    }
    EXPECT_TRUE(mmio.map(kIoApicAddress, 4096, ioapic, "ioapic"));
    EXPECT_TRUE(mmio.map(kLocalApicAddress, 4096, lapic, "lapic"));
  }

  std::vector<u8> save() const {
    StateWriter writer;
    clock.save(writer);
    for (const Device* device : devices) device->save(writer);
    return writer.take();
  }
  void load(const std::vector<u8>& bytes) {
    StateReader reader(bytes);
    clock.load(reader);
    for (Device* device : devices) device->load(reader);
    EXPECT_TRUE(reader.ok()) << reader.status().error().message;
  }

  // One random thing that a guest, the world or time could do; returns what the guest could see of it.
  u64 random_step(std::mt19937_64& random) {
    const unsigned sizes[] = {1, 1, 1, 2, 4};
    const unsigned size = sizes[random() % 5];
    // Values that are likely to mean something: single bits, small numbers, anything.
    const u64 value = random() % 3 == 0 ? u64{1} << (random() % 32) : random() % 2 == 0 ? random() % 256 : random();
    const u64 port = interesting_ports[random() % interesting_ports.size()];
    switch (random() % 12) {
      case 0:
      case 1:
      case 2:
        ports.write(port, size, value);
        return 0;
      case 3:
      case 4:
        return ports.read(port, size);
      case 5:
        mmio.write(kLocalApicAddress + 16 * (random() % 0x41), 4, value);
        return 0;
      case 6:
        return mmio.read(kLocalApicAddress + 4 * (random() % 0x104), random() % 8 == 0 ? 8 : 4);
      case 7:
        mmio.write(kIoApicAddress, 4, random() % 0x42);
        mmio.write(kIoApicAddress + (random() % 8 == 0 ? 0x40 : 0x10), 4, value);
        return mmio.read(kIoApicAddress + 0x10, 4);
      case 8: {
        const u32 msrs[] = {0x1b, 0x6e0, static_cast<u32>(0x800 + random() % 0x100)};
        const u32 msr = msrs[random() % 3];
        if (random() % 2 == 0) {
          const u64 base = kLocalApicAddress | (random() % 8) << 9;
          return lapic.write_msr(msr, msr == 0x1b         ? base
                                      : random() % 2 == 0 ? clock.now().value + random() % 100'000
                                                          : value);
        }
        u64 result = 0;
        return lapic.read_msr(msr, result) ? result : 0x1234;
      }
      case 9:
        if (random() % 16 == 0) acpi.press_power_button();
        if (random() % 8 == 0) lapic.set_tsc_offset(random() % 4 == 0 ? random() : random() % 1'000'000);
        if (random() % 8 == 0) lapic.write_cr8(static_cast<u8>(random() % 16));
        if (uart0.can_receive()) uart0.receive(static_cast<u8>(random()));
        uart1.receive(static_cast<u8>(random()));  // whether or not there is room
        return lapic.read_cr8();
      case 10:
        return lapic.intr() ? 0x100u | lapic.acknowledge() : 0;
      default:
        run_for(clock, random() % 64 == 0 ? random() % 1'000'000'000 : random() % 50'000);
        return clock.now().value;
    }
  }

  Clock clock;
  FakePins pins;
  FakeMachine machine;
  FakeSink sink;
  ApicBus apic_bus;
  IsaRouter router;
  LocalApic lapic{clock, apic_bus, {}};
  Pic8259 pic{lapic.lint0()};
  IoApic ioapic{apic_bus};
  Pit8254 pit{clock, router.irq(kIrqPit)};
  CmosRtc rtc{clock, router.irq(kIrqRtc)};
  Uart16550 uart0{"uart0", clock, router.irq(kIrqCom1), sink};
  Uart16550 uart1{"uart1", clock, router.irq(kIrqCom2), sink};
  I8042 i8042{machine};
  ResetControl reset_control{machine};
  DebugExit debug_exit{machine};
  PostCode post_code;
  PciConfig pci{reset_control};
  AcpiPm acpi{clock, router.irq(kIrqSci), machine};
  Bus ports, mmio;
  std::vector<Device*> devices;
  std::vector<u64> interesting_ports;
};

// Timers that come every few nanoseconds would take the tests all day; guests of the fuzzer program such things.
void calm(Platform& platform) {
  platform.mmio.write(kLocalApicAddress + 0x380, 4, 0);
  platform.ports.write(0x43, 1, 0x34);
  u64 value = 0;
  if (platform.lapic.read_msr(0x838, value)) platform.lapic.write_msr(0x838, 0);
}

TEST(Platform, RandomAccessesDoNoHarmAndRestoreGoesOnIdentically) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    auto original = std::make_unique<Platform>();
    std::mt19937_64 random(seed);
    const unsigned before = static_cast<unsigned>(random() % 3000);
    for (unsigned i = 0; i < before; ++i) {
      original->random_step(random);
      if (i % 4 == 0) calm(*original);
    }

    auto restored = std::make_unique<Platform>();
    restored->load(original->save());
    ASSERT_EQ(restored->save(), original->save()) << "seed " << seed;
    ASSERT_EQ(restored->lapic.intr(), original->lapic.intr());

    std::mt19937_64 random_again = random;
    for (unsigned i = 0; i < 1500; ++i) {
      const u64 seen = original->random_step(random);
      ASSERT_EQ(restored->random_step(random_again), seen) << "seed " << seed << " step " << i;
      ASSERT_EQ(restored->lapic.intr(), original->lapic.intr()) << "seed " << seed << " step " << i;
      if (i % 4 == 0) {
        calm(*original);
        calm(*restored);
      }
    }
    ASSERT_EQ(restored->save(), original->save()) << "seed " << seed;
  }
}

TEST(Platform, DamagedStateIsRefusedOrHarmless) {
  Platform original;
  std::mt19937_64 random(7);
  for (unsigned i = 0; i < 2000; ++i) original.random_step(random);
  const std::vector<u8> good = original.save();
  for (unsigned round = 0; round < 300; ++round) {
    std::vector<u8> bad = good;
    for (unsigned flips = 0; flips < 1 + round % 8; ++flips)
      bad[random() % bad.size()] ^= static_cast<u8>(1u << (random() % 8));
    if (round % 10 == 0) bad.resize(random() % bad.size());
    Platform victim;
    StateReader reader(bad);
    // The clock's own bytes stay: time that jumps to the end of time is another test.
    Platform clock_source;
    victim.clock.load(reader);
    for (Device* device : victim.devices) device->load(reader);
    if (!reader.ok()) continue;
    for (unsigned i = 0; i < 100; ++i) {
      const u64 port = victim.interesting_ports[random() % victim.interesting_ports.size()];
      victim.ports.read(port, 1);
      victim.ports.write(port, 1, random() % 256);
      victim.mmio.read(kLocalApicAddress + 16 * (random() % 64), 4);
    }
  }
}

TEST(Platform, ResetReturnsEveryDeviceToItsFirstState) {
  Platform platform;
  std::mt19937_64 random(3);
  // Not by time, and not by input: both belong to the outside and survive a reset.
  for (unsigned i = 0; i < 500; ++i) {
    platform.ports.write(platform.interesting_ports[random() % platform.interesting_ports.size()], 1, random() % 256);
  }
  Platform fresh;
  for (Platform* each : {&platform, &fresh}) {
    for (Device* device : each->devices) device->reset();
  }
  for (unsigned i = 0; i < platform.devices.size(); ++i) {
    if (platform.devices[i] == &platform.rtc) continue;  // has a battery
    EXPECT_EQ(saved(*platform.devices[i]), saved(*fresh.devices[i])) << platform.devices[i]->name();
  }
}

// IRQ0 of the timer reaches the processor through the 8259 pair and LINT0, as before a guest has set up the I/O APIC.
TEST(Platform, TimerInterruptThroughThePicInVirtualWireMode) {
  Platform platform;
  const u8 words[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01},
                         {0xa0, 0x11}, {0xa1, 0x38}, {0xa1, 0x02}, {0xa1, 0x01}};
  for (const auto& [port, value] : words) platform.ports.write(port, 1, value);
  platform.ports.write(0x43, 1, 0x34);
  platform.ports.write(0x40, 1, 0x9c);
  platform.ports.write(0x40, 1, 0x2e);  // 11932: 10 ms
  EXPECT_FALSE(platform.lapic.intr());
  run_for(platform.clock, 10'002'000);
  ASSERT_TRUE(platform.lapic.intr());
  EXPECT_EQ(platform.lapic.acknowledge(), 0x30);
  EXPECT_FALSE(platform.lapic.intr());
}

// ... and through I/O APIC pin 2 once it has.
TEST(Platform, TimerInterruptThroughTheIoApic) {
  Platform platform;
  platform.ports.write(0x21, 1, 0xff);
  platform.mmio.write(kIoApicAddress, 4, 0x10 + 2 * kGsiPit);
  platform.mmio.write(kIoApicAddress + 0x10, 4, 0x41);
  platform.ports.write(0x43, 1, 0x34);
  platform.ports.write(0x40, 1, 0x9c);
  platform.ports.write(0x40, 1, 0x2e);
  run_for(platform.clock, 10'002'000);
  ASSERT_TRUE(platform.lapic.intr());
  EXPECT_EQ(platform.lapic.acknowledge(), 0x41);
  platform.mmio.write(kLocalApicAddress + 0xb0, 4, 0);
  run_for(platform.clock, 10'000'000);
  EXPECT_TRUE(platform.lapic.intr());
}

// A level-triggered SCI: asserted until the guest clears the event, again after EOI while it is not.
TEST(Platform, SciIsLevelTriggered) {
  Platform platform;
  platform.mmio.write(kIoApicAddress, 4, 0x10 + 2 * kIrqSci);
  platform.mmio.write(kIoApicAddress + 0x10, 4, 0x8051);
  platform.ports.write(0x602, 2, acpi::kPowerButton);
  platform.acpi.press_power_button();
  for (unsigned i = 0; i < 2; ++i) {
    ASSERT_TRUE(platform.lapic.intr());
    EXPECT_EQ(platform.lapic.acknowledge(), 0x51);
    EXPECT_FALSE(platform.lapic.intr());
    if (i == 1) platform.ports.write(0x600, 2, acpi::kPowerButton);
    platform.mmio.write(kLocalApicAddress + 0xb0, 4, 0);
  }
  EXPECT_FALSE(platform.lapic.intr());
}

}  // namespace
}  // namespace rondo::devices
