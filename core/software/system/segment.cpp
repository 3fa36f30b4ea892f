#include "core/software/system/segment.h"

#include "core/software/system/system_memory.h"

namespace rondo::software {

void throw_selector_fault(u8 vector, u16 selector) {
  throw Fault{.vector = vector, .has_error_code = true, .error_code = error_of(selector)};
}

std::optional<u64> descriptor_address(const Vcpu& cpu, u16 selector, unsigned bytes) {
  const u64 offset = selector & 0xfff8;
  u64 base = cpu.arch.gdtr.base, limit = cpu.arch.gdtr.limit;
  if (selector & 4) {
    if (!cpu.arch.ldtr.present) return std::nullopt;
    base = cpu.arch.ldtr.base;
    limit = cpu.arch.ldtr.limit;
  }
  if (offset + bytes - 1 > limit) return std::nullopt;
  const u64 linear = base + offset;
  return cpu.long_mode() ? linear : linear & 0xffffffff;
}

Descriptor read_descriptor(Vcpu& cpu, u16 selector, u8 vector) {
  const auto address = descriptor_address(cpu, selector);
  if (!address) throw_selector_fault(vector, selector);
  return {.low = read_system<u64>(cpu, *address)};
}

void complete_system_descriptor(Vcpu& cpu, u16 selector, Descriptor& descriptor, u8 vector) {
  if (!cpu.long_mode()) return;
  const auto address = descriptor_address(cpu, selector, 16);
  if (!address) throw_selector_fault(vector, selector);
  descriptor.high = read_system<u64>(cpu, *address + 8);
  // The upper half's type field must be zero, so that it cannot be taken for a descriptor (SDM 3A 3.5.2, 5.8.3.1).
  if (descriptor.high >> 40 & 0x1f) throw_selector_fault(vector, selector);
}

Descriptor read_system_descriptor(Vcpu& cpu, u16 selector, u8 vector) {
  Descriptor descriptor = read_descriptor(cpu, selector, vector);
  complete_system_descriptor(cpu, selector, descriptor, vector);
  return descriptor;
}

namespace {

void write_access_byte(Vcpu& cpu, u16 selector, u8 value) {
  if (const auto address = descriptor_address(cpu, selector)) write_system<u8>(cpu, *address + 5, value);
}

}  // namespace

void set_accessed(Vcpu& cpu, u16 selector, Descriptor& descriptor) {
  if (descriptor.type() & kAccessedBit) return;
  descriptor.low |= u64{kAccessedBit} << 40;
  write_access_byte(cpu, selector, static_cast<u8>(descriptor.low >> 40));
}

void set_busy(Vcpu& cpu, u16 selector, bool busy) {
  const auto address = descriptor_address(cpu, selector);
  if (!address) return;
  const u8 access = read_system<u8>(cpu, *address + 5);
  write_system<u8>(cpu, *address + 5, static_cast<u8>(busy ? access | kTssBusyBit : access & ~kTssBusyBit));
}

void set_segment(Vcpu& cpu, unsigned name, const Segment& segment) {
  cpu.arch.segment[name] = segment;
  cpu.slots[segment_slot(name) / 8] = segment.base;
}

Segment null_segment(u16 selector) {
  return {.selector = selector, .base = 0, .limit = 0, .type = 0, .s = true, .dpl = 0, .present = false};
}

Segment null_ldt(u16 selector) { return {.selector = selector, .limit = 0, .type = 2, .s = false, .present = false}; }

bool within_limit(const Segment& segment, u64 offset, unsigned size) {
  const u64 last = offset + size - 1;
  const bool expand_down = segment.s && (segment.type & 0xc) == 4;
  if (expand_down) return offset > segment.limit && last <= (segment.db ? 0xffffffffU : 0xffffU);
  return last >= offset && last <= segment.limit;
}

void check_target(const Vcpu& cpu, const Segment& cs, u64 rip) {
  const bool valid = cpu.long_mode() && cs.l ? is_canonical(rip) : rip <= cs.limit;
  if (!valid) throw fault_gp(0);
}

void load_segment_real(Vcpu& cpu, unsigned name, u16 selector) {
  Segment segment = cpu.arch.segment[name];
  segment.selector = selector;
  segment.base = u64{selector} << 4;
  if (cpu.v8086()) {
    segment = {.selector = selector, .base = segment.base, .dpl = 3};
  } else {
    segment.present = true;  // limit and attributes stay as protected mode left them
  }
  set_segment(cpu, name, segment);
}

Segment checked_stack_segment(Vcpu& cpu, u16 selector, unsigned cpl, u8 vector) {
  if (is_null(selector))
    throw Fault{.vector = vector, .has_error_code = true, .error_code = vector == kTS ? error_of(selector) : 0};
  Descriptor descriptor = read_descriptor(cpu, selector, vector);
  if (rpl_of(selector) != cpl || !descriptor.is_writable_data() || descriptor.dpl() != cpl)
    throw_selector_fault(vector, selector);
  if (!descriptor.present()) throw_selector_fault(kSS, selector);
  set_accessed(cpu, selector, descriptor);
  return descriptor.to_segment(selector);
}

namespace {

void load_stack_segment(Vcpu& cpu, u16 selector) {
  if (is_null(selector)) {
    // 64-bit mode needs no stack segment below CPL 3 (SDM 3A 5.4.1.1).
    if (!cpu.code64() || cpu.cpl == 3 || rpl_of(selector) != cpu.cpl) throw fault_gp(0);
    Segment segment = null_segment(selector);
    segment.dpl = cpu.cpl;
    set_segment(cpu, SS, segment);
    return;
  }
  set_segment(cpu, SS, checked_stack_segment(cpu, selector, cpu.cpl, kGP));
}

}  // namespace

void load_segment(Vcpu& cpu, unsigned name, u16 selector) {
  if (cpu.real_mode() || cpu.v8086()) return load_segment_real(cpu, name, selector);
  if (name == SS) return load_stack_segment(cpu, selector);
  if (is_null(selector)) return set_segment(cpu, name, null_segment(selector));
  Descriptor descriptor = read_descriptor(cpu, selector);
  if (!descriptor.is_readable()) throw_selector_fault(kGP, selector);
  if (!descriptor.is_conforming() && (rpl_of(selector) > descriptor.dpl() || cpu.cpl > descriptor.dpl())) {
    throw_selector_fault(kGP, selector);
  }
  if (!descriptor.present()) throw_selector_fault(kNP, selector);
  set_accessed(cpu, selector, descriptor);
  set_segment(cpu, name, descriptor.to_segment(selector));
}

void set_code_segment(Vcpu& cpu, Segment cs, u8 cpl) {
  cs.selector = with_rpl(cs.selector, cpl);
  set_segment(cpu, CS, cs);
  cpu.cpl = cpl;
}

void drop_privileged_segments(Vcpu& cpu, u8 cpl) {
  for (const unsigned name : {ES, DS, FS, GS}) {
    const Segment& segment = cpu.arch.segment[name];
    const bool conforming = (segment.type & 0xc) == 0xc;
    if (segment.present && !conforming && segment.dpl < cpl) set_segment(cpu, name, null_segment(0));
  }
}

}  // namespace rondo::software
