// What a run on KVM needs of the host: its time, and a timer that interrupts a busy guest.
#pragma once

#include <functional>
#include <optional>

#include "core/kvm/engine.h"
#include "harness/host/clock.h"
#include "harness/host/kick.h"

namespace rondo {

// How often a guest that computes without exits is interrupted, unless told otherwise.
inline constexpr u64 kKickEveryNs = 1'000'000;

// How often the host's side is looked at, in synchronous events: kPollEvery for a machine that counts those.
inline constexpr u64 kPollEveryEvents = 64;

// Virtual time goes as fast as the host's, and idle skips come on top.
class HostTimeSource final : public TimeSource {
 public:
  VirtualNs at_event(VirtualNs now, bool joined) override;
  VirtualNs at_kick(VirtualNs now) override;
  bool is_late(VirtualNs now, VirtualNs due) const override;
  // The host's time until now is not the guest's: it idled, and was told what time it is.
  void leave_out() { last_ = host::monotonic_now(); }

 private:
  VirtualNs advance(VirtualNs now);
  host::HostNs last_ = host::monotonic_now();  // what the virtual time so far corresponds to
};

class HostKicker final : public Kicker {
 public:
  explicit HostKicker(u64 every_ns = kKickEveryNs) : every_ns_(every_ns) {}
  Status attach(volatile u8* flag) override;
  void arm(unsigned patience) override;
  void disarm() override;
  bool wants_out() override { return wants_out_ && wants_out_(); }
  // Kicker::wants_out(): false without it.
  void ask(std::function<bool()> wants_out) { wants_out_ = std::move(wants_out); }

 private:
  std::function<bool()> wants_out_;
  u64 every_ns_;
  volatile u8* flag_ = nullptr;
  std::optional<host::KickTimer> timer_;
};

}  // namespace rondo
