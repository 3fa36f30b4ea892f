// The linear address space of a test case: the same in the native child process and in the engine's guest.
#pragma once

#include <array>

#include "core/base/types.h"

namespace rondo::silicon {

// Code of all cases of a batch, then a page that is not there.
inline constexpr u64 kCodeBase = 0x10000000;
inline constexpr u64 kCodeBytes = 64 * kPageSize;

// A case that runs to its end jumps here. Natively it captures the state; in the guest it is a HLT, which raises #GP at
// CPL 3.
inline constexpr u64 kExit = 0x10048000;

// Data pages. A hole is not mapped.
enum class PageKind : u8 { writable, read_only, hole };
inline constexpr u64 kDataBase = 0x10050000;
inline constexpr std::array kDataPages{PageKind::writable, PageKind::writable, PageKind::hole, PageKind::writable,
                                       PageKind::read_only};
inline constexpr u64 kDataBytes = kDataPages.size() * kPageSize;
inline constexpr u64 kReadOnlyPage = kDataBase + 4 * kPageSize;

// Segment bases. The selectors are Linux's for a 64-bit process.
inline constexpr u64 kFsBase = 0x0ff12340;
inline constexpr u64 kGsBase = 0x00003008;
inline constexpr u16 kCodeSelector = 0x33;
inline constexpr u16 kStackSelector = 0x2b;
// Of the guest only.
inline constexpr u16 kCode32Selector = 0x23;
inline constexpr u16 kReadOnlySelector = 0x3b;
inline constexpr u16 kSmallSelector = 0x43;  // writable data, one page from 0

inline constexpr bool in_data(u64 address) { return address - kDataBase < kDataBytes; }

}  // namespace rondo::silicon
