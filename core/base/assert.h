// Assertions that stay on in release builds: a broken invariant of ours ends the program with its context.
#pragma once

namespace rondo {

// Called (if set) before the program ends, to print RIP, instruction count and the last events of the running machine.
using AssertContextPrinter = void (*)();
void set_assert_context_printer(AssertContextPrinter printer);

[[noreturn, gnu::cold]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace rondo

#define RONDO_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::rondo::assertion_failed(#expression, __FILE__, __LINE__))
