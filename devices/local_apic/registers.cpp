// The local APIC's registers, by memory (xAPIC) and by MSR (x2APIC).
#include "devices/local_apic/registers.h"

#include "devices/local_apic/local_apic.h"
#include "devices/wiring/platform_map.h"

namespace rondo::devices {

using namespace lapic;

namespace {

bool is_lvt(u32 reg) { return reg >= kLvtTimer && reg <= kLvtError; }

// Registers that only the xAPIC has (table 11-6).
bool is_xapic_only(u32 reg) { return reg == kApr || reg == kRrd || reg == kDfr || reg == kIcrHigh; }

bool is_readable(u32 reg) {
  if (reg >= kIsr && reg <= kEsr) return true;
  if (reg >= kIcrLow && reg <= kCurrentCount) return true;
  switch (reg) {
    case kId:
    case kVersion:
    case kTpr:
    case kApr:
    case kPpr:
    case kRrd:
    case kLdr:
    case kDfr:
    case kSvr:
    case kDivide:
      return true;
    default:
      return false;
  }
}

// Read-only registers: writing them is ignored by the xAPIC and #GP(0) with the x2APIC.
bool is_read_only(u32 reg) {
  switch (reg) {
    case kId:
    case kVersion:
    case kApr:
    case kPpr:
    case kRrd:
    case kCurrentCount:
      return true;
    default:
      return reg >= kIsr && reg < kEsr;
  }
}

bool is_writable(u32 reg) { return reg == kEoi || (is_readable(reg) && !is_read_only(reg)); }

}  // namespace

u32 LocalApic::read_register(u32 reg) const {
  if (reg >= kIsr && reg < kTmr) return isr_.part(reg - kIsr);
  if (reg >= kTmr && reg < kIrr) return tmr_.part(reg - kTmr);
  if (reg >= kIrr && reg < kEsr) return irr_.part(reg - kIrr);
  if (is_lvt(reg)) return lvt(reg);
  switch (reg) {
    case kId:
      return x2apic() ? config_.id : config_.id << 24;
    case kVersion:
      return kVersionValue;
    case kTpr:
      return tpr_;
    case kPpr:
      return processor_priority();
    case kLdr:
      return ldr_;
    case kDfr:
      return dfr_;
    case kSvr:
      return svr_;
    case kEsr:
      return esr_;
    case kIcrLow:
      return static_cast<u32>(icr_);
    case kIcrHigh:
      return static_cast<u32>(icr_ >> 32);
    case kInitialCount:
      return timer_.initial_count();
    case kCurrentCount:
      return timer_.current_count();
    case kDivide:
      return timer_.divide();
    default:
      return 0;  // APR and RRD: not in these processors
  }
}

void LocalApic::write_register(u32 reg, u32 value) {
  if (is_lvt(reg)) return write_lvt(reg, value);
  switch (reg) {
    case kTpr:
      tpr_ = static_cast<u8>(value);
      update();
      break;
    case kEoi:
      end_of_interrupt();
      break;
    case kLdr:
      ldr_ = value & 0xff000000;
      break;
    case kDfr:
      dfr_ = value | 0x0fffffff;
      break;
    case kSvr:
      write_svr(value);
      break;
    case kEsr:
      esr_ = errors_;
      errors_ = 0;
      break;
    case kIcrLow:
      icr_ = (icr_ & ~u64{0xffffffff}) | (value & kIcrWritable);
      send_ipi(static_cast<u32>(icr_), static_cast<u32>(icr_ >> 56));
      break;
    case kIcrHigh:
      icr_ = (icr_ & 0xffffffff) | static_cast<u64>(value & 0xff000000) << 32;
      break;
    case kInitialCount:
      timer_.write_initial_count(value);
      break;
    case kDivide:
      timer_.write_divide(static_cast<u8>(value));
      break;
    default:
      ++ignored_;
      break;
  }
}

void LocalApic::write_svr(u32 value) {
  svr_ = value & kSvrWritable;
  if (!software_enabled()) {
    // 11.4.7.2: all LVT entries are masked and stay so.
    for (u32 reg = kLvtTimer; reg <= kLvtError; ++reg) write_lvt(reg, lvt(reg));
  }
  update();
}

void LocalApic::write_lvt(u32 reg, u32 value) {
  u32& entry = lvt(reg);
  const u32 writable = kLvtWritable[reg - kLvtTimer];
  entry = (value & writable) | (entry & kLvtRemoteIrr);
  if (!software_enabled()) entry |= kLvtMasked;
  if (reg == kLvtTimer) {
    timer_.configure(static_cast<ApicTimer::Mode>((entry >> kLvtTimerModeShift) & 3), entry & kLvtMasked);
  }
  if (reg == kLvtLint0) {
    if (!(entry & kLvtLevel) || mode_of(entry) != DeliveryMode::fixed) entry &= ~kLvtRemoteIrr;
    check_lint0_level();
    update();
  }
}

u64 LocalApic::bus_read(u64 offset, unsigned size) {
  // With the xAPIC disabled the addresses lead nowhere.
  if (!enabled() || x2apic() || size != 4 || offset % 16 != 0) {
    ++ignored_;
    return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
  }
  const u32 reg = static_cast<u32>(offset / 16);
  if (!is_readable(reg)) {
    ++ignored_;
    if (reg != kEoi) error(kErrorIllegalRegister);
    return 0;
  }
  return read_register(reg);
}

void LocalApic::bus_write(u64 offset, unsigned size, u64 value) {
  if (!enabled() || x2apic() || size != 4 || offset % 16 != 0) {
    ++ignored_;
    return;
  }
  const u32 reg = static_cast<u32>(offset / 16);
  if (is_writable(reg)) {
    write_register(reg, static_cast<u32>(value));
    return;
  }
  ++ignored_;
  if (!is_read_only(reg)) error(kErrorIllegalRegister);
}

bool LocalApic::owns_msr(u32 index) const {
  return index == kMsrApicBase || index == kMsrTscDeadline || index - kMsrX2Apic < kMsrX2ApicCount;
}

bool LocalApic::read_msr(u32 index, u64& value) {
  if (index == kMsrApicBase) {
    value = apic_base_;
    return true;
  }
  if (index == kMsrTscDeadline) {
    value = timer_.deadline();
    return true;
  }
  return read_x2apic(index - kMsrX2Apic, value);
}

bool LocalApic::write_msr(u32 index, u64 value) {
  if (index == kMsrApicBase) return write_apic_base(value);
  if (index == kMsrTscDeadline) {
    timer_.write_deadline(value);
    return true;
  }
  return write_x2apic(index - kMsrX2Apic, value);
}

// 11.12.5: the legal transitions are off -> xAPIC -> x2APIC and from both back to off.
bool LocalApic::write_apic_base(u64 value) {
  if ((value & ~kBaseFlags) != kLocalApicAddress) return false;
  const bool on = value & kBaseEnable;
  const bool extended = value & kBaseX2Apic;
  if (extended && !on) return false;
  if (on && !extended && x2apic()) return false;
  if (extended && !enabled()) return false;
  const bool enters_x2apic = extended && !x2apic();
  const bool turned_off = enabled() && !on;
  apic_base_ = (value & ~kBaseBootstrap) | (apic_base_ & kBaseBootstrap);
  if (turned_off) reset_registers();
  if (enters_x2apic) {
    ldr_ = (config_.id & 0xfffffff0) << 12 | 1u << (config_.id & 0xf);  // 11.12.10.2
    icr_ &= 0xffffffff;
  }
  update();
  return true;
}

bool LocalApic::read_x2apic(u32 reg, u64& value) {
  if (!x2apic() || !is_readable(reg) || is_xapic_only(reg)) return false;
  value = reg == kIcrLow ? icr_ : read_register(reg);
  return true;
}

// Reserved bits are #GP(0) here (11.12.1.3).
bool LocalApic::write_x2apic(u32 reg, u64 value) {
  if (!x2apic() || is_xapic_only(reg)) return false;
  if (reg == kIcrLow) {
    if (value & 0xffffffff & ~u64{kIcrWritable}) return false;
    icr_ = value;
    send_ipi(static_cast<u32>(value), static_cast<u32>(value >> 32));
    return true;
  }
  if (reg == kSelfIpi) {
    if (value > 0xff) return false;
    send_ipi(static_cast<u32>(value) | static_cast<u32>(Shorthand::self) << kIcrShorthandShift, 0);
    return true;
  }
  if (!is_writable(reg) || reg == kLdr) return false;
  u64 allowed = 0xffffffff;
  if (is_lvt(reg)) allowed = kLvtWritable[reg - kLvtTimer] | kLvtDeliveryStatus | kLvtRemoteIrr;
  if (reg == kTpr) allowed = 0xff;
  if (reg == kSvr) allowed = kSvrWritable;
  if (reg == kDivide) allowed = kDivideWritable;
  if (reg == kEoi || reg == kEsr) allowed = 0;
  if (value & ~allowed) return false;
  write_register(reg, static_cast<u32>(value));
  return true;
}

}  // namespace rondo::devices
