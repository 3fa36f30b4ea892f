// The message interface between I/O APICs and local APICs (SDM 3A 11.1, 11.11): interrupt messages one way, EOIs the
// other. It has no state: an undelivered message is kept by its sender.
#pragma once

#include <vector>

#include "core/base/types.h"

namespace rondo::devices {

// The encoding of the delivery mode field, the same in the ICR, the LVT and the I/O APIC (SDM 3A 11.5.1, 11.6.1).
enum class DeliveryMode : u8 {
  fixed = 0,
  lowest_priority = 1,
  smi = 2,
  reserved = 3,
  nmi = 4,
  init = 5,
  startup = 6,
  ext_int = 7
};

struct ApicMessage {
  u8 vector = 0;
  DeliveryMode mode = DeliveryMode::fixed;
  bool logical = false;  // destination is a logical one
  bool level = false;    // trigger mode
  u32 destination = 0;   // as wide as the sender's field
};

// A local APIC as its bus sees it.
class ApicAgent {
 public:
  virtual ~ApicAgent() = default;
  virtual bool is_destination(u32 destination, bool logical) const = 0;
  virtual u8 arbitration_priority() const = 0;  // lower wins lowest-priority delivery
  virtual void receive(const ApicMessage& message) = 0;
};

// Whoever must hear of the EOI of a level-triggered interrupt: an I/O APIC.
class EoiListener {
 public:
  virtual ~EoiListener() = default;
  virtual void end_of_interrupt(u8 vector) = 0;
};

// The 8259 pair as an ExtINT sees it: an INTA cycle yields the vector.
class ExtIntSource {
 public:
  virtual ~ExtIntSource() = default;
  virtual u8 acknowledge() = 0;
};

class ApicBus {
 public:
  void attach(ApicAgent& agent) { agents_.push_back(&agent); }
  void attach(EoiListener& listener) { listeners_.push_back(&listener); }

  // Returns whether any local APIC was addressed.
  bool send(const ApicMessage& message);
  // IPI shorthand (SDM 3A 11.6.1): everybody, with or without the sender.
  void broadcast(const ApicMessage& message, const ApicAgent* except);
  void end_of_interrupt(u8 vector);

 private:
  std::vector<ApicAgent*> agents_;
  std::vector<EoiListener*> listeners_;
};

}  // namespace rondo::devices
