#include "devices/acpi_tables/acpi_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace rondo::devices {
namespace {

u64 field(const std::vector<u8>& bytes, u64 at, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(bytes.at(at + i)) << (8 * i);
  return value;
}
u8 sum(const std::vector<u8>& bytes, u64 length) {
  u8 total = 0;
  for (u64 i = 0; i < length; ++i) total = static_cast<u8>(total + bytes.at(i));
  return total;
}

// A guest's walk from the RSDP.
class Tables {
 public:
  explicit Tables(const AcpiTablesConfig& config) {
    for (GuestBlob& blob : build_acpi_tables(config)) blobs_[blob.address.value] = std::move(blob.bytes);
  }
  const std::vector<u8>& at(u64 address) const { return blobs_.at(address); }
  const std::vector<u8>& rsdp() const { return at(0xe0000); }
  const std::vector<u8>& find(const std::string& signature) const {
    const std::vector<u8>& xsdt = at(field(rsdp(), 24, 8));
    for (u64 i = 36; i < xsdt.size(); i += 8) {
      const std::vector<u8>& table = at(field(xsdt, i, 8));
      if (std::string(table.begin(), table.begin() + 4) == signature) return table;
    }
    throw std::runtime_error("no table " + signature);
  }
  const std::map<u64, std::vector<u8>>& all() const { return blobs_; }

 private:
  std::map<u64, std::vector<u8>> blobs_;
};

TEST(AcpiTables, RsdpAndRootTables) {
  const Tables tables({});
  const std::vector<u8>& rsdp = tables.rsdp();
  ASSERT_EQ(rsdp.size(), 36u);
  EXPECT_EQ(std::string(rsdp.begin(), rsdp.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(rsdp, 20), 0);
  EXPECT_EQ(sum(rsdp, 36), 0);
  const std::vector<u8>& rsdt = tables.at(field(rsdp, 16, 4));
  const std::vector<u8>& xsdt = tables.at(field(rsdp, 24, 8));
  ASSERT_EQ(rsdt.size(), 36u + 2 * 4);
  ASSERT_EQ(xsdt.size(), 36u + 2 * 8);
  EXPECT_EQ(field(rsdt, 36, 4), field(xsdt, 36, 8));
  EXPECT_EQ(field(rsdt, 40, 4), field(xsdt, 44, 8));
}

TEST(AcpiTables, EveryTableHasItsLengthChecksumAndPlace) {
  for (const unsigned cpus : {1u, 4u, 255u}) {
    const Tables tables({.cpus = cpus});
    u64 end = 0;
    for (const auto& [address, bytes] : tables.all()) {
      EXPECT_GE(address, std::max(end, u64{0xe0000}));
      end = address + bytes.size();
      EXPECT_LE(end, 0x100000u);
      const std::string signature(bytes.begin(), bytes.begin() + 4);
      if (signature == "RSD " || signature == "FACS") continue;
      EXPECT_EQ(field(bytes, 4, 4), bytes.size()) << signature;
      EXPECT_EQ(sum(bytes, bytes.size()), 0) << signature;
    }
  }
}

TEST(AcpiTables, Fadt) {
  const Tables tables({});
  const std::vector<u8>& fadt = tables.find("FACP");
  ASSERT_EQ(fadt.size(), 276u);
  const std::vector<u8>& facs = tables.at(field(fadt, 36, 4));
  EXPECT_EQ(facs.size(), 64u);
  EXPECT_EQ(field(fadt, 36, 4) % 64, 0u);
  EXPECT_EQ(field(fadt, 40, 4), field(fadt, 140, 8));
  EXPECT_EQ(field(tables.at(field(fadt, 40, 4)), 0, 4), 0x54445344u);  // DSDT
  EXPECT_EQ(field(fadt, 46, 2), 9u);                                   // SCI
  EXPECT_EQ(field(fadt, 48, 4), 0u);                                   // no SMI
  EXPECT_EQ(field(fadt, 56, 4), 0x600u);
  EXPECT_EQ(field(fadt, 64, 4), 0x604u);
  EXPECT_EQ(field(fadt, 76, 4), 0x608u);
  EXPECT_EQ(fadt[88], 4);
  EXPECT_EQ(fadt[89], 2);
  EXPECT_EQ(fadt[91], 4);
  EXPECT_EQ(fadt[108], 0x32);            // century
  EXPECT_EQ(field(fadt, 109, 2), 0x5u);  // legacy devices, no 8042, no VGA
  EXPECT_EQ(field(fadt, 112, 4) & 0x400, 0x400u);
  EXPECT_EQ(field(fadt, 120, 8), 0xcf9u);
  EXPECT_EQ(fadt[128], 6);
  EXPECT_EQ(field(fadt, 152, 8), 0x600u);  // X_PM1a_EVT
  EXPECT_EQ(field(fadt, 176, 8), 0x604u);  // X_PM1a_CNT
  EXPECT_EQ(field(fadt, 212, 8), 0x608u);  // X_PM_TMR
}

TEST(AcpiTables, MadtNamesEveryCpuAndTheOverrides) {
  const Tables tables({.cpus = 3, .ioapic_id = 7});
  const std::vector<u8>& madt = tables.find("APIC");
  EXPECT_EQ(field(madt, 36, 4), 0xfee00000u);
  unsigned cpus = 0, ioapics = 0;
  std::map<u64, u64> overrides;
  u64 at = 44;
  while (at < madt.size()) {
    const u8 type = madt[at], length = madt[at + 1];
    if (type == 0) {
      EXPECT_EQ(madt[at + 3], cpus);
      EXPECT_EQ(field(madt, at + 4, 4), 1u);
      ++cpus;
    } else if (type == 1) {
      EXPECT_EQ(madt[at + 2], 7);
      EXPECT_EQ(field(madt, at + 4, 4), 0xfec00000u);
      ++ioapics;
    } else if (type == 2) {
      overrides[madt[at + 3]] = field(madt, at + 4, 4) << 16 | field(madt, at + 8, 2);
    }
    ASSERT_GT(length, 0);
    at += length;
  }
  EXPECT_EQ(at, madt.size());
  EXPECT_EQ(cpus, 3u);
  EXPECT_EQ(ioapics, 1u);
  EXPECT_EQ(overrides, (std::map<u64, u64>{{0, 2 << 16}, {9, 9 << 16 | 0xd}}));
}

TEST(AcpiTables, TheDsdtNamesNoCompiler) {
  const Tables tables({});
  const std::vector<u8>& dsdt = tables.at(field(tables.find("FACP"), 40, 4));
  EXPECT_EQ(std::string(dsdt.begin() + 28, dsdt.begin() + 32), "RNDO");
  const std::string text(dsdt.begin(), dsdt.end());
  for (const char* name : {"PCI0", "COM1", "COM2", "_S5_", "_CRS"})
    EXPECT_NE(text.find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace rondo::devices
