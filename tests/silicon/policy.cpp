#include "tests/silicon/policy.h"

#include "core/cpu/registers.h"
#include "core/software/host_answers.h"

namespace rondo::silicon {

using decoder::Instruction;
using decoder::OperandKind;
using decoder::Operation;

bool takes_selector(Operation operation) {
  switch (operation) {
    case Operation::MOV_SEG:
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
    case Operation::JMP_FAR:
    case Operation::CALL_FAR:
    case Operation::RET_FAR:
    case Operation::IRET:
      return true;
    default:
      return false;
  }
}

std::string_view excluded(const Instruction& instruction, const Comparison& comparison) {
  switch (instruction.operation) {
    case Operation::INVALID:
      return "not in the CPU model";
    case Operation::CPUID:
    case Operation::XGETBV:
    case Operation::RDTSC:
    case Operation::RDTSCP:
    case Operation::RDPMC:
      return "reads the host";
    case Operation::MOV_SEG:
      if (instruction.operands[0].kind != OperandKind::segment) return "";
      break;
    default:
      break;
  }
  if (comparison.in_guests) return "";
  if (takes_selector(instruction.operation)) return "depends on the host's descriptor tables";
  switch (instruction.operation) {
    case Operation::SYSCALL:
    case Operation::SYSENTER:
    case Operation::INT:
      return "enters the host's kernel";
    case Operation::SYSRET:
    case Operation::SYSEXIT:
      return "depends on the host's descriptor tables";
    case Operation::SGDT:
    case Operation::SIDT:
    case Operation::SLDT:
    case Operation::STR:
    case Operation::SMSW:
      return "user-mode instruction prevention depends on the host's kernel";
    case Operation::RDFSBASE:
    case Operation::RDGSBASE:
    case Operation::WRFSBASE:
    case Operation::WRGSBASE:
    case Operation::INVPCID:
    case Operation::STAC:
    case Operation::CLAC:
    case Operation::MONITOR:
    case Operation::MWAIT:
      return "control-register bits decide whether it is #UD";
    default:
      return "";
  }
}

u64 undefined_flags(const Instruction& instruction) {
  using namespace flags;
  switch (instruction.operation) {
    case Operation::AND:
    case Operation::OR:
    case Operation::XOR:
    case Operation::TEST:
      return AF;
    case Operation::MUL:
    case Operation::IMUL:
      return SF | ZF | AF | PF;
    case Operation::DIV:
    case Operation::IDIV:
      return kArithmetic;
    case Operation::SHL:
    case Operation::SHR:
    case Operation::SAR:
      return AF | OF | CF;
    case Operation::SHLD:
    case Operation::SHRD:
      return kArithmetic;
    case Operation::ROL:
    case Operation::ROR:
    case Operation::RCL:
    case Operation::RCR:
      return OF;
    case Operation::BT:
    case Operation::BTS:
    case Operation::BTR:
    case Operation::BTC:
      return OF | SF | AF | PF;
    case Operation::BSF:
    case Operation::BSR:
      return OF | SF | AF | PF | CF;
    default:
      return 0;
  }
}

bool fits_sequences(const Instruction& instruction, const Comparison& comparison) {
  switch (instruction.operation) {
    case Operation::FXSAVE:   // may or may not show the x87 pointers
    case Operation::FXRSTOR:  // ... load them
    case Operation::JMP_INDIRECT:
    case Operation::CALL_INDIRECT:
    case Operation::RET:
      return false;
    default:
      return !approximate(instruction.operation) && (comparison.profile_host || !undefined_flags(instruction));
  }
}

bool uses_descriptors(Operation operation) { return takes_selector(operation) || software::shows_tables(operation); }

bool moves_image(Operation operation) {
  switch (operation) {
    case Operation::FLDENV:
    case Operation::FNSTENV:
    case Operation::FRSTOR:
    case Operation::FNSAVE:
    case Operation::FXSAVE:
    case Operation::FXRSTOR:
      return true;
    default:
      return false;
  }
}

bool approximate(Operation operation) { return software::is_approximation(operation); }

}  // namespace rondo::silicon
