#include "harness/cli/doctor_command.h"

#include <iostream>

#include "harness/cli/exit_status.h"
#include "harness/doctor/findings.h"

namespace rondo::cli {

int doctor_command(bool json) {
  const doctor::HostProfile profile = doctor::examine_host();
  std::cout << (json ? doctor::to_json(profile) : doctor::to_text(profile));
  std::cout.flush();
  if (!std::cout) return kOther;
  return doctor::nothing_withheld(doctor::conclusions(profile)) ? kEnded : kLimit;
}

}  // namespace rondo::cli
