// A device with numbered interrupt inputs (an interrupt controller), and the wires that lead to them.
#pragma once

#include <vector>

#include "core/device.h"

namespace rondo::devices {

class InterruptInputs {
 public:
  virtual ~InterruptInputs() = default;
  virtual unsigned input_count() const = 0;
  // true: asserted. An input that does not exist is ignored.
  virtual void set_input(unsigned input, bool high) = 0;
};

// The wire to one input.
class InputLine final : public InterruptLine {
 public:
  InputLine(InterruptInputs& target, unsigned input) : target_(target), input_(input) {}
  void set_level(bool high) override { target_.set_input(input_, high); }

 private:
  InterruptInputs& target_;
  unsigned input_;
};

}  // namespace rondo::devices
