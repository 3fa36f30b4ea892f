// Address translation (SDM 3A chapter 4) and the bookkeeping that keeps the software TLB invisible.
//
// Every page-table page used by a walk is marked kPageIsTable. A store to such a page comes through table_store(), which drops whatever may have been
// derived from the entry: nothing if the entry was not present or not accessed, one page for a leaf table, more for the levels above. INVLPG and CR3 writes
// therefore have nothing to invalidate, and a run with cold caches behaves like one with warm ones.
#pragma once

#include <array>
#include <vector>

#include "core/cpu/fault.h"
#include "core/memory/physical_memory.h"
#include "core/software/tlb.h"

namespace rondo::software {

class CodeCache;
struct Vcpu;

enum class Access : u8 { read, write, fetch };

// Whose rights apply. The numbers index AddressSpace::context.
enum class Rights : u8 {
  supervisor,           // with SMAP: user pages are out of reach
  supervisor_ac,        // SMAP suspended by RFLAGS.AC
  user
};

struct Translation {
  u64 physical = 0;      // of the byte asked for
  bool writable = false;  // a store needs no further walk: write permission, and the dirty bit is set
};

class Mmu {
 public:
  Mmu(PhysicalMemory& memory, Tlb& tlb);
  ~Mmu();
  Mmu(const Mmu&) = delete;
  Mmu& operator=(const Mmu&) = delete;

  // Walks the tables for one byte, setting Accessed and Dirty bits as the processor does. False: `fault` is the #PF.
  bool translate(Vcpu& cpu, u64 linear, Access access, Rights rights, Translation& out, Fault& fault);
  // Translates and fills the TLB entry if the page is RAM. host is null for devices.
  bool access(Vcpu& cpu, u64 linear, Access access, Rights rights, Translation& out, u8*& host, Fault& fault);

  // The rights of ordinary accesses now, and of accesses by the processor itself.
  static Rights current_rights(const Vcpu& cpu);
  static Rights system_rights() { return Rights::supervisor; }

  void select_address_space(Vcpu& cpu);
  u64 context(const Vcpu& cpu) const { return current_->context[static_cast<u8>(current_rights(cpu))]; }
  u64 context_for(Rights rights) const { return current_->context[static_cast<u8>(rights)]; }
  // For code: RFLAGS.AC does not matter to fetches.
  u64 code_context(bool user) const { return context_for(user ? Rights::user : Rights::supervisor); }

  // A store of `size` bytes to a page marked kPageIsTable is about to replace the bytes at `host`. Returns true if the mapping of code may have changed.
  bool table_store(Vcpu& cpu, const u8* host, const void* new_bytes, unsigned size);

  // Drops all that was derived from the page-table page at `host`; stores to it need no watching any more.
  void forget_table(Vcpu& cpu, const u8* host);

  // Forgets every translation. All contexts get new numbers.
  void flush(Vcpu& cpu);

 private:
  // All that selects a set of tables and how they are read.
  struct SpaceKey {
    u64 cr3 = 0;
    u64 mode = ~u64{0};  // the relevant bits of CR0, CR4 and EFER
    bool operator==(const SpaceKey&) const = default;
  };
  struct AddressSpace {
    SpaceKey key;
    std::array<u64, 3> context{};  // by Rights; that of the supervisor may be a KernelHalf's
    u64 own_supervisor = 0;
    bool low_supervisor = false;   // supervisor rights were used on the lower half
  };
  // Address spaces whose PML4s agree on the upper half, the operating system's, share one supervisor context, so that its translations and code survive a
  // switch of CR3. Only while supervisor rights are used on the upper half alone, and every present entry has its Accessed bit (else a switch would leave it clear).
  struct KernelHalf {
    std::array<u64, 256> entries;
    u64 mode = 0;
    u64 context = 0;
  };
  // What is known of a page-table page. One per page of RAM, in lazily backed memory.
  struct TableInfo {
    u64 base;          // linear address that entry 0 maps
    u8 level;          // 1 = page table .. 4 = PML4; 0 = nothing known
    u8 entry_bytes;
    bool several;      // derived from at more than one base or level
    bool fetched[2];   // a translation for instruction fetch passed through it: with supervisor, with user rights
    u8 moves;          // how often it was found at another base
    u32 quiet_stores;  // stores since the last walk through it
  };
  struct Walk;

  static SpaceKey key_of(const Vcpu& cpu);
  void assign_contexts(AddressSpace& space);
  void restart_contexts(CodeCache& code);
  void share_kernel_half(Vcpu& cpu);
  void stop_sharing(Vcpu& cpu);
  void note_table(Vcpu& cpu, const u8* entry, u64 base, u8 level, u8 entry_bytes, const Walk& walk);
  bool is_idle_root(const Vcpu& cpu, const u8* host) const;
  void drop_range(u64 base, u64 length);
  void remap_code(Vcpu& cpu, const bool (&remap)[2]);
  void drop_derived(Vcpu& cpu, const TableInfo& info);
  template <class Tables>
  bool walk(Vcpu& cpu, Walk& walk, u64 table);
  bool walk_pae(Vcpu& cpu, Walk& walk);
  template <class Entry>
  void set_bits(Vcpu& cpu, u8* entry, Entry bits);

  PhysicalMemory& memory_;
  Tlb& tlb_;
  TableInfo* tables_;
  static constexpr unsigned kSpaces = 64;
  std::array<AddressSpace, kSpaces> spaces_;
  AddressSpace* current_;
  std::vector<KernelHalf> kernel_halves_;
  unsigned next_victim_ = 0;
  u64 next_context_ = 0;
};

}  // namespace rondo::software
