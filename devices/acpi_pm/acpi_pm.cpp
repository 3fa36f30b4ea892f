#include "devices/acpi_pm/acpi_pm.h"

#include "devices/wiring/ticks.h"

namespace rondo::devices {

using namespace acpi;

namespace {

// TMR_STS is set whenever the highest bit of the timer changes (4.8.3.1.1): the number of changes so far.
u64 overflows(u64 ticks) { return ticks >> (kTimerBits - 1); }

}  // namespace

AcpiPm::AcpiPm(Clock& clock, InterruptLine& sci, MachineControl& machine)
    : clock_(clock), sci_(sci), machine_(machine) {
  overflow_timer_ = clock_.add_timer("acpi_pm timer overflow", [this] { update(); });
  reset();
}

void AcpiPm::reset() {
  events_ = enable_ = control_ = 0;
  timer_event_since_ = timer_ticks();
  update();
}

u64 AcpiPm::timer_ticks() const { return ticks_at(clock_.now().value, kTimerHz); }

u16 AcpiPm::status() const {
  const bool overflowed = overflows(timer_ticks()) > overflows(timer_event_since_);
  return events_ | (overflowed ? kTimerEvent : 0);
}

// The SCI is level-triggered: asserted while any enabled event is pending.
void AcpiPm::update() {
  sci_.set_level((status() & enable_) != 0);
  if ((enable_ & kTimerEvent) && !(status() & kTimerEvent)) {
    const u64 next = (overflows(timer_ticks()) + 1) << (kTimerBits - 1);
    clock_.arm(overflow_timer_, VirtualNs{time_of_tick(next, kTimerHz)});
  } else {
    clock_.disarm(overflow_timer_);
  }
}

void AcpiPm::press_power_button() {
  events_ |= kPowerButton;
  update();
}

void AcpiPm::clear_status(u16 bits) {
  events_ &= static_cast<u16>(~bits);
  if (bits & kTimerEvent) timer_event_since_ = timer_ticks();
  update();
}

void AcpiPm::write_control(u16 value) {
  control_ = value & kControlKept;
  if (!(value & kSleepEnable)) return;
  if (((value & kSleepType) >> kSleepTypeShift) == kSleepTypeS5) {
    machine_.request_power_off();
  } else {
    ++ignored_;
  }
}

u8 AcpiPm::read_byte(u64 offset) {
  const unsigned shift = 8 * (offset & 1);
  if (offset < kPm1Enable) return static_cast<u8>(status() >> shift);
  if (offset < kPm1Control) return static_cast<u8>(enable_ >> shift);
  if (offset < kPm1Control + 2) return static_cast<u8>((control_ | kSciEnable) >> shift);
  if (offset >= kPmTimer && offset < kPorts) return static_cast<u8>(timer_ticks() >> (8 * (offset - kPmTimer)));
  ++ignored_;
  return 0;
}

void AcpiPm::write_byte(u64 offset, u8 value) {
  const unsigned shift = 8 * (offset & 1);
  const u16 placed = static_cast<u16>(value << shift);
  const u16 others = static_cast<u16>(0xff00 >> shift);
  if (offset < kPm1Enable) {
    clear_status(placed & kStatusMask);
  } else if (offset < kPm1Control) {
    enable_ = static_cast<u16>((enable_ & others) | placed) & kEnableMask;
    update();
  } else if (offset < kPm1Control + 2) {
    write_control(static_cast<u16>((control_ & others) | placed));
  } else {
    ++ignored_;
  }
}

void AcpiPm::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_u16(events_);
  writer.write_u64(timer_event_since_);
  writer.write_u16(enable_);
  writer.write_u16(control_);
}

void AcpiPm::load(StateReader& reader) {
  reader.section(name(), 1);
  events_ = reader.read_u16();
  timer_event_since_ = reader.read_u64();
  enable_ = reader.read_u16();
  control_ = reader.read_u16();
}

}  // namespace rondo::devices
