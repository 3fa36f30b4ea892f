// Instructions at CPL 3 that a host's KVM may have executed in another way than the CPU model does: for the message
// about a recording made there whose replay differs (docs/kvm.md).
#pragma once

#include "decoder/instruction.h"

namespace rondo::software {

// Looks at descriptors or system tables, or at the bases of FS and GS: the host's own, where its tables and CR4 are
// used at CPL 3. Without far transfers, which end in the guest's kernel or go on alike.
inline bool shows_tables(decoder::Operation operation) {
  using decoder::Operation;
  switch (operation) {
    case Operation::MOV_SEG:
    case Operation::PUSH_SEG:
    case Operation::POP_SEG:
    case Operation::LDS:
    case Operation::LES:
    case Operation::LFS:
    case Operation::LGS:
    case Operation::LSS:
    case Operation::LAR:
    case Operation::LSL:
    case Operation::VERR:
    case Operation::VERW:
    case Operation::SGDT:
    case Operation::SIDT:
    case Operation::SLDT:
    case Operation::STR:
    case Operation::SMSW:
    case Operation::RDFSBASE:
    case Operation::RDGSBASE:
    case Operation::WRFSBASE:
    case Operation::WRGSBASE:
      return true;
    default:
      return false;
  }
}

// The results differ between processors within a documented error (SDM 2B, RCPPS and RSQRTPS; SDM 1 8.3.10,
// transcendentals).
inline bool is_approximation(decoder::Operation operation) {
  using decoder::Operation;
  switch (operation) {
    case Operation::RCPPS:
    case Operation::RCPSS:
    case Operation::RSQRTPS:
    case Operation::RSQRTSS:
    case Operation::FSIN:
    case Operation::FCOS:
    case Operation::FSINCOS:
    case Operation::FPTAN:
    case Operation::FPATAN:
    case Operation::F2XM1:
    case Operation::FYL2X:
    case Operation::FYL2XP1:
      return true;
    default:
      return false;
  }
}

inline bool may_be_answered_by_host(decoder::Operation operation) {
  return shows_tables(operation) || is_approximation(operation) || operation == decoder::Operation::INT;
}

}  // namespace rondo::software
