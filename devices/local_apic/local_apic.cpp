// Interrupts: what is pending, what the processor sees, messages in and out, pins, reset and saved state.
#include "devices/local_apic/local_apic.h"

#include "devices/wiring/platform_map.h"

namespace rondo::devices {

using namespace lapic;

LocalApic::LocalApic(Clock& clock, ApicBus& bus, LocalApicConfig config)
    : name_("lapic" + std::to_string(config.id)),
      bus_(bus),
      config_(config),
      timer_(clock, name_ + " timer", [this] { deliver_local(lvt(kLvtTimer)); }) {
  bus_.attach(*this);
  reset();
}

void LocalApic::reset() {
  apic_base_ = kLocalApicAddress | kBaseEnable | (config_.bootstrap ? kBaseBootstrap : 0);
  reset_registers();
  timer_.set_tsc_offset(0);
  if (config_.bootstrap && config_.virtual_wire) {
    svr_ = kSvrEnable | 0x0f;
    lvt(kLvtLint0) = static_cast<u32>(DeliveryMode::ext_int) << kLvtModeShift;
    lvt(kLvtLint1) = static_cast<u32>(DeliveryMode::nmi) << kLvtModeShift;
  }
  update();
}

// Table 11-1 and 11.4.7.1. The pins belong to others and keep their levels.
void LocalApic::reset_registers() {
  timer_.reset();
  tpr_ = 0;
  ldr_ = 0;
  dfr_ = 0xffffffff;
  svr_ = 0xff;
  esr_ = errors_ = 0;
  icr_ = 0;
  lvt_.fill(kLvtMasked);
  irr_.clear();
  isr_.clear();
  tmr_.clear();
}

// 11.8.3.1: the higher of the task priority and the class in service.
u8 LocalApic::processor_priority() const {
  const u8 serving = isr_.highest().value_or(0) & 0xf0;
  return (tpr_ & 0xf0) >= serving ? tpr_ : serving;
}

bool LocalApic::ext_int_pending() const {
  if (!lint_[0]) return false;
  if (!enabled()) return true;
  return !(lvt(kLvtLint0) & kLvtMasked) && mode_of(lvt(kLvtLint0)) == DeliveryMode::ext_int;
}

bool LocalApic::vector_pending() const {
  if (!enabled()) return false;
  const std::optional<u8> highest = irr_.highest();
  return highest && (*highest >> 4) > (processor_priority() >> 4);
}

void LocalApic::update() {
  const bool now = ext_int_pending() || vector_pending();
  if (now == intr_) return;
  intr_ = now;
  if (pins_ != nullptr) pins_->interrupt_state_changed();
}

// An ExtINT goes before the APIC's own vectors: it is not subject to priorities (11.8.1).
u8 LocalApic::acknowledge() {
  if (ext_int_pending() && pic_ != nullptr) {
    const u8 vector = pic_->acknowledge();
    update();
    return vector;
  }
  if (!vector_pending()) return static_cast<u8>(svr_);  // spurious (11.9)
  const u8 vector = *irr_.highest();
  irr_.set(vector, false);
  isr_.set(vector);
  update();
  return vector;
}

void LocalApic::write_cr8(u8 value) {
  tpr_ = static_cast<u8>(value << 4);
  update();
}

void LocalApic::accept(u8 vector, bool level) {
  if (vector < kFirstLegalVector) {
    error(kErrorReceivedIllegalVector);
    return;
  }
  irr_.set(vector);
  tmr_.set(vector, level);
  update();
}

void LocalApic::raise_nmi() {
  if (pins_ != nullptr) pins_->raise_nmi();
}

void LocalApic::error(u32 bit) {
  if (errors_ & bit) return;
  errors_ |= bit;
  const u32 entry = lvt(kLvtError);
  if (entry & kLvtMasked) return;
  const u8 vector = static_cast<u8>(entry);
  // An illegal vector in the error entry itself must not raise errors without end.
  if (vector < kFirstLegalVector) {
    errors_ |= kErrorReceivedIllegalVector;
  } else {
    accept(vector, false);
  }
}

// An event of the LVT: the timer, an edge on a pin.
void LocalApic::deliver_local(u32 entry) {
  if (entry & kLvtMasked) return;
  switch (mode_of(entry)) {
    case DeliveryMode::fixed:
      accept(static_cast<u8>(entry), false);
      break;
    case DeliveryMode::nmi:
      raise_nmi();
      break;
    case DeliveryMode::ext_int:
      update();
      break;
    default:
      ++ignored_;
      break;
  }
}

// A level-triggered LINT0 asks once and then waits for the EOI (11.5.1, remote IRR).
void LocalApic::check_lint0_level() {
  u32& entry = lvt(kLvtLint0);
  if (!lint_[0] || !(entry & kLvtLevel) || (entry & (kLvtMasked | kLvtRemoteIrr))) return;
  if (mode_of(entry) != DeliveryMode::fixed) return;
  entry |= kLvtRemoteIrr;
  accept(static_cast<u8>(entry), true);
}

void LocalApic::set_input(unsigned input, bool high) {
  if (input >= input_count()) return;
  const bool rising = high && !lint_[input];
  lint_[input] = high;
  if (!enabled()) {
    if (input == 1 && rising) raise_nmi();
  } else {
    const u32 entry = lvt(kLvtLint0 + input);
    // Only LINT0 can be level-triggered, and only in fixed mode (11.5.1).
    const bool level = input == 0 && (entry & kLvtLevel) && mode_of(entry) == DeliveryMode::fixed;
    if (level) {
      check_lint0_level();
    } else if (rising) {
      deliver_local(entry);
    }
  }
  update();
}

void LocalApic::end_of_interrupt() {
  const std::optional<u8> vector = isr_.highest();
  if (!vector) return;
  isr_.set(*vector, false);
  update();
  if (!tmr_.test(*vector)) return;
  u32& entry = lvt(kLvtLint0);
  if ((entry & kLvtRemoteIrr) && static_cast<u8>(entry) == *vector) {
    entry &= ~kLvtRemoteIrr;
    check_lint0_level();
  }
  bus_.end_of_interrupt(*vector);
}

// 11.6.2. A destination of all ones means everybody; an I/O APIC has eight bits of it, also towards an x2APIC.
bool LocalApic::is_destination(u32 destination, bool logical) const {
  if (!enabled()) return false;
  if (!logical) return destination == config_.id || destination == 0xff || (x2apic() && destination == 0xffffffff);
  if (x2apic()) {
    if (destination == 0xffffffff) return true;
    return (destination >> 16) == (ldr_ >> 16) && (destination & ldr_ & 0xffff) != 0;
  }
  const u8 mine = static_cast<u8>(ldr_ >> 24);
  const u8 wanted = static_cast<u8>(destination);
  if ((dfr_ >> 28) == 0xf) return (mine & wanted) != 0;  // flat model
  const bool my_cluster = (wanted >> 4) == 0xf || (wanted >> 4) == (mine >> 4);
  return my_cluster && (mine & wanted & 0xf) != 0;
}

void LocalApic::receive(const ApicMessage& message) {
  if (!enabled()) return;
  switch (message.mode) {
    case DeliveryMode::fixed:
    case DeliveryMode::lowest_priority:
      if (software_enabled()) accept(message.vector, message.level);
      break;
    case DeliveryMode::nmi:
      raise_nmi();
      break;
    default:
      ++ignored_;
      break;
  }
}

void LocalApic::send_ipi(u32 low, u32 destination) {
  const DeliveryMode mode = static_cast<DeliveryMode>((low >> kLvtModeShift) & 7);
  // A level de-assert is for INIT on ancient processors and does nothing here (11.6.1).
  if ((low & kIcrLevel) && !(low & kIcrAssert)) return;
  ApicMessage message{.vector = static_cast<u8>(low),
                      .mode = mode,
                      .logical = (low & kIcrLogical) != 0,
                      .level = false,  // IPIs are edge-triggered
                      .destination = destination};
  if ((mode == DeliveryMode::fixed || mode == DeliveryMode::lowest_priority) && message.vector < kFirstLegalVector) {
    error(kErrorSendIllegalVector);
    return;
  }
  switch (static_cast<Shorthand>((low >> kIcrShorthandShift) & 3)) {
    case Shorthand::none:
      bus_.send(message);
      break;
    case Shorthand::self:
      receive(message);
      break;
    case Shorthand::all:
      bus_.broadcast(message, nullptr);
      break;
    case Shorthand::all_but_self:
      bus_.broadcast(message, this);
      break;
  }
}

void LocalApic::save(StateWriter& writer) const {
  writer.section(name_, 1);
  timer_.save(writer);
  writer.write_u64(apic_base_);
  for (const bool level : lint_) writer.write_bool(level);
  writer.write_u8(tpr_);
  for (const u32 value : {ldr_, dfr_, svr_, esr_, errors_}) writer.write_u32(value);
  writer.write_u64(icr_);
  for (const u32 entry : lvt_) writer.write_u32(entry);
  for (const VectorSet* set : {&irr_, &isr_, &tmr_}) set->save(writer);
}

void LocalApic::load(StateReader& reader) {
  reader.section(name_, 1);
  timer_.load(reader);
  apic_base_ = reader.read_u64();
  for (bool& level : lint_) level = reader.read_bool();
  tpr_ = reader.read_u8();
  for (u32* field : {&ldr_, &dfr_, &svr_, &esr_, &errors_}) *field = reader.read_u32();
  icr_ = reader.read_u64();
  for (u32& entry : lvt_) entry = reader.read_u32();
  for (VectorSet* set : {&irr_, &isr_, &tmr_}) set->load(reader);
  intr_ = ext_int_pending() || vector_pending();
  if (pins_ != nullptr) pins_->interrupt_state_changed();
}

}  // namespace rondo::devices
