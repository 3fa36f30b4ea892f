// The guest's output, once: what a machine says again on its way to a place where it was is not shown again.
#pragma once

#include "core/device.h"
#include "core/time/clock.h"

namespace rondo::gdb {

class ReplayedOutput final : public CharacterSink {
 public:
  explicit ReplayedOutput(CharacterSink& to) : to_(to) {}
  void attach(const Clock& clock) { clock_ = &clock; }
  // The machine was put back.
  void rewound() { again_ = true; }
  // What follows is new, wherever the machine stands: a branch begins.
  void forget() {
    last_ = clock_->count();
    again_ = false;
  }

  void put(u8 byte) override {
    // One instruction may say several bytes.
    const InstrCount now = clock_ ? clock_->count() : InstrCount{};
    if (now < last_ || (again_ && now == last_)) return;
    last_ = now;
    again_ = false;
    to_.put(byte);
  }

 private:
  CharacterSink& to_;
  const Clock* clock_ = nullptr;
  InstrCount last_;
  bool again_ = false;
};

}  // namespace rondo::gdb
