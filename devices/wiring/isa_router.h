// Fans each ISA interrupt line out to the 8259 pair and to the I/O APIC, as the wires on a PC's board do. IRQ0 arrives
// at I/O APIC pin 2 (MADT's interrupt source override); IRQ2, the cascade, is connected to nothing. Wires have no state
// of their own.
#pragma once

#include <array>
#include <vector>

#include "devices/wiring/interrupt_inputs.h"
#include "devices/wiring/platform_map.h"

namespace rondo::devices {

class IsaRouter {
 public:
  static constexpr unsigned kLines = 16;

  void connect(InterruptInputs& pic, InterruptInputs& ioapic) {
    for (unsigned irq = 0; irq < kLines; ++irq) {
      if (irq == kCascade) continue;
      wires_[irq].add({&pic, irq});
      wires_[irq].add({&ioapic, irq == kIrqPit ? kGsiPit : irq});
    }
  }
  InterruptLine& irq(unsigned number) { return wires_.at(number); }

 private:
  static constexpr unsigned kCascade = 2;
  struct End {
    InterruptInputs* target;
    unsigned input;
  };
  class Wire final : public InterruptLine {
   public:
    void add(End end) {
      ends_.push_back(end);
      end.target->set_input(end.input, initial_level_);
    }
    void set_level(bool high) override {
      initial_level_ = high;
      for (const End& end : ends_) end.target->set_input(end.input, high);
    }

   private:
    std::vector<End> ends_;
    bool initial_level_ = false;  // for ends that are connected after the device was built; of no meaning later
  };
  std::array<Wire, kLines> wires_;
};

}  // namespace rondo::devices
