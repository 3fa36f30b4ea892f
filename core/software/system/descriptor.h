// Segment and gate descriptors as they lie in the descriptor tables (SDM 3A 3.4.5, 3.5, 5.8.3, 6.11).
#pragma once

#include "core/cpu/state.h"

namespace rondo::software {

// Types of system descriptors (S = 0), SDM 3A table 3-2.
enum class SystemType : u8 {
  tss16_available = 1,
  ldt = 2,
  tss16_busy = 3,
  call_gate16 = 4,
  task_gate = 5,
  interrupt_gate16 = 6,
  trap_gate16 = 7,
  tss32_available = 9,
  tss32_busy = 11,
  call_gate32 = 12,
  interrupt_gate32 = 14,
  trap_gate32 = 15
};
inline constexpr u8 kTssBusyBit = 2;
inline constexpr u8 kAccessedBit = 1;

struct Descriptor {
  u64 low = 0;
  u64 high = 0;  // second half of the 16-byte system descriptors of IA-32e mode

  u8 type() const { return low >> 40 & 15; }
  SystemType system_type() const { return static_cast<SystemType>(type()); }
  bool s() const { return low >> 44 & 1; }
  u8 dpl() const { return low >> 45 & 3; }
  bool present() const { return low >> 47 & 1; }
  bool avl() const { return low >> 52 & 1; }
  bool l() const { return low >> 53 & 1; }
  bool db() const { return low >> 54 & 1; }
  bool g() const { return low >> 55 & 1; }

  bool is_code() const { return s() && (type() & 8); }
  bool is_conforming() const { return is_code() && (type() & 4); }
  bool is_writable_data() const { return s() && !(type() & 8) && (type() & 2); }
  bool is_readable() const { return s() && (!(type() & 8) || (type() & 2)); }
  bool is_system(SystemType wanted) const { return !s() && system_type() == wanted; }
  bool is_tss_available() const {
    return is_system(SystemType::tss16_available) || is_system(SystemType::tss32_available);
  }
  bool is_tss_busy() const { return is_system(SystemType::tss16_busy) || is_system(SystemType::tss32_busy); }

  u64 base() const { return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32; }
  u32 limit() const {
    const u32 raw = static_cast<u32>((low & 0xffff) | (low >> 32 & 0xf0000));
    return g() ? raw << 12 | 0xfff : raw;
  }
  Segment to_segment(u16 selector) const {
    return {.selector = selector,
            .base = base(),
            .limit = limit(),
            .type = type(),
            .s = s(),
            .dpl = dpl(),
            .present = present(),
            .avl = avl(),
            .l = l(),
            .db = db(),
            .g = g()};
  }

  // Gates.
  u16 gate_selector() const { return static_cast<u16>(low >> 16); }
  u64 gate_offset() const { return (low & 0xffff) | (low >> 32 & 0xffff0000) | high << 32; }
  unsigned gate_ist() const { return low >> 32 & 7; }
  unsigned gate_parameters() const { return low >> 32 & 31; }
};

inline bool is_null(u16 selector) { return (selector & 0xfffc) == 0; }
inline u8 rpl_of(u16 selector) { return selector & 3; }
inline u16 with_rpl(u16 selector, unsigned rpl) { return static_cast<u16>((selector & 0xfffc) | rpl); }
// What error codes name: the selector without its RPL (SDM 3A 6.13).
inline u32 error_of(u16 selector) { return selector & 0xfffc; }

}  // namespace rondo::software
