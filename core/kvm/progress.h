// Whether a guest gets on: how much time the next kick leaves it, and when KVM is to be given up.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/result.h"
#include "core/base/types.h"
#include "core/kvm/ioctl.h"

namespace rondo::kvm {

class Progress {
 public:
  using Place = std::pair<u64, u64>;  // RIP and RCX

  void enter_at(Place place) { entered_at_ = place; }
  void get_on() { fruitless_ = 0; }
  void stand_at(Place place) {
    if (place != entered_at_) get_on();
  }
  // A guest that stands where it stood at the last kick gets more time.
  void kicked_at(Place place) {
    constexpr unsigned kMostPatience = 10;
    stand_at(place);
    entered_at_ = place;
    patience_ = place == last_kick_ ? std::min(patience_ + 1, kMostPatience) : 0;
    last_kick_ = place;
  }
  unsigned patience() const { return patience_; }  // see Kicker::arm
  // The guest stands where it stood. If that is all that ever happens, KVM does not work here.
  Status stay(const std::string& what) {
    constexpr unsigned kMost = 100'000;
    if (++fruitless_ < kMost) return success();
    return Error{"KVM " + what + " " + std::to_string(kMost) + " times in a row" + std::string(kAdvice)};
  }

 private:
  Place entered_at_{0, 0}, last_kick_{0, 0};
  unsigned patience_ = 0;
  unsigned fruitless_ = 0;  // KVM_RUNs since the guest is known to have got on
};

}  // namespace rondo::kvm
