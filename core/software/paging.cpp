#include "core/software/paging.h"

#include <sys/mman.h>

#include <cstring>

#include "core/base/assert.h"
#include "core/software/code_cache.h"
#include "core/software/debug_index.h"
#include "core/software/mode.h"
#include "core/software/vcpu.h"

namespace rondo::software {
namespace {

// Entry bits, SDM 3A tables 4-14 to 4-20.
constexpr u64 kP = 1, kRW = 2, kUS = 4, kA = 1 << 5, kD = 1 << 6, kPS = 1 << 7, kNX = u64{1} << 63;
constexpr u64 kAddressMask = ((u64{1} << kPhysicalAddressBits) - 1) & ~kPageMask;
constexpr u64 kReservedHigh = ((u64{1} << 52) - 1) & ~((u64{1} << kPhysicalAddressBits) - 1);

// A leaf table that collects this many stores without being walked has gone back to being ordinary memory.
constexpr u32 kQuietLimit = 64;
constexpr u8 kMoveLimit = 100;

// Linear address bits that select an entry.
unsigned index_bits(unsigned entry_bytes) { return entry_bytes == 8 ? 9 : 10; }
u64 low_mask(unsigned bits) { return (u64{1} << bits) - 1; }

}  // namespace

struct Mmu::Walk {
  u64 linear;
  Access access;
  bool user = false;  // the access has user rights
  bool supervisor_ac = false;
  bool wp = false, nxe = false, smep = false, smap = false;
  // Results.
  u64 physical = 0;
  bool writable = false;
  u32 error = 0;      // page-fault error code without W, U, I
  // Permissions so far.
  bool rw = true, us = true, nx = false;

  bool may_write() const { return rw || (!user && !wp); }
  // SDM 3A 4.6.1, for a page whose rights are in rw, us and nx.
  bool permits(bool writes_allowed) const {
    if (access == Access::write && !writes_allowed) return false;
    if (user && !us) return false;
    if (access == Access::fetch) return !nx && (user || !us || !smep);
    return user || !us || !smap || supervisor_ac;
  }
};

Mmu::Mmu(PhysicalMemory& memory, Tlb& tlb) : memory_(memory), tlb_(tlb), current_(&spaces_[0]) {
  void* p = mmap(nullptr, memory.page_count() * sizeof(TableInfo), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  RONDO_ASSERT(p != MAP_FAILED);
  tables_ = static_cast<TableInfo*>(p);
}

Mmu::~Mmu() { munmap(tables_, memory_.page_count() * sizeof(TableInfo)); }

Rights Mmu::current_rights(const Vcpu& cpu) {
  if (cpu.cpl == 3) return Rights::user;
  return (cpu.arch.cr4 & cr4::SMAP) && (cpu.rflags_rest & flags::AC) ? Rights::supervisor_ac : Rights::supervisor;
}

Mmu::SpaceKey Mmu::key_of(const Vcpu& cpu) {
  const CpuState& a = cpu.arch;
  if (!(a.cr0 & cr0::PG)) return {0, 0};
  const u64 mode = 1 | (a.cr0 & cr0::WP) | (a.efer & (efer::LMA | efer::NXE)) << 32 |
                   (a.cr4 & (cr4::PSE | cr4::PAE | cr4::SMEP | cr4::SMAP)) << 1;
  return {a.cr3 & ~u64{0xfff & ~(a.efer & efer::LMA ? u64{0} : u64{0xfe0})}, mode};
}

void Mmu::assign_contexts(AddressSpace& space) {
  for (u64& context : space.context) context = next_context_++;
  space.own_supervisor = space.context[0];
}

// Out of numbers: start again with an empty TLB.
void Mmu::restart_contexts(CodeCache& code) {
  tlb_.clear();
  for (AddressSpace& space : spaces_) space = {};
  kernel_halves_.clear();
  next_context_ = 0;
  code.all_mappings_changed();
}

void Mmu::select_address_space(Vcpu& cpu) {
  const SpaceKey key = key_of(cpu);
  if (current_->key == key) return;
  constexpr u64 kNumbersPerSpace = 4;  // three of its own, one of a new kernel half
  if (next_context_ + kNumbersPerSpace > kContextLimit) restart_contexts(*cpu.code);
  current_ = nullptr;
  for (AddressSpace& space : spaces_) {
    if (space.key == key) current_ = &space;
  }
  if (!current_) {
    current_ = &spaces_[next_victim_];
    next_victim_ = (next_victim_ + 1) % kSpaces;
    *current_ = {.key = key};
    assign_contexts(*current_);
  }
  share_kernel_half(cpu);
}

void Mmu::share_kernel_half(Vcpu& cpu) {
  current_->context[0] = current_->own_supervisor;
  if (current_->low_supervisor || !cpu.long_mode()) return;
  u8* upper = memory_.host(GuestPhys{(cpu.arch.cr3 & kAddressMask) + kPageSize / 2});
  if (!upper) return;
  KernelHalf* half = nullptr;
  for (KernelHalf& known : kernel_halves_) {
    if (known.mode == current_->key.mode && std::memcmp(known.entries.data(), upper, sizeof known.entries) == 0) half = &known;
  }
  if (!half) {
    KernelHalf fresh;
    std::memcpy(fresh.entries.data(), upper, sizeof fresh.entries);
    for (const u64 entry : fresh.entries) {
      if ((entry & kP) && !(entry & kA)) return;
    }
    constexpr std::size_t kMostHalves = 8;
    if (kernel_halves_.size() == kMostHalves) kernel_halves_.erase(kernel_halves_.begin());
    fresh.mode = current_->key.mode;
    fresh.context = next_context_++;
    half = &kernel_halves_.emplace_back(fresh);
  }
  current_->context[0] = half->context;
  // What is derived under the shared context depends on this PML4 too, though nothing walks it now.
  const Walk fetch{.linear = ~u64{0}, .access = Access::fetch};
  note_table(cpu, upper, 0, 4, 8, fetch);
}

void Mmu::stop_sharing(Vcpu& cpu) {
  if (current_->context[0] == current_->own_supervisor) return;
  current_->context[0] = current_->own_supervisor;
  privilege_context_changed(cpu);
}

void Mmu::flush(Vcpu& cpu) {
  const AddressSpace kept = *current_;
  for (AddressSpace& space : spaces_) space = {};
  kernel_halves_.clear();
  if (next_context_ + 4 > kContextLimit) restart_contexts(*cpu.code);
  *current_ = {.key = kept.key, .low_supervisor = kept.low_supervisor};
  assign_contexts(*current_);  // new numbers make new epochs
  privilege_context_changed(cpu);
}

void Mmu::note_table(Vcpu& cpu, const u8* entry, u64 base, u8 level, u8 entry_bytes, const Walk& walk) {
  u8& marks = memory_.marks(entry);
  TableInfo& info = tables_[memory_.page_index(entry)];
  if (!(marks & kPageIsTable)) {
    info = {.base = base, .level = level, .entry_bytes = entry_bytes, .several = false, .fetched = {}, .moves = 0, .quiet_stores = 0};
    const bool was_watched = marks & kPageWatched;
    marks |= kPageIsTable;
    if (!was_watched) tlb_.watch(entry - (reinterpret_cast<u64>(entry) & kPageMask));
  } else if (info.base != base || info.level != level || info.entry_bytes != entry_bytes) {
    // A recycled table: what was derived at its old place goes, and it starts afresh. One that is really used at several places moves too often.
    if (info.moves < kMoveLimit && !info.several) {
      drop_derived(cpu, info);
      info = {.base = base, .level = level, .entry_bytes = entry_bytes, .several = false, .fetched = {},
              .moves = static_cast<u8>(info.moves + 1), .quiet_stores = 0};
    } else {
      info.several = true;
    }
  }
  if (walk.access == Access::fetch) info.fetched[walk.user] = true;
  info.quiet_stores = 0;
}

// All that was derived from a table at one place.
void Mmu::drop_derived(Vcpu& cpu, const TableInfo& info) {
  drop_range(info.base, u64{1} << (kPageShift + index_bits(info.entry_bytes) * info.level));
  remap_code(cpu, info.fetched);
}

void Mmu::remap_code(Vcpu& cpu, const bool (&remap)[2]) {
  if (!remap[false] && !remap[true]) return;
  for (const bool user : {false, true}) {
    if (remap[user]) cpu.code->mapping_changed(user);
  }
  privilege_context_changed(cpu);
}

template <class Entry>
void Mmu::set_bits(Vcpu& cpu, u8* entry, Entry bits) {
  Entry value;
  std::memcpy(&value, entry, sizeof value);
  if ((value & bits) == bits) return;
  value |= bits;
  memory_.mark_written(entry);
  std::memcpy(entry, &value, sizeof value);
  if (memory_.marks(entry) & kPageHasCode) code_store(cpu, entry, sizeof value);
}

// The three formats of tables, for one walk. kTop: the level at which it starts.
struct LongModeTables {  // 4-level paging, SDM 3A 4.5
  using Entry = u64;
  static constexpr unsigned kTop = 4, kIndexBits = 9;
  static bool maps_page(u64 entry, unsigned level, bool) { return level <= 3 && (entry & kPS); }
  static u64 reserved(u64, unsigned level, bool leaf, bool nxe) {
    u64 bits = kReservedHigh | (nxe ? 0 : kNX);
    if (level == 4) bits |= kPS;
    if (leaf && level > 1) bits |= low_mask(kPageShift + kIndexBits * (level - 1)) & ~low_mask(13);
    return bits;
  }
  static u64 page(u64 entry, unsigned) { return entry & kAddressMask; }
};
struct PaeTables {  // below the PDPTEs, SDM 3A 4.4
  using Entry = u64;
  static constexpr unsigned kTop = 2, kIndexBits = 9;
  static bool maps_page(u64 entry, unsigned, bool) { return entry & kPS; }
  static u64 reserved(u64 entry, unsigned level, bool leaf, bool nxe) {
    return LongModeTables::reserved(entry, level, leaf, nxe) | u64{0x7ff} << 52;
  }
  static u64 page(u64 entry, unsigned) { return entry & kAddressMask; }
};
struct ClassicTables {  // 32-bit paging, SDM 3A 4.3
  using Entry = u32;
  static constexpr unsigned kTop = 2, kIndexBits = 10;
  static bool maps_page(u64 entry, unsigned, bool pse) { return pse && (entry & kPS); }
  // PSE-36: bits 20:13 of a 4 MB entry are address bits 39:32; bit 21 is reserved (SDM 3A table 4-4).
  static u64 reserved(u64, unsigned level, bool leaf, bool) { return leaf && level == 2 ? 1 << 21 : 0; }
  static u64 page(u64 entry, unsigned level) { return level == 2 ? (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 : entry & 0xfffff000; }
};

template <class Tables>
bool Mmu::walk(Vcpu& cpu, Walk& w, u64 table) {
  using Entry = typename Tables::Entry;
  u8* path[Tables::kTop];
  for (unsigned level = Tables::kTop; level >= 1; --level) {
    const unsigned shift = kPageShift + Tables::kIndexBits * (level - 1);
    u8* host = memory_.host(GuestPhys{table + ((w.linear >> shift) & low_mask(Tables::kIndexBits)) * sizeof(Entry)});
    if (!host) return false;  // tables outside RAM read as not present
    path[level - 1] = host;
    Entry entry;
    std::memcpy(&entry, host, sizeof entry);
    if (!(entry & kP)) return false;
    const bool leaf = level == 1 || Tables::maps_page(entry, level, cpu.arch.cr4 & cr4::PSE);
    if (entry & Tables::reserved(entry, level, leaf, w.nxe)) {
      w.error = pf::P | pf::RSVD;
      return false;
    }
    w.rw &= (entry & kRW) != 0;
    w.us &= (entry & kUS) != 0;
    if (sizeof(Entry) == 8) w.nx |= (entry & kNX) != 0;
    if (!leaf) {
      table = entry & kAddressMask;
      continue;
    }
    const bool is_write = w.access == Access::write;
    const bool may_write = w.may_write();
    if (!w.permits(may_write)) {
      w.error = pf::P;
      return false;
    }
    const u64 page_mask = low_mask(shift);
    w.physical = (Tables::page(entry, level) & ~page_mask) | (w.linear & page_mask);
    for (unsigned n = Tables::kTop; n >= level; --n) {
      set_bits<Entry>(cpu, path[n - 1], static_cast<Entry>(n == level && is_write ? kA | kD : kA));
      // Entry 0 of a table maps the linear address without the bits that select within the table.
      const u64 base = n == 4 ? 0 : w.linear & ~low_mask(kPageShift + Tables::kIndexBits * n);
      note_table(cpu, path[n - 1], base, static_cast<u8>(n), sizeof(Entry), w);
    }
    w.writable = may_write && (is_write || (entry & kD));
    return true;
  }
  return false;
}

// The four PDPTEs are read from memory at each walk, as AMD's processors do (SDM 3A 4.4.1 lets Intel's load them with CR3).
bool Mmu::walk_pae(Vcpu& cpu, Walk& w) {
  u8* pdpte_host = memory_.host(GuestPhys{(cpu.arch.cr3 & 0xffffffe0) + ((w.linear >> 30) & 3) * 8});
  if (!pdpte_host) return false;
  u64 pdpte;
  std::memcpy(&pdpte, pdpte_host, 8);
  if (!(pdpte & kP) || !walk<PaeTables>(cpu, w, pdpte & kAddressMask)) return false;
  note_table(cpu, pdpte_host, 0, 3, 8, w);
  return true;
}

bool Mmu::translate(Vcpu& cpu, u64 linear, Access access, Rights rights, Translation& out, Fault& fault) {
  const CpuState& a = cpu.arch;
  if (!(a.cr0 & cr0::PG)) {
    out = {linear & 0xffffffff, true};
    return true;
  }
  const bool long_mode = a.efer & efer::LMA;
  if (rights == Rights::supervisor && !(linear >> 63) && !current_->low_supervisor) {
    current_->low_supervisor = true;
    stop_sharing(cpu);
  }
  const bool nxe = (a.efer & efer::NXE) && (a.cr4 & cr4::PAE);
  Walk w{.linear = linear,
         .access = access,
         .user = rights == Rights::user,
         .supervisor_ac = rights == Rights::supervisor_ac,
         .wp = (a.cr0 & cr0::WP) != 0,
         .nxe = nxe,
         .smep = (a.cr4 & cr4::SMEP) != 0,
         .smap = (a.cr4 & cr4::SMAP) != 0};
  const bool ok = long_mode              ? walk<LongModeTables>(cpu, w, a.cr3 & kAddressMask)
                  : (a.cr4 & cr4::PAE) ? walk_pae(cpu, w)
                                       : walk<ClassicTables>(cpu, w, a.cr3 & 0xfffff000);
  if (ok) {
    out = {w.physical, w.writable};
    return true;
  }
  u32 error = w.error;
  if (access == Access::write) error |= pf::W;
  if (w.user) error |= pf::U;
  if (access == Access::fetch && (nxe || w.smep)) error |= pf::I;
  fault = fault_pf(error, linear);
  return false;
}

bool Mmu::access(Vcpu& cpu, u64 linear, Access access, Rights rights, Translation& out, u8*& host, Fault& fault) {
  u64 tag = (linear & ~kPageMask) | context_for(rights);
  TlbEntry& entry = tlb_.at(linear);
  const bool write = access == Access::write;
  if (access != Access::fetch) {
    if (write ? entry.write_tag == tag || entry.watched_tag == tag : entry.read_tag == tag) {
      host = reinterpret_cast<u8*>(linear + entry.host_delta);
      return true;
    }
  }
  if (!translate(cpu, linear, access, rights, out, fault)) return false;
  host = memory_.host(GuestPhys{out.physical});
  if (!host || access == Access::fetch) return true;
  tag = (linear & ~kPageMask) | context_for(rights);  // the walk may have renumbered the contexts
  if (write) memory_.mark_written(host);
  const u8 debug = cpu.debug->watched_page(linear);
  if (debug & static_cast<u8>(WatchKind::read)) {
    entry = {};  // every access to this page comes here
    return true;
  }
  const u8 marks = memory_.marks(host);
  const bool watched = marks & kPageWatched || debug;
  // A page that is only read is not marked; its first store comes back here.
  const bool storable = out.writable && (marks & kPageWritten) == kPageWritten;
  entry.read_tag = tag;
  entry.write_tag = storable && !watched ? tag : kInvalidTag;
  entry.watched_tag = storable && watched ? tag : kInvalidTag;
  entry.host_delta = reinterpret_cast<u64>(host) - linear;
  return true;
}

void Mmu::drop_range(u64 base, u64 length) {
  if (length == u64{1} << 48) {  // a whole PML4, both halves
    tlb_.clear();
    return;
  }
  if (length / kPageSize >= kTlbSize) {
    for (u64 i = 0; i < kTlbSize; ++i) {
      TlbEntry& entry = tlb_.at(i << kPageShift);
      if ((entry.read_tag & ~kPageMask) - base < length) entry = {};
    }
    return;
  }
  for (u64 at = base; at - base < length; at += kPageSize) {
    if ((tlb_.at(at).read_tag & ~kPageMask) == at) tlb_.drop(at);
  }
}

bool Mmu::is_idle_root(const Vcpu& cpu, const u8* host) const {
  const TableInfo& info = tables_[memory_.page_index(host)];
  return info.level == 4 && !info.several && (memory_.address_of(host).value & ~kPageMask) != (cpu.arch.cr3 & kAddressMask);
}

void Mmu::forget_table(Vcpu& cpu, const u8* host) {
  TableInfo& info = tables_[memory_.page_index(host)];
  if (is_idle_root(cpu, host)) {
    // Its address spaces are found anew when they are selected.
    const u64 page_address = memory_.address_of(host).value & ~kPageMask;
    for (AddressSpace& space : spaces_) {
      if ((space.key.cr3 & kAddressMask) == page_address) space = {};
    }
  } else if (info.level < 4 && !info.several) {
    drop_derived(cpu, info);
  } else {
    flush(cpu);
  }
  info = {};
  memory_.marks(host) &= static_cast<u8>(~kPageIsTable);
}

bool Mmu::table_store(Vcpu& cpu, const u8* host, const void* new_bytes, unsigned size) {
  TableInfo& info = tables_[memory_.page_index(host)];
  const u64 epoch_before = cpu.code_epoch;
  if (++info.quiet_stores > kQuietLimit || is_idle_root(cpu, host)) {  // a root that is not in use is being torn down or built
    forget_table(cpu, host);
    return cpu.code_epoch != epoch_before;
  }
  if (std::memcmp(host, new_bytes, size) == 0) return false;
  const u64 page_offset = reinterpret_cast<u64>(host) & kPageMask;
  const u64 entry_bytes = info.entry_bytes;
  bool remap[2] = {false, false};  // code fetched with supervisor, with user rights
  bool everything = false;
  for (u64 at = page_offset & ~(entry_bytes - 1); at < page_offset + size; at += entry_bytes) {
    u64 old = 0;
    std::memcpy(&old, host - page_offset + at, entry_bytes);
    // A walk derives nothing from an entry that is not present, and sets Accessed in every entry it uses, but for PAE's PDPTEs, which have no such bit.
    if (!(old & kP) || (!(old & kA) && !(info.level == 3 && !cpu.long_mode()))) continue;
    if (!(old & kNX && entry_bytes == 8)) {
      // The lower half of a PML4 is nothing to the supervisor unless it was used so.
      const bool lower_half = info.level == 4 && at < kPageSize / 2;
      remap[false] |= info.fetched[false] && !(lower_half && !current_->low_supervisor);
      remap[true] |= info.fetched[true];
    }
    if (info.several) {
      everything = true;
      continue;
    }
    const unsigned span_bits = kPageShift + index_bits(info.entry_bytes) * (info.level - 1u);
    u64 base = info.base + (at / entry_bytes << span_bits);
    if (info.level == 4) base = static_cast<u64>(static_cast<i64>(base << 16) >> 16);
    drop_range(base, u64{1} << span_bits);
  }
  if (info.level == 4 && page_offset + size > kPageSize / 2) {
    // An upper half changes: whoever shares one finds its group anew when it is selected.
    kernel_halves_.clear();
    stop_sharing(cpu);
  }
  if (everything) flush(cpu);
  remap_code(cpu, remap);
  return cpu.code_epoch != epoch_before;
}

}  // namespace rondo::software
