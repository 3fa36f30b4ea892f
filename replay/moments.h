// Between a running machine and what a recording says about it.
#pragma once

#include "core/door.h"
#include "core/machine.h"
#include "replay/format/event.h"

namespace rondo::replay {

// Where the machine stands. Where synchronous events are counted, a fingerprint tells the points after one apart.
Moment moment_of(Machine& machine);
// The hash of each component, and of all.
StateHash state_hash_of(Machine& machine);

// An input as an event, and back. None: the event is no input.
EventBody to_event(const Input& input);
std::optional<Input> to_input(const EventBody& body);

// Whether the machine finds the end by itself (power off, triple fault, ...) rather than being stopped from outside.
bool is_own_end(std::string_view reason);

}  // namespace rondo::replay
