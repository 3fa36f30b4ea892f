#include "harness/board.h"

#include "core/kvm/engine.h"
#include "core/software/engine.h"
#include "devices/acpi_pm/acpi_pm.h"
#include "devices/acpi_tables/acpi_tables.h"
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
#include "devices/wiring/apic_bus.h"
#include "devices/wiring/isa_router.h"
#include "devices/wiring/platform_map.h"
#include "harness/boot/boot.h"
#include "harness/host/file.h"

namespace rondo {
namespace {

using namespace devices;

constexpr GuestPhys kFirmwareArea{0xe0000};  // of a PC: the ACPI tables lie here
constexpr u64 kFirmwareAreaSize = 0x20000;
constexpr char kSavedSection[] = "rondo-machine";
constexpr u32 kSavedVersion = 1;

struct DiscardingSink final : CharacterSink {
  void put(u8) override {}
};

// The devices, owned by the machine, by type.
struct Devices {
  LocalApic* lapic = nullptr;
  Pic8259* pic = nullptr;
  IoApic* ioapic = nullptr;
  Pit8254* pit = nullptr;
  CmosRtc* rtc = nullptr;
  Uart16550* com1 = nullptr;
  Uart16550* com2 = nullptr;
  I8042* i8042 = nullptr;
  ResetControl* reset_control = nullptr;
  DebugExit* debug_exit = nullptr;
  PostCode* post_code = nullptr;
  PciConfig* pci_config = nullptr;
  AcpiPm* acpi_pm = nullptr;
};

template <class D, class... Arguments>
D* add(Machine& machine, Arguments&&... arguments) {
  auto device = std::make_unique<D>(std::forward<Arguments>(arguments)...);
  D* raw = device.get();
  machine.add_device(std::move(device));
  return raw;
}

}  // namespace

struct Board::Parts {
  DiscardingSink discard;
  ApicBus apic_bus;
  IsaRouter router;
  std::optional<HostCpuid> host_cpuid;
  Machine machine;
  Devices devices;
  std::string image_kind;
  bool text_known = false;
  std::vector<boot::TextPatch> text_patches;
  KvmSettings kvm;
  // The engine in use, and the other one once it was used.
  EngineKind engine = EngineKind::software;
  CpuPins* pins = nullptr;
  std::unique_ptr<Engine> spare;
  CpuPins* spare_pins = nullptr;

  explicit Parts(std::unique_ptr<PhysicalMemory> memory) : machine(std::move(memory)) {}
  void build_devices(const BoardConfig& config);
  Status map_devices();
  Result<std::unique_ptr<Engine>> make_engine(EngineKind kind, CpuPins*& pins);
  Status use_engine(EngineKind kind);
  Result<CpuState> load_kernel(const BoardConfig& config);
};

// The order of construction fixes the order of timers and of sections in saved states.
void Board::Parts::build_devices(const BoardConfig& config) {
  Clock& clock = machine.clock();
  Devices& d = devices;
  d.lapic = add<LocalApic>(machine, clock, apic_bus, LocalApicConfig{.id = 0, .bootstrap = true});
  d.pic = add<Pic8259>(machine, d.lapic->lint0());
  d.ioapic = add<IoApic>(machine, apic_bus, IoApicConfig{.id = 0});
  d.lapic->attach_pic(*d.pic);
  router.connect(*d.pic, *d.ioapic);
  d.pit = add<Pit8254>(machine, clock, router.irq(kIrqPit));
  d.rtc = add<CmosRtc>(machine, clock, router.irq(kIrqRtc), CmosRtcConfig{.start_unix_seconds = config.rtc_start});
  CharacterSink& console = config.console ? *config.console : discard;
  d.com1 = add<Uart16550>(machine, "uart0", clock, router.irq(kIrqCom1), console);
  d.com2 = add<Uart16550>(machine, "uart1", clock, router.irq(kIrqCom2), discard);
  d.i8042 = add<I8042>(machine, machine);
  d.reset_control = add<ResetControl>(machine, machine);
  d.debug_exit = add<DebugExit>(machine, machine);
  d.post_code = add<PostCode>(machine);
  d.pci_config = add<PciConfig>(machine, *d.reset_control);
  d.acpi_pm = add<AcpiPm>(machine, clock, router.irq(kIrqSci), machine);
}

Status Board::Parts::map_devices() {
  struct Mapping {
    Bus& bus;
    u64 base;
    u64 length;
    BusTarget& target;
    const char* name;
  };
  Bus& ports = machine.ports();
  Bus& mmio = machine.mmio();
  const Devices& d = devices;
  const Mapping mappings[] = {
      {ports, kPicMasterPort, 2, d.pic->master_ports(), "pic master"},
      {ports, kPicSlavePort, 2, d.pic->slave_ports(), "pic slave"},
      {ports, kPicElcrPort, 2, d.pic->elcr_ports(), "pic elcr"},
      {ports, kPitPort, 4, d.pit->timer_ports(), "pit"},
      {ports, kSystemControlPort, 1, d.pit->system_port(), "system control"},
      {ports, kI8042DataPort, 1, d.i8042->data_port(), "i8042 data"},
      {ports, kI8042CommandPort, 1, d.i8042->command_port(), "i8042 command"},
      {ports, kRtcPort, 2, *d.rtc, "rtc"},
      {ports, kPostCodePort, 1, *d.post_code, "post code"},
      {ports, kDebugExitPort, 4, *d.debug_exit, "debug exit"},
      {ports, kCom1Port, 8, *d.com1, "uart0"},
      {ports, kCom2Port, 8, *d.com2, "uart1"},
      {ports, kPciConfigPort, 8, *d.pci_config, "pci configuration"},
      {ports, kAcpiPmPort, 12, *d.acpi_pm, "acpi pm"},
      {mmio, kIoApicAddress, kPageSize, *d.ioapic, "ioapic"},
      {mmio, kLocalApicAddress, kPageSize, *d.lapic, "lapic"},
  };
  for (const Mapping& m : mappings) {
    if (Status mapped = m.bus.map(m.base, m.length, m.target, m.name); !mapped) return mapped;
  }
  return success();
}

Result<std::unique_ptr<Engine>> Board::Parts::make_engine(EngineKind kind, CpuPins*& its_pins) {
  auto software = make_software_engine({.memory = machine.memory(),
                                        .clock = machine.clock(),
                                        .ports = machine.ports(),
                                        .mmio = machine.mmio(),
                                        .interrupts = *devices.lapic,
                                        .exit_requested = [this] { return machine.exit_requested(); },
                                        .patched_text = !text_patches.empty(),
                                        .host_cpuid = host_cpuid ? &*host_cpuid : nullptr});
  if (kind == EngineKind::software) {
    its_pins = software.get();
    return std::unique_ptr<Engine>(std::move(software));
  }
  RONDO_ASSERT(kvm.kicker);
  auto hardware = make_kvm_engine({.memory = machine.memory(),
                                   .clock = machine.clock(),
                                   .ports = machine.ports(),
                                   .mmio = machine.mmio(),
                                   .interrupts = *devices.lapic,
                                   .exit_requested = [this] { return machine.exit_requested(); },
                                   .software = std::move(software),
                                   .kicker = *kvm.kicker,
                                   .exact_windows = kvm.exact_windows,
                                   .patched_text = !text_patches.empty(),
                                   .supervisor_in_software = kvm.supervisor_in_software,
                                   .host_descriptors = kvm.user_descriptors_leak,
                                   .host_traps_time_stamps = kvm.host_traps_time_stamps});
  if (!hardware) return hardware.error();
  its_pins = hardware->get();
  return std::unique_ptr<Engine>(std::move(*hardware));
}

Status Board::Parts::use_engine(EngineKind kind) {
  if (kind == engine && pins) return success();
  if (!spare) {
    Result<std::unique_ptr<Engine>> made = make_engine(kind, spare_pins);
    if (!made) return made.error();
    spare = std::move(*made);
  }
  if (pins) {
    spare = machine.exchange_engine(std::move(spare));
  } else {
    machine.attach_engine(std::move(spare));
  }
  std::swap(pins, spare_pins);
  engine = kind;
  devices.lapic->attach_cpu(*pins);
  return success();
}

// Everything that is in memory at the start. Returns the state in which the vCPU starts.
Result<CpuState> Board::Parts::load_kernel(const BoardConfig& config) {
  PhysicalMemory& memory = machine.memory();
  boot::Placement placement(memory);
  const Status taken = placement.take("the ACPI tables", kFirmwareArea, kFirmwareAreaSize, boot::RegionType::reserved);
  if (!taken) return taken.error();
  for (const GuestBlob& blob : build_acpi_tables(AcpiTablesConfig{.cpus = 1})) {
    if (!memory.write(blob.address, blob.bytes)) return Error{"the ACPI tables do not fit into memory"};
  }
  const boot::BootRequest request{config.kernel.bytes, config.initrd.bytes, config.command_line,
                                  GuestPhys{kAcpiRsdpAddress}};
  const std::string who = "kernel '" + config.kernel.name + "': ";
  Result<boot::BootedImage> image = boot::load(request, memory, placement);
  if (!image) return Error{who + image.error().message};
  image_kind = image->kind;
  text_known = !image->text.empty();
  if (config.find_patches.any()) text_patches = boot::find_text_patches(memory, image->text, config.find_patches);
  if (Status applied = boot::apply_text_patches(text_patches, memory); !applied)
    return Error{who + applied.error().message};
  return image->cpu;
}

Result<Image> Image::read(const std::string& path, const std::string& role, u64 memory_bytes) {
  if (path.empty()) return Image{};
  Result<host::FileBytes> file = host::FileBytes::read(path, role, std::max(memory_bytes, kMinimumRam));
  if (!file) return file.error();
  const auto storage = std::make_shared<const host::FileBytes>(std::move(*file));
  return Image{path, storage->bytes(), storage};
}

Image Image::of(std::string name, std::vector<u8> bytes) {
  const auto storage = std::make_shared<const std::vector<u8>>(std::move(bytes));
  return Image{std::move(name), *storage, storage};
}

Board::Board(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Board::~Board() = default;

Result<std::unique_ptr<Board>> Board::create(const BoardConfig& config) {
  Result<std::unique_ptr<PhysicalMemory>> memory = PhysicalMemory::create(config.memory_bytes);
  if (!memory) return memory.error();
  auto parts = std::make_unique<Parts>(std::move(*memory));
  parts->build_devices(config);
  if (Status mapped = parts->map_devices(); !mapped) return mapped.error();
  parts->kvm = config.kvm;
  parts->text_patches = config.text_patches;
  parts->host_cpuid = config.host_cpuid;
  if (config.time_source) parts->machine.clock().use_samples(config.time_source);
  std::optional<CpuState> start;
  if (config.kernel.given()) {
    Result<CpuState> loaded = parts->load_kernel(config);
    if (!loaded) return loaded.error();
    start = *loaded;
  }
  if (Status attached = parts->use_engine(config.engine); !attached) return attached.error();
  if (start) {
    parts->machine.engine().set_state(*start);
    parts->machine.engine().memory_changed();
  }
  return std::unique_ptr<Board>(new Board(std::move(parts)));
}

Status Board::use_engine(EngineKind kind) { return parts_->use_engine(kind); }

Machine& Board::machine() { return parts_->machine; }
const Clock& Board::clock() const { return parts_->machine.clock(); }
const std::string& Board::image_kind() const { return parts_->image_kind; }
const std::vector<boot::TextPatch>& Board::text_patches() const { return parts_->text_patches; }
bool Board::text_known() const { return parts_->text_known; }
bool Board::console_listens() const {
  const Uart16550& uart = *parts_->devices.com1;
  return uart.wants_input() && uart.can_receive();
}

void Board::enter(const Input& input) {
  const Devices& d = parts_->devices;
  Uart16550& uart = input.port == 0 ? *d.com1 : *d.com2;
  switch (input.kind) {
    case InputKind::console:
      for (const u8 byte : input.bytes) uart.receive(byte);
      break;
    case InputKind::console_break:
      uart.receive_break();
      break;
    case InputKind::wake: {
      Clock& clock = parts_->machine.clock();
      clock.skip_to(std::min(input.time, clock.next_due().value_or(kNever)));
      break;
    }
    case InputKind::power_button:
      d.acpi_pm->press_power_button();
      break;
    case InputKind::reset_button:
      parts_->machine.request_reset();
      break;
  }
}

std::vector<u8> Board::save() {
  StateWriter writer;
  writer.section(kSavedSection, kSavedVersion);
  writer.write_u64(machine().memory().size());
  machine().save(writer);
  return writer.take();
}

Result<u64> Board::saved_memory_bytes(std::span<const u8> saved) {
  StateReader reader(saved);
  reader.section(kSavedSection, kSavedVersion);
  const u64 bytes = reader.read_u64();
  if (!reader.ok()) return Error{"not a saved machine"};
  return bytes;
}

Status Board::restore(std::span<const u8> saved) {
  StateReader reader(saved);
  reader.section(kSavedSection, kSavedVersion);
  reader.read_u64();
  return machine().load(reader);
}

}  // namespace rondo
