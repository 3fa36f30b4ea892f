// Memory accesses of the processor itself and of its stack switches. Fast where the page is known; everything else
// throws Fault.
#pragma once

#include "core/software/access.h"
#include "core/software/mode.h"

namespace rondo::software {

// Descriptor tables and TSS: supervisor accesses whatever the CPL (SDM 3A 4.6.1, "implicit supervisor-mode accesses").
template <class T>
T read_system(Vcpu& cpu, u64 linear) {
  // The current context has the same rights, unless it is the user's or SMAP is suspended.
  if (cpu.cpl != 3 && !(cpu.rflags_rest & flags::AC)) {
    const TlbEntry& entry = cpu.tlb->at(linear);
    if (tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) {
      T value;
      std::memcpy(&value, reinterpret_cast<const void*>(linear + entry.host_delta), sizeof value);
      return value;
    }
  }
  return read_linear<T>(cpu, nullptr, linear, Privilege::system);
}

template <class T>
void write_system(Vcpu& cpu, u64 linear, T value) {
  write_linear<T>(cpu, nullptr, linear, value, Privilege::system);
}

// Accesses with the rights of the current CPL; faults on the stack segment.
template <class T>
T read_stack(Vcpu& cpu, const Op* op, u64 linear) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (tlb_hit(cpu, entry.read_tag, linear, sizeof(T))) {
    T value;
    std::memcpy(&value, reinterpret_cast<const void*>(linear + entry.host_delta), sizeof value);
    return value;
  }
  return read_linear<T>(cpu, op, linear, Privilege::current, true);
}

template <class T>
void write_stack(Vcpu& cpu, const Op* op, u64 linear, T value) {
  const TlbEntry& entry = cpu.tlb->at(linear);
  if (tlb_hit(cpu, entry.write_tag, linear, sizeof(T))) {
    std::memcpy(reinterpret_cast<void*>(linear + entry.host_delta), &value, sizeof value);
    return;
  }
  write_linear<T>(cpu, op, linear, value, Privilege::current, true);
}

// Accesses take place at another CPL until commit() or the end of the scope: the stack of an inner procedure is written
// before the transfer is certain.
class CplScope {
 public:
  CplScope(Vcpu& cpu, u8 cpl) : cpu_(cpu), saved_(cpu.cpl) { set(cpl); }
  ~CplScope() {
    if (!committed_) set(saved_);
  }
  CplScope(const CplScope&) = delete;
  CplScope& operator=(const CplScope&) = delete;
  void set(u8 cpl) {
    if (cpu_.cpl == cpl) return;
    cpu_.cpl = cpl;
    privilege_context_changed(cpu_);
  }
  void commit() { committed_ = true; }

 private:
  Vcpu& cpu_;
  u8 saved_;
  bool committed_ = false;
};

}  // namespace rondo::software
