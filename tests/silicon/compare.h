// Where two outcomes of one case differ.
#pragma once

#include <string>

#include "tests/silicon/test_case.h"

namespace rondo::silicon {

struct Difference {
  std::string kind;    // "rax", "flags AF", "fault", "memory", ...: what groups failures of one cause
  std::string detail;  // expected and got
  explicit operator bool() const { return !kind.empty(); }
};

struct Tolerance {
  u64 ignored_flags = 0;     // of RFLAGS
  bool image = false;        // where several faults are possible any will do, with anything stored before it
  bool approximate = false;  // floating-point results may differ in the last places
  bool pointers = false;     // the x87's pointers to its last instruction may be lost
};

// `silicon` is what the processor did.
Difference compare(const Outcome& silicon, const Outcome& engine, const Tolerance& tolerance);

// AMD wants an offset from FS or GS to be canonical too, before the base is added; Intel looks at the linear address
// alone (SDM 1 3.3.7.1), and so does the model. True: that is what the two outcomes differ in.
bool offset_not_canonical(const Outcome& silicon, const Outcome& engine);

}  // namespace rondo::silicon
