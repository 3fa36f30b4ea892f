// Segment registers: descriptor fetches, the checks of SDM 3A 5.5-5.8, and the loads.
#pragma once

#include <optional>

#include "core/software/system/descriptor.h"
#include "core/software/vcpu.h"

namespace rondo::software {

// The linear address of a selector's descriptor; none if it lies outside of its table.
std::optional<u64> descriptor_address(const Vcpu& cpu, u16 selector, unsigned bytes = 8);
// Throws Fault{vector, selector} if the descriptor lies outside of its table. System descriptors of IA-32e mode have 16
// bytes.
Descriptor read_descriptor(Vcpu& cpu, u16 selector, u8 vector = kGP);
Descriptor read_system_descriptor(Vcpu& cpu, u16 selector, u8 vector = kGP);
// Reads the upper half of a descriptor that turned out to be a 16-byte one.
void complete_system_descriptor(Vcpu& cpu, u16 selector, Descriptor& descriptor, u8 vector = kGP);
void set_accessed(Vcpu& cpu, u16 selector, Descriptor& descriptor);
void set_busy(Vcpu& cpu, u16 selector, bool busy);
[[noreturn]] void throw_selector_fault(u8 vector, u16 selector);

// Writes a segment register with its hidden part, and the base that addresses are made of.
void set_segment(Vcpu& cpu, unsigned name, const Segment& segment);
// A data segment register that cannot be used (null selector).
Segment null_segment(u16 selector);
// LDTR, likewise: as before any LLDT, for a host's KVM does not tell whether there was one.
Segment null_ldt(u16 selector);

// What MOV, POP and LxS to a segment register do in the current mode (not CS). Throws. For SS the caller takes care of
// mode_changed().
void load_segment(Vcpu& cpu, unsigned name, u16 selector);
// Real and virtual-8086 mode (SDM 3B 20.1.1): base = selector * 16.
void load_segment_real(Vcpu& cpu, unsigned name, u16 selector);

// The checked contents for SS at privilege level `cpl`. Absent: #SS; everything else: `vector`. Sets the accessed bit.
Segment checked_stack_segment(Vcpu& cpu, u16 selector, unsigned cpl, u8 vector);

// Makes `cs` the code segment, running at `cpl`. mode_changed() is up to the caller.
void set_code_segment(Vcpu& cpu, Segment cs, u8 cpl);

// Whether [offset, offset + size) lies within the segment (SDM 3A 5.3).
bool within_limit(const Segment& segment, u64 offset, unsigned size);
// An instruction pointer that may be jumped to: canonical in 64-bit code, else within the limit. Throws #GP(0).
void check_target(const Vcpu& cpu, const Segment& cs, u64 rip);

// Data segments that the new, less privileged CPL may not use become null (SDM 3A 5.8.6).
void drop_privileged_segments(Vcpu& cpu, u8 cpl);

}  // namespace rondo::software
