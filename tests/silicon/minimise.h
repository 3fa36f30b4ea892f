// Makes a failing scenario as small as it gets while it fails in the same way.
#pragma once

#include "tests/silicon/native_runner.h"
#include "tests/silicon/scenario.h"

namespace rondo::silicon {

struct Failure {
  Drive drive = Drive::step;
  Difference difference;
  Outcome silicon;
};

// Runs a scenario on both sides; no difference, or the first one. Uses the runner's batch.
Failure check(NativeRunner& native, EngineRunner& engine, const Scenario& scenario, bool profile_host);

// `scenario` fails with `failure`; both are replaced.
void minimise(NativeRunner& native, EngineRunner& engine, Scenario& scenario, Failure& failure, bool profile_host);

}  // namespace rondo::silicon
