// Instructions that a kernel or its programs execute and that some hosts' KVM does not emulate.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/base/types.h"

namespace rondo::doctor {

struct ProbedInstruction {
  const char* name;
  std::vector<u8> bytes;  // RSI: memory, RDI: a device, RBX = 1, RCX = 16
  bool user = true;       // makes sense at CPL 3
  u8 vector = 0xff;       // the exception that it is to raise; 0xff: none
  bool forward = false;   // RDI points to memory too
};

const std::vector<ProbedInstruction>& probed_instructions();

}  // namespace rondo::doctor
