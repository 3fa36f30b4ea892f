// Registers of the 16550A (National Semiconductor PC16550D data sheet, section 8).
#pragma once

#include "core/base/types.h"

namespace rondo::devices::uart {

enum Register : u64 {
  kData = 0,
  kInterruptEnable = 1,
  kInterruptId = 2,
  kFifoControl = 2,
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7
};

// Interrupt enable register (8.6.6).
inline constexpr u8 kIerReceived = 0x01;
inline constexpr u8 kIerTransmitEmpty = 0x02;
inline constexpr u8 kIerLineStatus = 0x04;
inline constexpr u8 kIerModemStatus = 0x08;
inline constexpr u8 kIerMask = 0x0f;

// Interrupt identification register (8.6.5), highest priority first.
inline constexpr u8 kIirLineStatus = 0x06;
inline constexpr u8 kIirReceived = 0x04;
inline constexpr u8 kIirTimeout = 0x0c;
inline constexpr u8 kIirTransmitEmpty = 0x02;
inline constexpr u8 kIirModemStatus = 0x00;
inline constexpr u8 kIirNone = 0x01;
inline constexpr u8 kIirFifosEnabled = 0xc0;

// FIFO control register (8.6.4).
inline constexpr u8 kFcrEnable = 0x01;
inline constexpr u8 kFcrClearReceive = 0x02;
inline constexpr u8 kFcrKept = 0xc9;  // enable, DMA mode, trigger: the bits that are not commands

// Line control register (8.6.1).
inline constexpr u8 kLcrWordLength = 0x03;
inline constexpr u8 kLcrTwoStopBits = 0x04;
inline constexpr u8 kLcrParity = 0x08;
inline constexpr u8 kLcrDivisorLatch = 0x80;

// Modem control register (8.6.7).
inline constexpr u8 kMcrDtr = 0x01;
inline constexpr u8 kMcrRts = 0x02;
inline constexpr u8 kMcrOut1 = 0x04;
inline constexpr u8 kMcrOut2 = 0x08;
inline constexpr u8 kMcrLoop = 0x10;
inline constexpr u8 kMcrMask = 0x1f;

// Line status register (8.6.3).
inline constexpr u8 kLsrDataReady = 0x01;
inline constexpr u8 kLsrOverrun = 0x02;
inline constexpr u8 kLsrBreak = 0x10;
inline constexpr u8 kLsrTransmitHoldingEmpty = 0x20;
inline constexpr u8 kLsrTransmitterEmpty = 0x40;
inline constexpr u8 kLsrFifoError = 0x80;

// Modem status register (8.6.8): four changes, four levels.
inline constexpr u8 kMsrDeltaCts = 0x01;
inline constexpr u8 kMsrDeltaDsr = 0x02;
inline constexpr u8 kMsrTrailingRing = 0x04;
inline constexpr u8 kMsrDeltaDcd = 0x08;
inline constexpr u8 kMsrCts = 0x10;
inline constexpr u8 kMsrDsr = 0x20;
inline constexpr u8 kMsrRing = 0x40;
inline constexpr u8 kMsrDcd = 0x80;

inline constexpr unsigned kFifoDepth = 16;
inline constexpr u64 kClockHz = 1'843'200;  // the PC's crystal; the baud clock is this over the divisor, 16 per bit

}  // namespace rondo::devices::uart
