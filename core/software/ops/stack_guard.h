// For instructions that move RSP before their last access: a fault puts it back.
#pragma once

#include "core/software/vcpu.h"

namespace rondo::software {

class StackGuard {
 public:
  explicit StackGuard(Vcpu& cpu) : cpu_(cpu), rsp_(cpu.gpr(RSP)) {}
  ~StackGuard() {
    if (!committed_) cpu_.gpr(RSP) = rsp_;
  }
  StackGuard(const StackGuard&) = delete;
  StackGuard& operator=(const StackGuard&) = delete;
  void commit() { committed_ = true; }

 private:
  Vcpu& cpu_;
  u64 rsp_;
  bool committed_ = false;
};

}  // namespace rondo::software
