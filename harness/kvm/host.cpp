#include "harness/kvm/host.h"

#include <algorithm>

namespace rondo {

VirtualNs HostTimeSource::advance(VirtualNs now) {
  const host::HostNs host_now = host::monotonic_now();
  const u64 passed = host_now - std::exchange(last_, host_now);
  return now + passed;
}

// What is joined to another event happens at the same time, so that no timer gets in between.
VirtualNs HostTimeSource::at_event(VirtualNs now, bool joined) { return joined ? now : advance(now); }

VirtualNs HostTimeSource::at_kick(VirtualNs now) { return advance(now); }

bool HostTimeSource::is_late(VirtualNs now, VirtualNs due) const {
  return now + (host::monotonic_now() - last_) >= due;
}

// The timer belongs to the thread that runs the engine.
Status HostKicker::attach(volatile u8* flag) {
  if (timer_ && flag_ == flag) return success();
  timer_.reset();
  Result<host::KickTimer> timer = host::KickTimer::create(flag);
  if (!timer) return timer.error();
  timer_.emplace(std::move(*timer));
  flag_ = flag;
  return success();
}

void HostKicker::arm(unsigned patience) { timer_->arm(every_ns_ << patience); }

void HostKicker::disarm() { timer_->disarm(); }

}  // namespace rondo
