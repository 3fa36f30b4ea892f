#include "devices/acpi_tables/acpi_tables.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <string_view>

#include "core/base/assert.h"
#include "devices/acpi_pm/registers.h"
#include "devices/acpi_tables/dsdt.h"
#include "devices/acpi_tables/registers.h"
#include "devices/cmos_rtc/registers.h"
#include "devices/reset_control/registers.h"
#include "devices/wiring/platform_map.h"

namespace rondo::devices {

using namespace acpi_tables;

namespace {

constexpr std::string_view kOem = "RONDO ";
constexpr std::string_view kOemTable = "RONDOV1 ";
constexpr std::string_view kCreator = "RNDO";
constexpr u32 kRevision = 1;

// The bytes of a table in the order in which the specification lists its fields.
class Table {
 public:
  Table() = default;
  Table(std::string_view signature, u8 revision) {
    text(signature);
    u32_(0);  // length, checksum: seal()
    u8_(revision);
    u8_(0);
    text(kOem);
    text(kOemTable);
    u32_(kRevision);
    text(kCreator);
    u32_(kRevision);
  }
  explicit Table(std::span<const u8> bytes) : bytes_(bytes.begin(), bytes.end()) {}

  void u8_(u8 value) { put(value, 1); }
  void u16_(u16 value) { put(value, 2); }
  void u32_(u32 value) { put(value, 4); }
  void u64_(u64 value) { put(value, 8); }
  void text(std::string_view value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }
  void zeros(u64 count) { bytes_.resize(bytes_.size() + count); }
  // Generic address structure of I/O ports.
  void ports(u64 port, u8 bytes, u8 access) {
    u8_(kSystemIo);
    u8_(static_cast<u8>(8 * bytes));
    u8_(0);
    u8_(access);
    u64_(port);
  }
  void no_address() { zeros(12); }

  u64 size() const { return bytes_.size(); }
  void overwrite(u64 at, std::string_view value) {
    std::copy(value.begin(), value.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void overwrite_u32(u64 at, u32 value) {
    for (unsigned i = 0; i < 4; ++i) bytes_.at(at + i) = static_cast<u8>(value >> (8 * i));
  }
  // Makes the first `length` bytes add up to zero.
  void checksum(u64 at, u64 length) {
    bytes_.at(at) = 0;
    const u8 sum = std::accumulate(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(length), u8{0},
                                   [](u8 a, u8 b) { return static_cast<u8>(a + b); });
    bytes_.at(at) = static_cast<u8>(-sum);
  }
  std::vector<u8> seal() && {
    overwrite_u32(kHeaderLength, static_cast<u32>(bytes_.size()));
    checksum(kHeaderChecksum, bytes_.size());
    return std::move(bytes_);
  }
  std::vector<u8> take() && { return std::move(bytes_); }

 private:
  void put(u64 value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
  }
  std::vector<u8> bytes_;
};

// The compiler's identity is replaced by ours, so that the guest's memory names no compiler version.
std::vector<u8> dsdt() {
  Table table(dsdt_aml());
  table.overwrite(kHeaderCreator, kCreator);
  table.overwrite_u32(kHeaderCreator + 4, kRevision);
  return std::move(table).seal();
}

// Table 5.15. The guest takes the global lock in it; nobody else does.
std::vector<u8> facs() {
  Table table;
  table.text("FACS");
  table.u32_(64);
  table.zeros(24);
  table.u8_(2);  // version
  table.zeros(31);
  return std::move(table).take();
}

// Table 5.9.
std::vector<u8> fadt(GuestPhys facs_at, GuestPhys dsdt_at) {
  Table t("FACP", 6);
  t.u32_(static_cast<u32>(facs_at.value));
  t.u32_(static_cast<u32>(dsdt_at.value));
  t.u8_(0);
  t.u8_(kProfileDesktop);
  t.u16_(kIrqSci);
  t.u32_(0);   // no SMI command port: always in ACPI mode
  t.zeros(4);  // ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT
  t.u32_(kAcpiPmPort + acpi::kPm1Status);
  t.u32_(0);
  t.u32_(kAcpiPmPort + acpi::kPm1Control);
  t.u32_(0);
  t.u32_(0);
  t.u32_(kAcpiPmPort + acpi::kPmTimer);
  t.zeros(8);  // no general-purpose events
  t.u8_(4);    // PM1_EVT_LEN
  t.u8_(2);    // PM1_CNT_LEN
  t.u8_(0);
  t.u8_(4);    // PM_TMR_LEN
  t.zeros(3);  // GPE0, GPE1
  t.u8_(0);    // CST_CNT
  t.u16_(kNoC2);
  t.u16_(kNoC3);
  t.zeros(4);  // FLUSH_SIZE and _STRIDE: WBINVD works
  t.u8_(0);    // DUTY_OFFSET
  t.u8_(0);    // DUTY_WIDTH
  t.u8_(0);    // DAY_ALRM
  t.u8_(0);    // MON_ALRM
  t.u8_(rtc::kCentury);
  // There is an 8042 for the reset, but nothing is plugged into it: saying that there is none spares the guest the
  // search.
  t.u16_(kLegacyDevices | kNoVga);
  t.u8_(0);
  t.u32_(kWbinvd | kProcC1 | kNoSleepButton | kNoRtcWake | kTimer32 | kResetRegister);
  t.ports(kResetControlPort, 1, kAccessByte);
  t.u8_(reset_control::kAcpiResetValue);
  t.u16_(0);  // ARM boot flags
  t.u8_(4);   // minor version: 6.4
  t.u64_(0);  // X_FIRMWARE_CTRL: the 32-bit field is used
  t.u64_(dsdt_at.value);
  t.ports(kAcpiPmPort + acpi::kPm1Status, 4, kAccessWord);
  t.no_address();
  t.ports(kAcpiPmPort + acpi::kPm1Control, 2, kAccessWord);
  t.no_address();
  t.no_address();
  t.ports(kAcpiPmPort + acpi::kPmTimer, 4, kAccessDword);
  t.no_address();  // GPE0
  t.no_address();  // GPE1
  t.no_address();  // SLEEP_CONTROL, SLEEP_STATUS: of hardware-reduced platforms
  t.no_address();
  t.u64_(0);  // hypervisor vendor identity
  return std::move(t).seal();
}

void interrupt_override(Table& t, unsigned irq, unsigned gsi, u16 flags) {
  t.u8_(kMadtOverride);
  t.u8_(10);
  t.u8_(kIsaBus);
  t.u8_(static_cast<u8>(irq));
  t.u32_(gsi);
  t.u16_(flags);
}

// Table 5.19.
std::vector<u8> madt(const AcpiTablesConfig& config) {
  Table t("APIC", 5);
  t.u32_(kLocalApicAddress);
  t.u32_(kPcatCompatible);
  for (unsigned id = 0; id < config.cpus; ++id) {
    t.u8_(kMadtLocalApic);
    t.u8_(8);
    t.u8_(static_cast<u8>(id));  // processor UID
    t.u8_(static_cast<u8>(id));
    t.u32_(kProcessorEnabled);
  }
  t.u8_(kMadtIoApic);
  t.u8_(12);
  t.u8_(config.ioapic_id);
  t.u8_(0);
  t.u32_(static_cast<u32>(kIoApicAddress));
  t.u32_(0);  // its pins are GSI 0 and up
  interrupt_override(t, kIrqPit, kGsiPit, 0);
  interrupt_override(t, kIrqSci, kIrqSci, kActiveHigh | kLevelTriggered);
  t.u8_(kMadtLocalNmi);
  t.u8_(6);
  t.u8_(kAllProcessors);
  t.u16_(0);
  t.u8_(1);  // LINT1
  return std::move(t).seal();
}

std::vector<u8> root_table(std::string_view signature, unsigned entry_bytes, std::span<const GuestPhys> tables) {
  Table t(signature, 1);
  for (const GuestPhys table : tables) {
    if (entry_bytes == 8) {
      t.u64_(table.value);
    } else {
      t.u32_(static_cast<u32>(table.value));
    }
  }
  return std::move(t).seal();
}

// Table 5.3.
std::vector<u8> rsdp(GuestPhys rsdt_at, GuestPhys xsdt_at) {
  Table t;
  t.text("RSD PTR ");
  t.u8_(0);
  t.text(kOem);
  t.u8_(2);
  t.u32_(static_cast<u32>(rsdt_at.value));
  t.u32_(36);
  t.u64_(xsdt_at.value);
  t.zeros(4);
  t.checksum(8, 20);
  t.checksum(32, 36);
  return std::move(t).take();
}

}  // namespace

std::vector<GuestBlob> build_acpi_tables(const AcpiTablesConfig& config) {
  RONDO_ASSERT(config.cpus >= 1 && config.cpus <= 255);
  std::vector<GuestBlob> blobs;
  // The RSDP comes first and is filled in last: it has a fixed size and the address that the boot code passes on.
  constexpr u64 kAlignment = 64;  // the FACS needs it (5.2.10)
  GuestPhys next = kAcpiRsdpAddress + kAlignment;
  const auto place = [&](std::vector<u8> bytes) {
    const GuestPhys at = next;
    next += (bytes.size() + kAlignment - 1) / kAlignment * kAlignment;
    blobs.push_back({at, std::move(bytes)});
    return at;
  };
  const GuestPhys facs_at = place(facs());
  const GuestPhys dsdt_at = place(dsdt());
  const std::array<GuestPhys, 2> tables{place(fadt(facs_at, dsdt_at)), place(madt(config))};
  const GuestPhys rsdt_at = place(root_table("RSDT", 4, tables));
  const GuestPhys xsdt_at = place(root_table("XSDT", 8, tables));
  blobs.insert(blobs.begin(), {kAcpiRsdpAddress, rsdp(rsdt_at, xsdt_at)});
  RONDO_ASSERT(next <= kAcpiAreaEnd);
  return blobs;
}

}  // namespace rondo::devices
