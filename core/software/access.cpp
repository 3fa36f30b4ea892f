#include "core/software/access.h"

#include <algorithm>

#include "core/bus/device_parts.h"
#include "core/software/code_cache.h"
#include "core/software/debug_index.h"
#include "core/software/mode.h"
#include "core/software/paging.h"
#include "core/software/system/debug.h"

namespace rondo::software {
namespace {

// One access as the slow path sees it: up to two pages, each RAM or device.
struct Piece {
  u64 linear;
  unsigned size;
  u64 physical = 0;
  u8* host = nullptr;
};

struct Access2 {
  Piece piece[2];
  unsigned count;
};

MemStatus fail(Vcpu& cpu, const Fault& fault) {
  cpu.fault = fault;
  return MemStatus::fault;
}

// Everything that can fault happens here, for both pages, before a byte is moved.
MemStatus prepare(Vcpu& cpu, u64 linear, unsigned size, Access access, Privilege privilege, bool stack, Access2& out) {
  if (cpu.long_mode()) {
    if (!is_canonical(linear) || !is_canonical(linear + size - 1)) return fail(cpu, stack ? fault_ss() : fault_gp());
  } else {
    linear &= 0xffffffff;
  }
  // 16-byte operands count as misaligned below 16 (found on the silicon; SDM 3A table 6-7 leaves MOVUPS and the like open).
  const u64 alignment = size == 16 ? 16 : std::min(size, 8u);
  if (privilege == Privilege::current && (linear & (alignment - 1)) && alignment_checked(cpu)) return fail(cpu, fault_ac());
  const Rights rights = privilege == Privilege::current ? Mmu::current_rights(cpu) : Mmu::system_rights();
  const unsigned in_first = static_cast<unsigned>(std::min<u64>(size, kPageSize - (linear & kPageMask)));
  u64 second = linear + in_first;
  if (!cpu.long_mode()) second &= 0xffffffff;
  out.piece[0] = {linear, in_first};
  out.piece[1] = {second, size - in_first};
  out.count = in_first == size ? 1 : 2;
  for (unsigned i = 0; i < out.count; ++i) {
    Piece& p = out.piece[i];
    Translation t;
    if (!cpu.mmu->access(cpu, p.linear, access, rights, t, p.host, cpu.fault)) return MemStatus::fault;
    p.physical = t.physical;
  }
  if (cpu.arch.dr7 & 0xff && privilege == Privilege::current) {
    const u64 hit = debug_data_match(cpu, linear, size, access == Access::write);
    if (hit) {
      cpu.arch.pending_debug |= hit;
      cpu.attention = true;
    }
  }
  return MemStatus::ok;
}

// An access to a page that a debugger watches.
void note_watched(Vcpu& cpu, u64 linear, unsigned size, bool write) {
  if (cpu.debug->access(linear, size, write)) cpu.attention = true;
}
void note_access(Vcpu& cpu, const Access2& a, bool write) {
  if (!cpu.debug->has_watchpoints()) return;
  for (unsigned i = 0; i < a.count; ++i) note_watched(cpu, a.piece[i].linear, a.piece[i].size, write);
}

// A device is touched: the driver looks afterwards, since lines, timers and exits may have changed.
void device_touched(Vcpu& cpu) { cpu.attention = true; }

// What a device sees of one piece, each an event of its own. Implicit accesses (no op) take no part in time.
template <class Transfer>
void device_parts(Vcpu& cpu, const Op* op, Piece p, Transfer transfer) {
  for_each_device_part(p.physical, p.size, [&](u64 address, unsigned at, unsigned size) {
    if (op) cpu.begin_event(op);
    transfer(address, at, size);
  });
}

// Stores to RAM. The page may be watched; `size` stays within it. True if the running block must be left.
bool store_ram(Vcpu& cpu, u8* host, const void* in, unsigned size) {
  const u8 marks = cpu.memory->marks(host);
  bool leave = false;
  if (marks & kPageIsTable) leave |= cpu.mmu->table_store(cpu, host, in, size);
  std::memcpy(host, in, size);
  if (marks & kPageHasCode) leave |= code_store(cpu, host, size);
  return leave;
}

}  // namespace

MemStatus load_slow(Vcpu& cpu, const Op* op, u64 linear, unsigned size, void* out, Privilege privilege, bool stack_segment) {
  Access2 a;
  const u64 epoch = cpu.code_epoch;
  if (prepare(cpu, linear, size, Access::read, privilege, stack_segment, a) != MemStatus::ok) return MemStatus::fault;
  note_access(cpu, a, false);
  u8* to = static_cast<u8*>(out);
  bool device = false;
  for (unsigned i = 0; i < a.count; ++i) {
    const Piece& p = a.piece[i];
    if (p.host) {
      std::memcpy(to, p.host, p.size);
    } else {
      device = true;
      device_touched(cpu);
      device_parts(cpu, op, p, [&](u64 address, unsigned at, unsigned part) {
        const u64 value = cpu.mmio->read(address, part);
        std::memcpy(to + at, &value, part);
      });
    }
    to += p.size;
  }
  return device || cpu.attention || cpu.code_epoch != epoch ? MemStatus::leave : MemStatus::ok;
}

MemStatus store_slow(Vcpu& cpu, const Op* op, u64 linear, unsigned size, const void* in, Privilege privilege, bool stack_segment) {
  Access2 a;
  const u64 epoch = cpu.code_epoch;
  if (prepare(cpu, linear, size, Access::write, privilege, stack_segment, a) != MemStatus::ok) return MemStatus::fault;
  note_access(cpu, a, true);
  const u8* from = static_cast<const u8*>(in);
  bool leave = false;
  for (unsigned i = 0; i < a.count; ++i) {
    const Piece& p = a.piece[i];
    if (p.host) {
      leave |= store_ram(cpu, p.host, from, p.size);
    } else {
      leave = true;
      device_touched(cpu);
      device_parts(cpu, op, p, [&](u64 address, unsigned at, unsigned part) {
        u64 value = 0;
        std::memcpy(&value, from + at, part);
        cpu.mmio->write(address, part, value);
      });
    }
    from += p.size;
  }
  return leave || cpu.attention || cpu.code_epoch != epoch ? MemStatus::leave : MemStatus::ok;
}

void prepare_bulk_store(Vcpu& cpu, u8* host, unsigned size) {
  const u64 epoch = cpu.code_epoch;
  const u8 marks = cpu.memory->marks(host);
  if (marks & kPageIsTable) cpu.mmu->forget_table(cpu, host);
  if (marks & kPageHasCode) code_store(cpu, host, size);
  if (cpu.code_epoch != epoch) cpu.attention = true;
}

MemStatus probe_store(Vcpu& cpu, const Op*, u64 linear, unsigned size, Privilege privilege, bool stack_segment) {
  Access2 a;
  return prepare(cpu, linear, size, Access::write, privilege, stack_segment, a);
}

Loaded<u64> load_slow_value(Vcpu& cpu, const Op* op, u64 linear, unsigned size) {
  u64 value = 0;
  const MemStatus status = load_slow(cpu, op, linear, size, &value, Privilege::current, uses_stack_segment(op));
  return {value, status};
}

MemStatus store_slow_value(Vcpu& cpu, const Op* op, u64 linear, unsigned size, u64 value) {
  // The common slow store: a watched page (page tables, pages with code) in plain sight.
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (tlb_hit(cpu, entry.watched_tag, linear, size)) {
    u8* host = reinterpret_cast<u8*>(linear + entry.host_delta);
    const bool debugged = cpu.debug->watched_page(linear);
    if (debugged) note_watched(cpu, linear, size, true);
    if (!debugged && !(cpu.memory->marks(host) & kPageWatched)) {
      // No longer watched: back to the fast path.
      std::memcpy(host, &value, size);
      cpu.tlb->at(linear).write_tag = entry.watched_tag;
      cpu.tlb->at(linear).watched_tag = kInvalidTag;
      return MemStatus::ok;
    }
    return store_ram(cpu, host, &value, size) || (debugged && cpu.debug->hit()) ? MemStatus::leave : MemStatus::ok;
  }
  return store_slow(cpu, op, linear, size, &value, Privilege::current, uses_stack_segment(op));
}

Loaded<u64> load_checked_value(Vcpu& cpu, const Op* op, unsigned size) {
  const LinearAddress a = checked_linear(cpu, op, size, false);
  if (!a.ok) return {0, MemStatus::fault};
  return load_slow_value(cpu, op, a.value, size);
}

MemStatus store_checked_value(Vcpu& cpu, const Op* op, unsigned size, u64 value) {
  const LinearAddress a = checked_linear(cpu, op, size, true);
  if (!a.ok) return MemStatus::fault;
  return store_slow_value(cpu, op, a.value, size, value);
}

Loaded<u64> load_for_update_slow(Vcpu& cpu, const Op* op, unsigned size) {
  const LinearAddress a = checked_linear(cpu, op, size, true);
  if (!a.ok) return {0, MemStatus::fault};
  const bool stack = uses_stack_segment(op);
  const TlbEntry& entry = cpu.tlb->at(a.value);
  if (!tlb_hit(cpu, entry.watched_tag, a.value, size) &&
      probe_store(cpu, op, a.value, size, Privilege::current, stack) != MemStatus::ok) {
    return {0, MemStatus::fault};
  }
  u64 value = 0;
  const MemStatus status = load_slow(cpu, op, a.value, size, &value, Privilege::current, stack);
  return {value, status};
}

void read_bytes(Vcpu& cpu, const Op* op, u64 linear, void* out, unsigned size, Privilege privilege, bool stack) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (privilege == Privilege::current && tlb_hit(cpu, entry.read_tag, linear, size)) {
    std::memcpy(out, reinterpret_cast<const void*>(linear + entry.host_delta), size);
    return;
  }
  if (load_slow(cpu, op, linear, size, out, privilege, stack) == MemStatus::fault) throw cpu.fault;
}

void write_bytes(Vcpu& cpu, const Op* op, u64 linear, const void* in, unsigned size, Privilege privilege, bool stack) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (privilege == Privilege::current && tlb_hit(cpu, entry.write_tag, linear, size)) {
    std::memcpy(reinterpret_cast<void*>(linear + entry.host_delta), in, size);
    return;
  }
  const MemStatus status = store_slow(cpu, op, linear, size, in, privilege, stack);
  if (status == MemStatus::fault) throw cpu.fault;
  if (status == MemStatus::leave) cpu.attention = true;
}

void require_writable(Vcpu& cpu, const Op* op, u64 linear, unsigned size, Privilege privilege, bool stack) {
  while (size > 0) {
    const unsigned part = std::min(size, 16u);
    if (probe_store(cpu, op, linear, part, privilege, stack) == MemStatus::fault) throw cpu.fault;
    linear += part;
    size -= part;
  }
}

}  // namespace rondo::software
