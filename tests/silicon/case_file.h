// The data format of tests/silicon/cases: one failure that was found and repaired, with what the silicon did.
// docs/instruction-tests.md describes it. Writer and reader.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/silicon/scenario.h"

namespace rondo::silicon {

struct StoredCase {
  std::string title;  // one line
  std::string host;
  Scenario scenario;
  Outcome expected;
  Tolerance tolerance;
};

// Runs it in every drive of the engine; visit(Drive, Difference) for those that end otherwise than stored.
template <class Visitor>
void replay_case(EngineRunner& engine, const StoredCase& stored, Visitor visit) {
  engine.load(stored.scenario.data, stored.scenario.code);
  for (const Drive drive : engine.drives()) {
    Outcome outcome;
    engine.run(stored.scenario.test, drive, outcome);
    if (const Difference difference = compare(stored.expected, outcome, stored.tolerance)) visit(drive, difference);
  }
}

void write_case(std::ostream& out, const StoredCase& stored);
// All cases of a file.
Result<std::vector<std::unique_ptr<StoredCase>>> read_cases(const std::string& path);

}  // namespace rondo::silicon
