// Makes a failing scenario as small as it gets while it fails in the same way.
#pragma once

#include "tests/silicon/reference.h"
#include "tests/silicon/scenario.h"

namespace rondo::silicon {

struct Failure {
  Drive drive = Drive::step;
  Difference difference;
  Outcome silicon;
};

// Runs a scenario on both sides; no difference, or the first one. Uses the reference's batch.
Failure check(Reference& reference, EngineRunner& engine, const Scenario& scenario, bool profile_host);

// `scenario` fails with `failure`; both are replaced.
void minimise(Reference& reference, EngineRunner& engine, Scenario& scenario, Failure& failure, bool profile_host);

}  // namespace rondo::silicon
