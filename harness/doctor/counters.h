// Hardware performance counters: is there one that counts the same every time?
#pragma once

#include "harness/doctor/host_profile.h"

namespace rondo::doctor {

// Retired instructions, and retired conditional branches (what rr counts), in user mode of this host. Exact: loops of
// known lengths count as they must, many times over, also across interrupts.
Counter probe_instruction_counter();
Counter probe_branch_counter();

}  // namespace rondo::doctor
