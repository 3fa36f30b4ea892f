// The PC's keyboard controller (IBM PC/AT Technical Reference; Intel 8042).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::i8042 {

// Status register.
inline constexpr u8 kStatusOutputFull = 0x01;
inline constexpr u8 kStatusSystemFlag = 0x04;  // the self-test has passed
inline constexpr u8 kStatusCommand = 0x08;     // the last write was a command
inline constexpr u8 kStatusNotInhibited = 0x10;
inline constexpr u8 kStatusAuxiliary = 0x20;  // the output buffer holds a byte of the second port
inline constexpr u8 kStatusTimeout = 0x40;

// Commands.
inline constexpr u8 kReadMemory = 0x20;   // 0x20..0x3f: a byte of the controller's memory; 0x20 is the command byte
inline constexpr u8 kWriteMemory = 0x60;  // 0x60..0x7f
inline constexpr u8 kDisableSecond = 0xa7;
inline constexpr u8 kEnableSecond = 0xa8;
inline constexpr u8 kTestSecond = 0xa9;
inline constexpr u8 kSelfTest = 0xaa;
inline constexpr u8 kTestFirst = 0xab;
inline constexpr u8 kDisableFirst = 0xad;
inline constexpr u8 kEnableFirst = 0xae;
inline constexpr u8 kReadOutputPort = 0xd0;
inline constexpr u8 kWriteOutputPort = 0xd1;
inline constexpr u8 kWriteFirstOutput = 0xd2;
inline constexpr u8 kWriteSecondOutput = 0xd3;
inline constexpr u8 kWriteSecond = 0xd4;
inline constexpr u8 kPulse = 0xf0;  // 0xf0..0xff: pulse the output port bits that are 0

inline constexpr u8 kSelfTestPassed = 0x55;
inline constexpr u8 kPortTestPassed = 0x00;
inline constexpr u8 kNoDevice = 0xfe;  // "resend", with the timeout bit: nothing answers
inline constexpr unsigned kMemoryMask = 0x1f;

// Command byte.
inline constexpr u8 kCommandSystemFlag = 0x04;
inline constexpr u8 kCommandDisableFirst = 0x10;
inline constexpr u8 kCommandDisableSecond = 0x20;

// Output port.
inline constexpr u8 kOutputNoReset = 0x01;  // 0 resets the processor
inline constexpr u8 kOutputA20 = 0x02;

}  // namespace rondo::devices::i8042
