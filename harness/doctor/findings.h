// From facts to what they mean for somebody who wants to record and replay here.
#pragma once

#include <string>
#include <vector>

#include "harness/doctor/host_profile.h"

namespace rondo::doctor {

enum class Grade : u8 { good, limited, bad, unknown };

struct Finding {
  std::string id;     // stable, for machines
  std::string topic;  // for people
  Grade grade = Grade::unknown;
  std::string detail;
};

// What was found, one line per probe.
std::vector<Finding> findings(const HostProfile& profile);
// What can be run, recorded, replayed and guaranteed here.
std::vector<Finding> conclusions(const HostProfile& profile);
// Everything that can be promised anywhere can be promised here.
bool nothing_withheld(const std::vector<Finding>& concluded);

std::string to_text(const HostProfile& profile);
std::string to_json(const HostProfile& profile);

}  // namespace rondo::doctor
