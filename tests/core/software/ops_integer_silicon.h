// Runs single integer instructions on the machine that runs the tests, for comparison with the pure functions of
// core/software/ops/*_math.h.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/cpu/lazy_flags.h"

#if defined(__x86_64__)
#include <cpuid.h>

namespace rondo::testing {

// What an instruction made of its operands: `value` is the destination, `second` another register it writes.
struct HostOutcome {
  u64 value = 0;
  u64 second = 0;
  u64 rflags = 0;
};

inline constexpr u64 kDefined = flags::kArithmetic;

// Flags that the SDM leaves undefined are compared on AMD only: docs/undefined-flags.md follows its processors.
inline bool host_is_amd() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  return b == 0x68747541;  // "Auth"
}
inline u64 compared_flags(u64 undefined) { return host_is_amd() ? kDefined : kDefined & ~undefined; }

// The stack below RSP may hold locals of a leaf function: step over the red zone before pushing.
#define RONDO_HOST_FLAGS(instruction) \
  "lea -128(%%rsp), %%rsp\n push %[f]\n popfq\n " instruction "\n pushfq\n pop %[f]\n lea 128(%%rsp), %%rsp\n"

// `instruction` uses %[a] (read and written), %[b] (read) and CL; registers are of the type of a.
#define RONDO_ON_HOST(instruction, type, a_value, b_value, cl_value, rflags_value)                      \
  [](type host_a, type host_b, u64 host_count, u64 host_flags) {                                        \
    asm volatile(RONDO_HOST_FLAGS(instruction)                                                          \
                 : [a] "+q"(host_a), [f] "+&r"(host_flags), "+c"(host_count)                            \
                 : [b] "q"(host_b)                                                                      \
                 : "cc", "memory");                                                                     \
    return ::rondo::testing::HostOutcome{static_cast<u64>(host_a), 0, host_flags & flags::kArithmetic}; \
  }(a_value, b_value, cl_value, rflags_value)

// Random operands that are often at an edge.
template <class T>
T edge_random(std::mt19937_64& random) {
  const u64 r = random();
  switch (random() % 8) {
    case 0:
      return static_cast<T>(r & 3);
    case 1:
      return static_cast<T>(~(r & 3));
    case 2:
      return static_cast<T>(u64{1} << (r & 63));
    case 3:
      return static_cast<T>((u64{1} << (8 * sizeof(T) - 1)) + (r & 3) - 1);
    case 4:
      return static_cast<T>(~u64{0} >> (r & 63));
    default:
      return static_cast<T>(r);
  }
}
inline u64 random_flags(std::mt19937_64& random) { return (random() & flags::kArithmetic) | flags::FIXED1; }

template <class T>
std::string describe(const char* name, T a, T b, u64 count, u64 rflags) {
  char text[160];
  std::snprintf(text, sizeof text, "%s%zu a=%llx b=%llx count=%llu flags=%llx", name, 8 * sizeof(T),
                static_cast<unsigned long long>(a), static_cast<unsigned long long>(b),
                static_cast<unsigned long long>(count), static_cast<unsigned long long>(rflags));
  return text;
}

// Calls check(a, b, rflags) on every pair of bytes, with and without carry; on random operands for wider types. POPF is
// slow under some hypervisors, so the numbers are modest.
template <class T, class Check>
void for_operands(Check check) {
  if constexpr (sizeof(T) == 1) {
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned b = 0; b < 256; ++b) {
        check(static_cast<T>(a), static_cast<T>(b), flags::FIXED1);
        check(static_cast<T>(a), static_cast<T>(b), flags::FIXED1 | flags::kArithmetic);
        if (::testing::Test::HasFailure()) return;
      }
    }
  } else {
    std::mt19937_64 random(sizeof(T));
    for (int i = 0; i < 10'000; ++i) {
      check(edge_random<T>(random), edge_random<T>(random), random_flags(random));
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// Calls check(a, fill, count, rflags) for every masked count that is not zero.
template <class T, class Check>
void for_counts(Check check) {
  std::mt19937_64 random(16 + sizeof(T));
  const unsigned limit = sizeof(T) == 8 ? 63 : 31;
  for (unsigned count = 1; count <= limit; ++count) {
    for (int i = 0; i < (sizeof(T) == 1 ? 512 : 300); ++i) {
      const T a = sizeof(T) == 1 ? static_cast<T>(i) : edge_random<T>(random);
      const u64 rflags = sizeof(T) == 1 ? flags::FIXED1 | (i < 256 ? 0 : flags::kArithmetic) : random_flags(random);
      check(a, edge_random<T>(random), count, rflags);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace rondo::testing
#endif
