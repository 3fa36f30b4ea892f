// Fans each ISA interrupt line out to the 8259 pair and to the I/O APIC, as the wires on a PC's board do. IRQ0 arrives at I/O APIC
// pin 2 (MADT's interrupt source override); IRQ2, the cascade, is connected to nothing. Wires have no state.
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
      wires_[irq].ends.push_back({&pic, irq});
      wires_[irq].ends.push_back({&ioapic, irq == kIrqPit ? kGsiPit : irq});
    }
  }
  InterruptLine& irq(unsigned number) { return wires_.at(number); }

 private:
  static constexpr unsigned kCascade = 2;
  struct Wire final : InterruptLine {
    struct End {
      InterruptInputs* target;
      unsigned input;
    };
    void set_level(bool high) override {
      for (const End& end : ends) end.target->set_input(end.input, high);
    }
    std::vector<End> ends;
  };
  std::array<Wire, kLines> wires_;
};

}  // namespace rondo::devices
