// Registers of the local APIC (SDM 3A chapter 11). A register's number is its xAPIC offset / 16 and its x2APIC MSR -
// 0x800.
#pragma once

#include "core/base/types.h"

namespace rondo::devices::lapic {

enum Register : u32 {
  kId = 0x02,
  kVersion = 0x03,
  kTpr = 0x08,
  kApr = 0x09,  // xAPIC only
  kPpr = 0x0a,
  kEoi = 0x0b,
  kRrd = 0x0c,  // xAPIC only
  kLdr = 0x0d,
  kDfr = 0x0e,  // xAPIC only
  kSvr = 0x0f,
  kIsr = 0x10,  // 8 registers each
  kTmr = 0x18,
  kIrr = 0x20,
  kEsr = 0x28,
  kIcrLow = 0x30,
  kIcrHigh = 0x31,  // xAPIC only
  kLvtTimer = 0x32,
  kLvtThermal = 0x33,
  kLvtPerformance = 0x34,
  kLvtLint0 = 0x35,
  kLvtLint1 = 0x36,
  kLvtError = 0x37,
  kInitialCount = 0x38,
  kCurrentCount = 0x39,
  kDivide = 0x3e,
  kSelfIpi = 0x3f  // x2APIC only
};
inline constexpr u32 kRegisters = 0x40;
inline constexpr unsigned kLvtEntries = 6;
inline constexpr u32 kVersionValue =
    0x14 | ((kLvtEntries - 1) << 16);  // integrated APIC, no EOI-broadcast suppression (11.4.8)

// MSRs.
inline constexpr u32 kMsrApicBase = 0x1b;
inline constexpr u32 kMsrTscDeadline = 0x6e0;
inline constexpr u32 kMsrX2Apic = 0x800;
inline constexpr u32 kMsrX2ApicCount = 0x100;

// IA32_APIC_BASE (11.4.4, 11.12.1).
inline constexpr u64 kBaseBootstrap = u64{1} << 8;
inline constexpr u64 kBaseX2Apic = u64{1} << 10;
inline constexpr u64 kBaseEnable = u64{1} << 11;
inline constexpr u64 kBaseFlags = kBaseBootstrap | kBaseX2Apic | kBaseEnable;

// Spurious-interrupt vector register (11.9).
inline constexpr u32 kSvrEnable = 1u << 8;
inline constexpr u32 kSvrWritable = 0x3ff;  // vector, enable, focus check

// Local vector table (11.5.1).
inline constexpr u32 kLvtVector = 0xff;
inline constexpr unsigned kLvtModeShift = 8;
inline constexpr u32 kLvtMode = 7u << kLvtModeShift;
inline constexpr u32 kLvtDeliveryStatus = 1u << 12;  // delivery is immediate: reads 0
inline constexpr u32 kLvtRemoteIrr = 1u << 14;
inline constexpr u32 kLvtLevel = 1u << 15;
inline constexpr u32 kLvtMasked = 1u << 16;
inline constexpr unsigned kLvtTimerModeShift = 17;
// What software can change, by entry: timer, thermal, performance, LINT0, LINT1, error.
inline constexpr u32 kLvtWritable[kLvtEntries] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

// Error status register (11.5.3).
inline constexpr u32 kErrorSendIllegalVector = 1u << 5;
inline constexpr u32 kErrorReceivedIllegalVector = 1u << 6;
inline constexpr u32 kErrorIllegalRegister = 1u << 7;

// Interrupt command register (11.6.1).
inline constexpr u32 kIcrWritable = 0xccfff;
inline constexpr u32 kIcrLogical = 1u << 11;
inline constexpr u32 kIcrAssert = 1u << 14;
inline constexpr u32 kIcrLevel = 1u << 15;
inline constexpr unsigned kIcrShorthandShift = 18;
enum class Shorthand : u8 { none = 0, self = 1, all = 2, all_but_self = 3 };

inline constexpr u8 kFirstLegalVector = 16;
inline constexpr u32 kDivideWritable = 0xb;

}  // namespace rondo::devices::lapic
