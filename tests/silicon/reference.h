// What the engine is compared with.
#pragma once

#include <memory>
#include <string>

#include "tests/silicon/test_case.h"

namespace rondo::silicon {

class Reference {
 public:
  virtual ~Reference() = default;
  // Fill data, code, cases and case_count, then run(), which fills outcomes. A case that could not be run has
  // Outcome::ran at 0.
  virtual Batch& batch() = 0;
  virtual void run() = 0;
  virtual u64 lost_cases() const { return 0; }
  // The same engine: nothing may differ.
  virtual bool exact() const { return false; }
  virtual std::string describe() const = 0;
};

// The engine's own stepped drive: any host, and instrumented builds, whose shadow memory stray pointers of native cases
// would hit.
std::unique_ptr<Reference> make_stepped_reference();

}  // namespace rondo::silicon
