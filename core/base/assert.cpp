#include "core/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace rondo {
namespace {
AssertContextPrinter g_printer = nullptr;
}

void set_assert_context_printer(AssertContextPrinter printer) { g_printer = printer; }

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "rondo: internal error: %s does not hold (%s:%d)\n", expression, file, line);
  if (g_printer) g_printer();
  std::abort();
}

}  // namespace rondo
