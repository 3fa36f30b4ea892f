// One case with all the memory it needs: what is minimised, written to a file and replayed.
#pragma once

#include <memory>
#include <string>

#include "tests/silicon/compare.h"
#include "tests/silicon/engine_runner.h"
#include "tests/silicon/reference.h"

namespace rondo::silicon {

struct Scenario {
  TestCase test;
  DataImage data{};
  CodeImage code{};
};

// Copies case `index` of a batch, with its code alone in the code image.
std::unique_ptr<Scenario> extract(const Batch& batch, u32 index);

// The names of the operations in the code, in order, for people and for grouping: "ADD", "SHL+ADC".
std::string operation_names(const TestCase& test, const CodeImage& code);

// Whether undefined results are compared: the host is of the kind that the model's profile was taken from
// (docs/undefined-flags.md).
bool profile_applies(const std::string& vendor, unsigned family);

// What may differ in this case. `left_out` counts undefined flag bits that are not compared.
Tolerance tolerance_of(const TestCase& test, const CodeImage& code, bool profile_host, u64& left_out);
// Likewise, of these two sides.
inline Tolerance tolerance_for(const Reference& reference, const EngineRunner& engine, const TestCase& test,
                               const CodeImage& code, bool profile_host, u64& left_out) {
  if (reference.exact() && !engine.on_kvm()) return {};
  Tolerance tolerance = tolerance_of(test, code, profile_host, left_out);
  tolerance.pointers = engine.on_kvm();
  return tolerance;
}
inline Tolerance tolerance_for(const Reference& reference, const EngineRunner& engine, const Scenario& scenario,
                               bool profile_host) {
  u64 left_out = 0;
  return tolerance_for(reference, engine, scenario.test, scenario.code, profile_host, left_out);
}

// Why the KVM engine may end this case otherwise than the processor: what some hosts' KVM is known for
// (docs/instruction-tests.md). Empty: nothing explains it.
std::string_view explained_by_kvm(const TestCase& test, const CodeImage& code, const Outcome& silicon);

}  // namespace rondo::silicon
