// A guest fault: a value that the engine delivers through the IDT (SDM 3A chapter 6). Hot paths return it; cold instruction bodies throw it,
// and one wrapper (core/software/ops/handler.h: cold) catches it.
#pragma once

#include "core/base/types.h"
#include "core/cpu/registers.h"

namespace rondo {

struct Fault {
  u8 vector = 0;
  bool has_error_code = false;
  u32 error_code = 0;
  u64 address = 0;      // #PF: goes to CR2
  u64 dr6 = 0;          // #DB: bits to set in DR6
};

inline Fault fault_ud() { return {.vector = kUD}; }
inline Fault fault_nm() { return {.vector = kNM}; }
inline Fault fault_de() { return {.vector = kDE}; }
inline Fault fault_gp(u32 error_code = 0) { return {.vector = kGP, .has_error_code = true, .error_code = error_code}; }
inline Fault fault_ss(u32 error_code = 0) { return {.vector = kSS, .has_error_code = true, .error_code = error_code}; }
inline Fault fault_np(u32 error_code) { return {.vector = kNP, .has_error_code = true, .error_code = error_code}; }
inline Fault fault_ts(u32 error_code) { return {.vector = kTS, .has_error_code = true, .error_code = error_code}; }
inline Fault fault_ac() { return {.vector = kAC, .has_error_code = true}; }
inline Fault fault_pf(u32 error_code, u64 address) {
  return {.vector = kPF, .has_error_code = true, .error_code = error_code, .address = address};
}

}  // namespace rondo
