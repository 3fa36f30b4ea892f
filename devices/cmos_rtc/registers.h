// MC146818A real-time clock (Motorola data sheet) and the CMOS RAM of the PC/AT.
#pragma once

#include "core/base/types.h"

namespace rondo::devices::rtc {

enum Register : u8 {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kWeekday = 6,  // 1: Sunday
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
  kCentury = 0x32  // by the PC's convention; the FADT says so
};
inline constexpr unsigned kBytes = 128;
inline constexpr u8 kIndexMask = 0x7f;  // bit 7 of the index port masks NMI

// Register A: UIP, divider, rate.
inline constexpr u8 kUpdateInProgress = 0x80;
inline constexpr u8 kDividerMask = 0x70;
inline constexpr u8 kDividerRunning = 0x20;  // the 32.768 kHz crystal of a PC; other settings stop the clock
inline constexpr u8 kRateMask = 0x0f;

// Register B.
inline constexpr u8 kSet = 0x80;
inline constexpr u8 kPeriodicEnable = 0x40;
inline constexpr u8 kAlarmEnable = 0x20;
inline constexpr u8 kUpdateEnable = 0x10;
inline constexpr u8 kSquareWave = 0x08;
inline constexpr u8 kBinary = 0x04;
inline constexpr u8 k24Hours = 0x02;
inline constexpr u8 kInterruptEnables = kPeriodicEnable | kAlarmEnable | kUpdateEnable;

// Register C: the same bits as the enables in B, and their sum.
inline constexpr u8 kInterrupt = 0x80;

// Register D.
inline constexpr u8 kValid = 0x80;

inline constexpr u8 kPm = 0x80;  // in the hours, 12-hour mode
inline constexpr u8 kAlarmDontCare = 0xc0;
inline constexpr u64 kCrystalHz = 32'768;
inline constexpr u64 kUpdateWarningNs = 244'000;    // UIP is set at least this long before an update
inline constexpr u64 kFirstUpdateNs = 500'000'000;  // after the divider is released

}  // namespace rondo::devices::rtc
