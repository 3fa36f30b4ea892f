#include "core/kvm/memory_slots.h"

#include <algorithm>
#include <bit>

namespace rondo::kvm {

MemorySlots::MemorySlots(Vm& vm, PhysicalMemory& memory) : vm_(vm), memory_(memory) {
  const u64 low = std::min(memory.size(), kPciHoleStart);
  slots_.push_back({0, GuestPhys{0}, 0, low});
  if (memory.size() > low) slots_.push_back({1, GuestPhys{kPciHoleEnd}, low >> kPageShift, memory.size() - low});
}

Status MemorySlots::create() {
  for (const Slot& slot : slots_) {
    if (Status set = vm_.set_memory(slot.number, slot.address, {memory_.page_host(slot.first_page), slot.bytes}, true);
        !set)
      return set;
  }
  return success();
}

Status MemorySlots::renew() {
  if (Status marked = mark_written(); !marked) return marked;  // with the slot goes its log
  for (const Slot& slot : slots_) {
    if (Status set = vm_.set_memory(slot.number, slot.address, {memory_.page_host(slot.first_page), 0}, false); !set)
      return set;
  }
  return create();
}

Status MemorySlots::mark_written() {
  for (const Slot& slot : slots_) {
    Result<std::vector<u64>> bits = vm_.take_dirty(slot.number, slot.bytes);
    if (!bits) return bits.error();
    for (std::size_t word = 0; word < bits->size(); ++word) {
      for (u64 rest = (*bits)[word]; rest; rest &= rest - 1) {
        const u64 page = slot.first_page + 64 * word + static_cast<u64>(std::countr_zero(rest));
        memory_.mark_written(memory_.page_host(page));
        written_.push_back(page);
      }
    }
  }
  return success();
}

}  // namespace rondo::kvm
