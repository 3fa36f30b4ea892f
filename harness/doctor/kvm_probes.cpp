#include "harness/doctor/kvm_probes.h"

#include <algorithm>
#include <cstring>

#include "core/cpu/cpuid.h"
#include "core/cpu/registers.h"
#include "harness/doctor/cpuid_names.h"
#include "harness/doctor/instruction_list.h"
#include "harness/doctor/probe_guest.h"
#include "harness/host/clock.h"

namespace rondo::doctor {
namespace {

constexpr Level kLevels[] = {Level::kernel, Level::user};

template <class T>
T& at(AtLevels<T>& both, Level level) {
  return level == Level::kernel ? both.kernel : both.user;
}

constexpr std::initializer_list<u8> kNothing = {};

CpuidResult cpuid_in(ProbeGuest& guest, Level level, u32 leaf) {
  const u8 code[] = {0x0f, 0xa2};
  const Outcome o = guest.run(code, {.level = level, .rax = leaf, .rcx = 0});
  return {static_cast<u32>(o.regs.rax), static_cast<u32>(o.regs.rbx), static_cast<u32>(o.regs.rcx),
          static_cast<u32>(o.regs.rdx)};
}

CpuidProbe probe_cpuid(ProbeGuest& guest, Level level) {
  CpuidProbe probe;
  probe.vendor_honoured = cpuid_in(guest, level, 0).ebx == cpuid({.leaf = 0}).ebx;
  for (const u32 leaf : kFeatureLeaves) {
    const CpuidResult seen = cpuid_in(guest, level, leaf);
    const CpuidResult told = cpuid({.leaf = leaf});
    const std::pair<char, u32> extra[] = {
        {'B', seen.ebx & ~told.ebx}, {'C', seen.ecx & ~told.ecx}, {'D', seen.edx & ~told.edx}};
    for (const auto& [reg, bits] : extra) {
      if (leaf == 1 && reg == 'B') continue;  // APIC id and the like
      for (unsigned bit = 0; bit < 32; ++bit) {
        if (bits >> bit & 1) probe.leaked.push_back(feature_name(leaf, reg, bit));
      }
    }
  }
  probe.honoured = probe.vendor_honoured && probe.leaked.empty();
  return probe;
}

Behaviour behaviour(ProbeGuest& guest, Level level, std::initializer_list<u8> code, bool trap_tsc = false) {
  const Outcome o = guest.run(std::vector<u8>(code), {.level = level, .trap_tsc = trap_tsc, .rcx = 0});
  switch (o.ending) {
    case Ending::finished:
      return Behaviour::executes;
    case Ending::exception:
      return o.vector == kUD || o.vector == kGP ? Behaviour::faults : Behaviour::unknown;
    case Ending::not_emulated:
      return Behaviour::unemulated;
    default:
      return Behaviour::unknown;
  }
}

void probe_instructions(ProbeGuest& guest, Level level, KvmFacts& facts) {
  for (const ProbedInstruction& probed : probed_instructions()) {
    if (level == Level::user && !probed.user) continue;
    ++at(facts.instructions_tried, level);
    const Outcome o =
        guest.run(probed.bytes, {.level = level}, probed.forward ? ProbeGuest::kData + 0x200 : ProbeGuest::kMmio);
    const bool good = probed.vector == 0xff ? o.ending == Ending::finished
                                            : o.ending == Ending::exception && o.vector == probed.vector;
    if (!good) at(facts.not_emulated, level).push_back(probed.name);
  }
}

Status guest_debug(ProbeGuest& guest, u32 control, u64 address = 0) {
  kvm_guest_debug debug{};
  debug.control = control;
  if (control & KVM_GUESTDBG_USE_HW_BP) {
    debug.arch.debugreg[0] = address;
    debug.arch.debugreg[7] = 0x402;  // execution breakpoint 0, global
  }
  return guest.vcpu().set_guest_debug(debug);
}

DebugProbe probe_debug(ProbeGuest& guest, Level level, bool& step_rep) {
  DebugProbe probe;
  const u8 nops[] = {0x90, 0x90, 0x90, 0x90};
  if (guest_debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)) {
    Outcome o = guest.run(nops, {.level = level});
    probe.single_step = true;
    for (u64 n = 1; n <= 4; ++n) {
      if (o.ending != Ending::debug || o.regs.rip != ProbeGuest::kCode + n) probe.single_step = false;
      if (n < 4) o = guest.resume();
    }
    const u8 rep[] = {0xf3, 0xa4};
    o = guest.run(rep, {.level = level, .rcx = 3}, ProbeGuest::kData + 0x200);
    step_rep &= o.ending == Ending::debug && o.regs.rcx == 2;
  }
  if (guest_debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)) {
    const u8 code[] = {0x90, 0xcc, 0x90};
    const Outcome o = guest.run(code, {.level = level});
    probe.software_breakpoints = o.ending == Ending::debug && o.regs.rip == ProbeGuest::kCode + 1;
  }
  if (guest_debug(guest, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, ProbeGuest::kCode + 2)) {
    const Outcome o = guest.run(nops, {.level = level});
    probe.hardware_breakpoints = o.ending == Ending::debug && o.regs.rip == ProbeGuest::kCode + 2;
  }
  static_cast<void>(guest_debug(guest, 0));
  return probe;
}

// Writes to two pages. Besides their bits those of the page tables may be set (Accessed and Dirty bits).
DirtyLog probe_dirty_log(const kvm::System& system, Level level) {
  auto guest = ProbeGuest::create(system, true);
  if (!guest) return DirtyLog::misses;
  const u8 code[] = {0x88, 0x06, 0x88, 0x86, 0x00, 0x30, 0x00, 0x00};  // mov [rsi], al; mov [rsi+0x3000], al
  static_cast<void>((*guest)->run(kNothing, {.level = level}));
  static_cast<void>((*guest)->vm().take_dirty(0, (*guest)->memory().size()));
  static_cast<void>((*guest)->run(code, {.level = level}));
  auto bits = (*guest)->vm().take_dirty(0, (*guest)->memory().size());
  if (!bits) return DirtyLog::misses;
  constexpr u64 kFirst = ProbeGuest::kData >> kPageShift;
  constexpr u64 kWritten = u64{1} << kFirst | u64{1} << (kFirst + 3);
  constexpr u64 kTablePages = 0x1e;  // 1..4
  if (((*bits)[0] & kWritten) != kWritten) return DirtyLog::misses;
  const bool others = std::any_of(bits->begin() + 1, bits->end(), [](u64 w) { return w != 0; });
  return others || ((*bits)[0] & ~kWritten & ~kTablePages) ? DirtyLog::superset : DirtyLog::exact;
}

// SYSCALL to a handler that does something privileged.
bool probe_syscall(ProbeGuest& guest) {
  constexpr u64 kHandler = ProbeGuest::kCode + 0x200;
  const u8 handler[] = {0x0f, 0x06, 0xe6, ProbeGuest::kEndPort, 0xf4};  // clts; out kEndPort, al; hlt
  std::memcpy(guest.memory().data() + kHandler, handler, sizeof handler);
  const kvm::VcpuHandle::Msr msrs[] = {
      {msr::STAR, u64{ProbeGuest::kCode0} << 32}, {msr::LSTAR, kHandler}, {msr::SFMASK, flags::IF}};
  if (!guest.vcpu().set_msrs(msrs)) return false;
  const u8 code[] = {0x0f, 0x05};
  const Outcome o = guest.run(code, {.level = Level::user, .rflags = flags::IF});
  return o.ending == Ending::finished && o.regs.rip > kHandler;
}

bool probe_software_interrupt(ProbeGuest& guest) {
  const u8 code[] = {0xcd, 0x10};
  const Outcome o = guest.run(code, {.level = Level::user});
  return o.ending == Ending::exception && o.vector == 0x10;
}

// LAR of what the guest's table does not reach: Linux has its 64-bit code segment for programs there.
bool probe_user_descriptors(ProbeGuest& guest) {
  constexpr u64 kUntouched = 0x5a5a, kBeyond = 0x33;
  const u8 code[] = {0x0f, 0x02, 0xc1};  // lar eax, ecx
  const Outcome o = guest.run(code, {.level = Level::user, .rax = kUntouched, .rcx = kBeyond});
  return o.ending == Ending::finished && o.regs.rax == kUntouched && !(o.regs.rflags & flags::ZF);
}

// Instructions on RAX = 0x80000005 and RCX = 2 whose flags the manual leaves open in part, with all flags set before
// them and with none: what docs/undefined-flags.md makes of them.
bool probe_undefined_flags(ProbeGuest& guest) {
  using namespace flags;
  struct Case {
    std::vector<u8> code;
    u64 before, after;
  };
  const Case cases[] = {
      {{0x21, 0xc8}, kArithmetic, ZF | PF},                  // and eax, ecx: AF
      {{0xd3, 0xe0}, 0, AF | PF},                            // shl eax, cl: AF, OF
      {{0xd3, 0xe8}, 0, AF},                                 // shr eax, cl
      {{0xd3, 0xf8}, kArithmetic, AF | SF},                  // sar eax, cl
      {{0xd3, 0xc0}, kArithmetic, SF | ZF | AF | PF},        // rol eax, cl: OF
      {{0xd3, 0xc8}, 0, OF},                                 // ror eax, cl
      {{0xf7, 0xe1}, kArithmetic, kArithmetic},              // mul ecx: SF, ZF, AF, PF
      {{0xf7, 0xe1}, 0, CF | OF},                            // likewise
      {{0x31, 0xd2, 0xf7, 0xf1}, 0, AF},                     // xor edx, edx; div ecx: all
      {{0x48, 0x0f, 0xbc, 0xc1}, kArithmetic, 0},            // bsf rax, rcx: all but ZF
      {{0x0f, 0xa3, 0xc8}, kArithmetic & ~CF, kArithmetic},  // bt eax, ecx: OF, SF, AF, PF
      {{0x0f, 0xac, 0xc8, 0x02}, 0, AF | SF | OF},           // shrd eax, ecx, 2: AF, OF
  };
  for (const Case& c : cases) {
    const Outcome o = guest.run(c.code, {.level = Level::user, .rax = 0x80000005, .rcx = 2, .rflags = c.before});
    if (o.ending != Ending::finished || (o.regs.rflags & kArithmetic) != c.after) return false;
  }
  return true;
}

// STI; NOP; NOP with a window asked for: it must open behind the first NOP, where the shadow ends.
bool probe_window(ProbeGuest& guest) {
  const u8 code[] = {0xfb, 0x90, 0x90, 0x90};
  guest.vcpu().area().request_interrupt_window = 1;
  const Outcome o = guest.run(code, {.level = Level::kernel});
  guest.vcpu().area().request_interrupt_window = 0;
  return o.ending == Ending::window && o.regs.rip == ProbeGuest::kCode + 2;
}

bool probe_msr_filter(const kvm::System& system) {
  auto guest = ProbeGuest::create(system);
  if (!guest) return false;
  const kvm::Vm::MsrRange ranges[] = {{msr::TSC, 1}, {msr::X2APIC_FIRST, 0x100}};
  if (!(*guest)->vm().filter_msrs(ranges)) return false;
  const u8 code[] = {0x0f, 0x32};
  return (*guest)->run(code, {.rcx = msr::TSC}).ending == Ending::msr;
}

double probe_mips(ProbeGuest& guest, Level level) {
  const u8 code[] = {0x48, 0xff, 0xc9, 0x75, 0xfb};  // 1: dec rcx; jnz 1b
  constexpr u64 kStart = u64{1} << 60;
  const host::HostNs begin = host::monotonic_now();
  const Outcome o = guest.run(code, {.level = level, .rcx = kStart, .timeout_ns = 100'000'000, .endless = true});
  const u64 ns = host::monotonic_now() - begin;
  return o.ending == Ending::kicked ? static_cast<double>(2 * (kStart - o.regs.rcx)) * 1e3 / static_cast<double>(ns)
                                    : 0;
}

double probe_port_exit(ProbeGuest& guest, Level level) {
  const u8 code[] = {0xe6, ProbeGuest::kLoopPort, 0xeb, 0xfc};  // 1: out kLoopPort, al; jmp 1b
  const host::HostNs begin = host::monotonic_now();
  static_cast<void>(guest.run(code, {.level = level, .timeout_ns = 30'000'000, .endless = true}));
  const u64 ns = host::monotonic_now() - begin;
  return guest.port_exits() ? static_cast<double>(ns) / 1e3 / static_cast<double>(guest.port_exits()) : 0;
}

}  // namespace

Result<KvmFacts> probe_kvm(const kvm::System& system) {
  auto created = ProbeGuest::create(system);
  if (!created) return created.error();
  ProbeGuest& guest = **created;
  for (const Level level : kLevels) {
    const Outcome o = guest.run(std::vector<u8>{0x90}, {.level = level});
    if (o.ending != Ending::finished) {
      const std::string why = o.ending == Ending::kicked ? "nothing happens"
                              : o.failure.empty()        ? "exit reason " + std::to_string(o.exit_reason)
                                                         : o.failure;
      return Error{"KVM is there but does not execute a NOP at CPL " + std::to_string(static_cast<int>(level)) + ": " +
                   why + (o.failure.empty() ? std::string(kvm::kAdvice) : "")};
    }
  }
  KvmFacts facts;
  facts.single_step_rep = true;
  for (const Level level : kLevels) {
    at(facts.cpuid, level) = probe_cpuid(guest, level);
    at(facts.rdtsc, level) = behaviour(guest, level, {0x0f, 0x31}, true);
    at(facts.rdrand, level) = behaviour(guest, level, {0x0f, 0xc7, 0xf0});
    at(facts.rdseed, level) = behaviour(guest, level, {0x0f, 0xc7, 0xf8});
    at(facts.xgetbv, level) = behaviour(guest, level, {0x0f, 0x01, 0xd0});
    at(facts.avx, level) = behaviour(guest, level, {0xc5, 0xfc, 0x57, 0xc0});       // vxorps ymm0, ymm0, ymm0
    at(facts.fsgsbase, level) = behaviour(guest, level, {0xf3, 0x0f, 0xae, 0xc0});  // rdfsbase eax
    probe_instructions(guest, level, facts);
    at(facts.debug, level) = probe_debug(guest, level, facts.single_step_rep);
    at(facts.dirty_log, level) = probe_dirty_log(system, level);
    at(facts.mips, level) = probe_mips(guest, level);
    at(facts.port_exit_us, level) = probe_port_exit(guest, level);
  }
  guest.vcpu().trap_time_stamps(true);
  facts.rdtsc_faults_by_host = behaviour(guest, Level::user, {0x0f, 0x31}, true) == Behaviour::faults;
  guest.vcpu().trap_time_stamps(false);
  facts.syscall_enters_kernel = probe_syscall(guest);
  facts.interrupts_by_program = probe_software_interrupt(guest);
  facts.user_descriptors = probe_user_descriptors(guest);
  facts.undefined_flags = probe_undefined_flags(guest);
  facts.window_exact = probe_window(guest);
  facts.msr_exits = probe_msr_filter(system);
  facts.immediate_exit = facts.mips.kernel > 0 && facts.mips.user > 0;  // the kick ended both loops
  return facts;
}

}  // namespace rondo::doctor
