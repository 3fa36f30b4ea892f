#include "core/software/fusion.h"

#include "core/software/ops/fused_forms.h"

namespace rondo::software {

void fuse_with_branch(const Instruction& instruction, Op& first, const Instruction& branch, bool successors_in_page) {
  if (branch.operation != Operation::JCC || first.ea != 0 || instruction.lock) return;
  using Pick = Handler (*)(Form, unsigned, unsigned, bool);
  Pick pick = nullptr;
  switch (instruction.operation) {
    case Operation::CMP: pick = &fused_handler<Cmp>; break;
    case Operation::TEST: pick = &fused_handler<Test>; break;
    case Operation::ADD: pick = &fused_handler<Add>; break;
    case Operation::SUB: pick = &fused_handler<Sub>; break;
    case Operation::AND: pick = &fused_handler<And>; break;
    default: return;
  }
  Op scratch = first;
  const std::optional<Form> form = two_operand_form(instruction, scratch);
  if (!form) return;
  if (const Handler handler = pick(*form, instruction.operand_bytes, branch.condition, successors_in_page)) first.handler = handler;
}

}  // namespace rondo::software
