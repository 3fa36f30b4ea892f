// The guest's memory as KVM sees it: the same host pages as every engine's.
#pragma once

#include <utility>
#include <vector>

#include "core/kvm/vm.h"
#include "core/memory/physical_memory.h"

namespace rondo::kvm {

class MemorySlots {
 public:
  MemorySlots(Vm& vm, PhysicalMemory& memory);
  Status create();
  // Takes the slots away and gives them back: KVM forgets every translation that it derived from the guest's page
  // tables. For changes of memory that KVM did not see.
  Status renew();
  // Marks the pages that the guest wrote since the last call.
  Status mark_written();
  // The pages (PhysicalMemory::page_index) that were found written since this was asked last.
  std::vector<u64> take_written() { return std::exchange(written_, {}); }

 private:
  struct Slot {
    u32 number;
    GuestPhys address;
    u64 first_page;  // PhysicalMemory::page_index
    u64 bytes;
  };
  Vm& vm_;
  PhysicalMemory& memory_;
  std::vector<Slot> slots_;
  std::vector<u64> written_;
};

}  // namespace rondo::kvm
