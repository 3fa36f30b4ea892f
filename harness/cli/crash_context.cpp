#include "harness/cli/crash_context.h"

#include <cstdio>

namespace rondo::cli {
namespace {

Machine* g_machine = nullptr;  // the printer is a plain function: it can reach nothing but a global

void print_context() {
  if (!g_machine) return;
  Machine& machine = *std::exchange(g_machine, nullptr);  // looking at it may fail in turn
  std::fprintf(stderr, "rondo: at %llu instructions, %llu virtual ns\n",
               static_cast<unsigned long long>(machine.clock().count().value),
               static_cast<unsigned long long>(machine.clock().now().value));
  const CpuState cpu = machine.engine().state();
  std::fprintf(stderr, "rondo: RIP %04x:%llx RSP %llx RFLAGS %llx CR0 %llx CR3 %llx CR4 %llx EFER %llx\n",
               cpu.segment[CS].selector, static_cast<unsigned long long>(cpu.rip),
               static_cast<unsigned long long>(cpu.gpr[RSP]), static_cast<unsigned long long>(cpu.rflags),
               static_cast<unsigned long long>(cpu.cr0), static_cast<unsigned long long>(cpu.cr3),
               static_cast<unsigned long long>(cpu.cr4), static_cast<unsigned long long>(cpu.efer));
}

}  // namespace

CrashContext::CrashContext(Machine& machine) {
  g_machine = &machine;
  set_assert_context_printer(print_context);
}

CrashContext::~CrashContext() {
  set_assert_context_printer(nullptr);
  g_machine = nullptr;
}

}  // namespace rondo::cli
