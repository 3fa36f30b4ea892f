#include "devices/wiring/apic_bus.h"

namespace rondo::devices {

bool ApicBus::send(const ApicMessage& message) {
  ApicAgent* lowest = nullptr;
  bool addressed = false;
  for (ApicAgent* agent : agents_) {
    if (!agent->is_destination(message.destination, message.logical)) continue;
    addressed = true;
    if (message.mode != DeliveryMode::lowest_priority) {
      agent->receive(message);
    } else if (lowest == nullptr || agent->arbitration_priority() < lowest->arbitration_priority()) {
      lowest = agent;
    }
  }
  if (lowest != nullptr) lowest->receive(message);
  return addressed;
}

void ApicBus::broadcast(const ApicMessage& message, const ApicAgent* except) {
  for (ApicAgent* agent : agents_) {
    if (agent != except) agent->receive(message);
  }
}

void ApicBus::end_of_interrupt(u8 vector) {
  for (EoiListener* listener : listeners_) listener->end_of_interrupt(vector);
}

}  // namespace rondo::devices
