// A timer that gets a thread out of KVM_RUN.
#pragma once

#include <ctime>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::host {

// Belongs to the thread that creates it. When it fires, it sets a byte to 1 (kvm_run::immediate_exit) and interrupts
// that thread's system call, so that neither a running nor a beginning KVM_RUN misses it. The byte stays set until its
// owner clears it.
class KickTimer {
 public:
  static Result<KickTimer> create(volatile u8* flag);
  KickTimer(KickTimer&& other) noexcept;
  KickTimer& operator=(KickTimer&&) = delete;
  ~KickTimer();

  void arm(u64 ns);  // once, `ns` from now
  void disarm();

 private:
  explicit KickTimer(timer_t timer) : timer_(timer), owned_(true) {}
  void set(u64 ns);
  timer_t timer_;
  bool owned_ = false;
};

}  // namespace rondo::host
