#include "core/kvm/engine.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "core/cpu/cpuid.h"
#include "core/cpu/patched_text.h"
#include "core/kvm/cpuid_table.h"
#include "core/kvm/devices.h"
#include "core/kvm/exits.h"
#include "core/kvm/memory_slots.h"
#include "core/kvm/msr_filter.h"
#include "core/kvm/progress.h"
#include "core/kvm/state.h"
#include "core/kvm/string_io.h"
#include "core/kvm/system.h"
#include "core/kvm/user_view.h"

namespace rondo {
namespace kvm {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

bool is_read(const Exit& exit) {
  if (const auto* port = std::get_if<PortAccess>(&exit)) return port->in;
  const auto* device = std::get_if<DeviceAccess>(&exit);
  return device && !device->write;
}

class Hardware final : public KvmEngine {
 public:
  Hardware(KvmEngineConfig config, std::unique_ptr<Vm> vm, std::unique_ptr<VcpuHandle> vcpu)
      : config_(std::move(config)),
        vm_(std::move(vm)),
        vcpu_(std::move(vcpu)),
        slots_(*vm_, config_.memory),
        user_(*vcpu_, config_.memory) {
    config_.memory.attach_writer(*this);
  }
  ~Hardware() override { config_.memory.detach_writer(*this); }

  Status prepare();

  EngineStop run(InstrCount stop) override;
  EngineStop step() override;
  CpuState state() const override {
    const_cast<Hardware*>(this)->pull();
    CpuState state = state_;
    state.nmi_pending |= nmi_raised_;
    return state;
  }
  void set_state(const CpuState& state) override {
    state_ = state;
    where_ = Where::here;
    nmi_raised_ = false;
    config_.interrupts.set_tsc_offset(state.tsc_offset);
  }
  void memory_changed() override {
    derived_stale_ = true;
    config_.software->memory_changed();
  }
  void pages_changed(std::span<const u64> pages) override {
    derived_stale_ = true;
    config_.software->pages_changed(pages);
  }
  void watch_writes() override { check(slots_.mark_written()); }

  // KVM knows nothing of a debugger's points: with points the other engine runs.
  void set_debug_points(DebugPoints points) override {
    has_points_ = points != DebugPoints{};
    config_.software->set_debug_points(std::move(points));
  }
  const DebugStop& debug_stop() const override { return config_.software->debug_stop(); }
  // Nor of a search.
  void set_search(const std::optional<SearchPoint>& point) override {
    searching_ = point.has_value();
    statistics_.searches += searching_;
    config_.software->set_search(point);
  }
  void pass_breakpoint() override { config_.software->pass_breakpoint(); }
  u64 deliveries() const override { return config_.software->deliveries(); }

  void interrupt() override {
    interrupted_.store(true, std::memory_order_relaxed);
    vcpu_->area().immediate_exit = 1;
  }
  std::vector<UnsupportedInstruction> unsupported() const override { return config_.software->unsupported(); }
  std::string failure() const override { return failure_; }
  const Statistics& statistics() const override { return statistics_; }

  // run() asks before it enters the guest, so there is nothing to wake.
  void interrupt_state_changed() override {}
  // The other engine looks at once, also in the middle of a run.
  void raise_nmi() override {
    if (lent_) {
      config_.software->raise_nmi();
    } else {
      nmi_raised_ = true;
    }
  }

 private:
  enum class Where : u8 { here, in_kvm, both };  // the current registers

  EngineStop run_inside(InstrCount stop);
  std::optional<EngineStop> before_entry(InstrCount stop);
  bool nmi_waits() const { return nmi_raised_ || state_.nmi_pending; }
  bool interrupt_waits() const { return nmi_waits() || config_.interrupts.intr(); }
  bool can_deliver() const;
  Status push();
  void pull();
  void enter_guest();
  void handle(Exit exit);
  bool is_access(const PortAccess& access, bool joined);
  bool is_access(const DeviceAccess& access, bool joined);
  template <class Other>
  bool is_access(const Other&, bool) {
    return false;
  }
  bool takes_over_string();
  bool goes_on();
  bool may_be_in_int3();
  bool may_be_replacement(const Exit& exit) const;
  void answer_replacement(const PortAccess& access);
  void put_time_stamp(bool with_aux);
  void put_cpuid();
  void cancel_msr_access();
  void on_halt();
  void on_kick();
  void consider_moment(bool interruptible);
  EngineStop run_slice(InstrCount stop, u64 instructions, bool ends_at_user);
  UserView::Fit fit() const {
    if (!config_.supervisor_in_software) return UserView::Fit::fits;
    return UserView::fit(state_, config_.host_descriptors);
  }
  bool go_to_moment();
  EngineStop step_software();
  EngineStop run_software(InstrCount stop);
  [[nodiscard]] bool lend_state();
  void take_state_back();
  bool check(const Status& status) {
    if (!status && failure_.empty()) failure_ = status.error().message;
    return status.has_value();
  }
  void note_progress();
  void note_return(int result);

  KvmEngineConfig config_;
  std::unique_ptr<Vm> vm_;
  std::unique_ptr<VcpuHandle> vcpu_;
  MemorySlots slots_;
  UserView user_;
  CpuState state_;
  Where where_ = Where::here;
  bool derived_stale_ = false;  // memory changed behind KVM's back
  bool nmi_raised_ = false;     // and not in state_ yet
  bool lent_ = false;           // the other engine has the state
  bool has_points_ = false;
  bool searching_ = false;
  std::optional<u64> string_;  // RIP of a string instruction of which the other engine may have to do the rest
  bool kvm_ran_ = false;       // since the other engine executed
  bool resumed_ = false;       // it went on where it had stopped, with all that it had begun
  u64 flushes_ = 0;            // SoftwareEngine::flushes(), as of the last look
  Progress progress_;
  bool timer_runs_ = false;
  std::atomic<bool> interrupted_ = false;
  std::string failure_;
  Statistics statistics_;
};

Status Hardware::prepare() {
  if (Status made = slots_.create(); !made) return made;
  if (Status set = install_msr_filter(*vm_); !set) return set;
  if (Status set = vm_->enable(KVM_CAP_EXIT_ON_EMULATION_FAILURE, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", 1); !set)
    return set;
  if (Status set = vcpu_->set_cpuid(cpuid_table()); !set) return set;
  vcpu_->trap_time_stamps(config_.supervisor_in_software && config_.host_traps_time_stamps);
  vcpu_->area().kvm_valid_regs = KVM_SYNC_X86_REGS;
  set_state(CpuState::at_reset());
  return success();
}

EngineStop Hardware::run(InstrCount stop) {
  RONDO_ASSERT(config_.clock.sampled());
  if (has_points_ || searching_) return run_software(stop);
  if (!check(config_.kicker.attach(&vcpu_->area().immediate_exit))) return EngineStop::failed;
  const EngineStop why = run_inside(stop);
  config_.kicker.disarm();
  timer_runs_ = false;
  vcpu_->area().immediate_exit = 0;
  return failure_.empty() ? why : EngineStop::failed;
}

EngineStop Hardware::run_inside(InstrCount stop) {
  while (failure_.empty()) {
    if (const auto why = before_entry(stop)) return *why;
    constexpr u64 kMillisecond = 300'000;  // instructions, about: the host's time is looked at in between
    constexpr u64 kBrief = 20'000;
    switch (fit()) {
      case UserView::Fit::fits:
        enter_guest();
        break;
      case UserView::Fit::not_yet:
        step_software();
        break;
      case UserView::Fit::other_code:
        if (const EngineStop why = run_slice(stop, kBrief, false); why != EngineStop::user) return why;
        break;
      case UserView::Fit::supervisor:
        if (const EngineStop why = run_slice(stop, kMillisecond, true); why != EngineStop::user) return why;
        break;
    }
  }
  return EngineStop::failed;
}

// Between instructions: what happens before the next one?
std::optional<EngineStop> Hardware::before_entry(InstrCount stop) {
  if (interrupted_.exchange(false, std::memory_order_relaxed)) return EngineStop::interrupted;
  if (state_.activity == Activity::shutdown) return EngineStop::shutdown;
  if (config_.clock.in_joined_events()) return std::nullopt;
  const auto due = config_.clock.next_due();
  if (config_.exit_requested() || (due && *due <= config_.clock.now()) || config_.clock.is_waited_for())
    return EngineStop::attention;
  if (config_.clock.count() >= stop) return EngineStop::count_reached;
  if (interrupt_waits() && can_deliver()) {
    const EngineStop why = step_software();
    return why == EngineStop::shutdown ? std::optional(why) : std::nullopt;
  }
  if (state_.activity == Activity::halted) return EngineStop::halted;
  return std::nullopt;
}

bool Hardware::can_deliver() const {
  if (nmi_waits()) return true;  // rare: the other engine looks closely
  if (where_ == Where::in_kvm) return vcpu_->area().ready_for_interrupt_injection && vcpu_->area().if_flag;
  return (state_.rflags & flags::IF) && !state_.sti_shadow && !state_.mov_ss_shadow;
}

// Registers go to KVM.
Status Hardware::push() {
  if (derived_stale_) {
    if (Status renewed = slots_.renew(); !renewed) return renewed;
    derived_stale_ = false;
    ++statistics_.renewals;
  }
  if (where_ != Where::here) return success();
  progress_.enter_at({state_.rip, state_.gpr[RCX]});
  u64 apic_base = 0;
  config_.interrupts.read_msr(msr::APIC_BASE, apic_base);
  state_.cr8 = config_.interrupts.read_cr8();
  if (config_.supervisor_in_software) {
    if (Status loaded = user_.enter(state_, apic_base); !loaded) return loaded;
    ++statistics_.user_entries;
    where_ = Where::both;
    return success();
  }
  if (Status loaded = load_state(*vcpu_, state_, apic_base); !loaded) return loaded;
  where_ = Where::both;
  return success();
}

// Registers come from KVM.
void Hardware::pull() {
  if (where_ != Where::in_kvm) return;
  check(config_.supervisor_in_software ? user_.leave(state_) : store_state(*vcpu_, state_));
  state_.cr8 = config_.interrupts.read_cr8();
  where_ = Where::both;
}

void Hardware::enter_guest() {
  if (state_.pending_debug) {  // a trap that KVM has no place for
    pull();
    step_software();
    return;
  }
  if (const auto rip = std::exchange(string_, std::nullopt);
      rip && where_ == Where::here && *rip == state_.rip && (state_.rflags & flags::RF)) {
    string_ = rip;
    step_software();
    return;
  }
  const bool waiting = interrupt_waits();
  const bool may_lower_priority = !config_.supervisor_in_software && config_.interrupts.read_cr8() != 0;  // CPL 0 only
  if (nmi_waits() || (!config_.exact_windows && (waiting || may_lower_priority))) {
    // Towards the first Moment at which the interrupt can be delivered, by the engine that stops exactly there: or at
    // which one may appear, because the task priority falls. An emulated MOV to CR8 tells nobody.
    step_software();
    return;
  }
  resumed_ = where_ != Where::here;
  if (!check(push())) return;
  kvm_run& area = vcpu_->area();
  area.request_interrupt_window = waiting && config_.exact_windows;
  area.cr8 = config_.interrupts.read_cr8();
  if (!std::exchange(timer_runs_, true)) config_.kicker.arm(progress_.patience());
  const int result = vcpu_->run();
  note_return(result);
  kvm_ran_ = true;
  where_ = Where::in_kvm;
  ++statistics_.exits;
  // A guest's CR8 is the task priority of our interrupt controller, which may now be asked.
  if (area.cr8 != config_.interrupts.read_cr8()) config_.interrupts.write_cr8(static_cast<u8>(area.cr8));
  handle(exit_of(*vcpu_, result));
}

bool Hardware::is_access(const PortAccess& access, bool joined) {
  access_port(config_.clock, config_.ports, access, joined);
  return true;
}

bool Hardware::is_access(const DeviceAccess& access, bool joined) {
  access_device(config_.clock, config_.mmio, access, joined);
  return true;
}

void Hardware::handle(Exit exit) {
  if (is_read(exit) && takes_over_string()) return;
  bool joined = false;
  for (; std::visit([&](const auto& e) { return is_access(e, joined); }, exit); joined = true) {
    const bool replacement = may_be_replacement(exit);
    if (!goes_on()) {
      if (may_be_finished_repeat(vcpu_->area().s.regs.regs)) {
        pull();
        check(end_finished_repeat(*vcpu_, config_.memory, state_));
        where_ = Where::here;
      }
      if (replacement) answer_replacement(std::get<PortAccess>(exit));
      return;
    }
    exit = exit_of(*vcpu_, 0);
  }
  std::visit(Overloaded{[](const PortAccess&) {}, [](const DeviceAccess&) {},
                        [&](const MsrAccess&) {
                          cancel_msr_access();
                          step_software();
                        },
                        [&](const Halted&) { on_halt(); },
                        [&](const ShutDown&) {
                          pull();
                          if (config_.supervisor_in_software) {
                            if (check(user_.take_back(state_))) step_software();
                          } else {
                            state_.activity = Activity::shutdown;
                          }
                        },
                        [&](const WindowOpen&) {}, [&](const TprLowered&) {},
                        [&](const Unemulated& e) {
                          // A fault that was being delivered comes again when the instruction is executed again.
                          ++statistics_.unemulated;
                          pull();
                          progress_.stand_at({state_.rip, state_.gpr[RCX]});
                          check(progress_.stay("gave up (internal error " + std::to_string(e.suberror) + ")"));
                          if (!may_be_in_int3()) step_software();
                        },
                        [&](const Kicked&) { on_kick(); }, [&](const Failed& f) { check(Error{f.what}); }},
             exit);
}

// A device is read: if a string instruction does it, the other engine executes that, to its end.
bool Hardware::takes_over_string() {
  const auto sregs = vcpu_->sregs();
  if (!sregs) return !check(sregs.error());
  CpuState here;
  take_regs(vcpu_->area().s.regs.regs, here);
  take_segments(*sregs, here);
  here.efer = sregs->efer;
  const Result<bool> string = is_string_input(*vcpu_, config_.memory, here);
  if (!string) return !check(string.error());
  if (!*string) return false;
  pull();
  if (!check(withdraw_input(*vcpu_, config_.memory, state_))) return true;
  where_ = Where::here;
  string_ = state_.rip;
  step_software();
  return true;
}

// Finishes a device access. True: the same instruction has another one, and nothing can be delivered before it.
bool Hardware::goes_on() {
  const int result = vcpu_->complete();
  if (result < 0 && result != -EINTR) check(refused("KVM_RUN", result));
  return result == 0;
}

// The other engine would go on behind an INT3 whose exception KVM has still to raise: so KVM has to try again.
bool Hardware::may_be_in_int3() {
  if (!resumed_) return false;
  const Result<bool> behind = is_behind_int3(*vcpu_, config_.memory, state_);
  return !behind ? !check(behind.error()) : *behind;
}

// Of an instruction of the kernel's text (core/cpu/patched_text.h).
bool Hardware::may_be_replacement(const Exit& exit) const {
  const auto* access = std::get_if<PortAccess>(&exit);
  if (!config_.patched_text || !access || access->in || access->count != 1) return false;
  return access->port == kTimeStampPort ? access->size <= 2 : access->port == kCpuidPort && access->size == 1;
}

// The access has been finished, and is a synchronous event. If it was the immediate form of OUT, which KVM does not
// say, the answer goes to the registers.
void Hardware::answer_replacement(const PortAccess& access) {
  const u8 form[] = {static_cast<u8>(access.size == 1 ? 0xe6 : 0xe7), static_cast<u8>(access.port)};
  pull();
  const Result<bool> behind = is_behind(*vcpu_, config_.memory, state_, form);
  if (!behind) check(behind.error());
  if (!failure_.empty() || !*behind) return;
  if (access.port == kCpuidPort) {
    put_cpuid();
  } else {
    put_time_stamp(access.size == 2);
  }
  if (state_.rflags & flags::TF) state_.pending_debug |= dr6::BS;  // which KVM's emulator forgets where OUT exits
  where_ = Where::here;
}

void Hardware::put_time_stamp(bool with_aux) {
  const u64 tsc = config_.clock.now().value + state_.tsc_offset;
  state_.gpr[RAX] = static_cast<u32>(tsc);
  state_.gpr[RDX] = tsc >> 32;
  if (with_aux) state_.gpr[RCX] = static_cast<u32>(state_.tsc_aux);
}

void Hardware::put_cpuid() {
  constexpr u64 kApicEnable = 1 << 11;
  u64 apic_base = kApicEnable;
  config_.interrupts.read_msr(msr::APIC_BASE, apic_base);
  const CpuidResult result = cpuid({.leaf = static_cast<u32>(state_.gpr[RAX]),
                                    .subleaf = static_cast<u32>(state_.gpr[RCX]),
                                    .code64 = (state_.efer & efer::LMA) && state_.segment[CS].l,
                                    .apic_enabled = (apic_base & kApicEnable) != 0});
  state_.gpr[RAX] = result.eax;
  state_.gpr[RBX] = result.ebx;
  state_.gpr[RCX] = result.ecx;
  state_.gpr[RDX] = result.edx;
}

// The access is made to fail, and the #GP(0) that would follow is taken back: the state is that before the instruction.
void Hardware::cancel_msr_access() {
  vcpu_->area().msr.error = 1;
  const int result = vcpu_->complete();
  if (result < 0 && result != -EINTR) check(refused("KVM_RUN", result));
  pull();
  state_.pending_debug = 0;
}

void Hardware::on_halt() {
  config_.clock.begin_event(config_.clock.count());
  pull();
  state_.activity = Activity::halted;
}

// Signals that are not a kick, and whatever else makes the kernel say "again": the timer runs on, so that they keep
// nothing away.
void Hardware::note_return(int result) {
  timer_runs_ = result == -EINTR || result == -EAGAIN;
  if (timer_runs_) {
    check(progress_.stay("did not begin to run (" + std::generic_category().message(-result) + ")"));
  } else if (result < 0 || vcpu_->area().exit_reason != KVM_EXIT_INTERNAL_ERROR) {
    progress_.get_on();
  }
}

void Hardware::note_progress() {
  kvm_regs regs = vcpu_->area().s.regs.regs;
  if (!config_.supervisor_in_software) {  // nothing keeps them in the run area
    const Result<kvm_regs> got = vcpu_->regs();
    if (!got) return static_cast<void>(check(got.error()));
    regs = *got;
  }
  progress_.kicked_at({regs.rip, regs.rcx});
}

void Hardware::on_kick() {
  kvm_run& area = vcpu_->area();
  if (!area.immediate_exit) return;
  area.immediate_exit = 0;
  timer_runs_ = false;
  ++statistics_.kicks;
  note_progress();
  consider_moment(area.if_flag);
}

// The guest was stopped where nothing happened. That is a Moment only if something is to happen here.
void Hardware::consider_moment(bool interruptible) {
  const auto due = config_.clock.next_due();
  const bool timer = interruptible && !interrupt_waits() && due && config_.clock.is_late(*due);
  const bool leave = config_.kicker.wants_out();
  if ((!timer && !leave) || !go_to_moment()) return;
  if (timer && (state_.rflags & flags::IF)) config_.clock.begin_asynchronous();
  if (leave) interrupted_.store(true, std::memory_order_relaxed);
}

// To a point that a replay can find: nothing is half done, and RIP is an address. KVM may have begun with the next
// instruction, and have set the Accessed and Dirty bits of its pages: so it is executed first. RF, which a REP sets
// while it is unfinished, is not part of a Moment.
bool Hardware::go_to_moment() {
  if (where_ == Where::in_kvm) {
    auto events = vcpu_->events();
    if (!events) return check(events.error());
    if (delivery_in_flight(*events)) return false;
    pull();
    const Result<bool> behind = is_behind_int3(*vcpu_, config_.memory, state_);
    if (!behind) return check(behind.error());
    if (*behind) return false;
    const InstrCount before = config_.clock.count();
    if (step_software() == EngineStop::failed || config_.clock.count() != before) return false;
  }
  if (state_.activity != Activity::running || state_.sti_shadow || state_.mov_ss_shadow || state_.pending_debug)
    return false;
  if (!(state_.efer & efer::LMA && state_.segment[CS].l) && state_.segment[CS].base != 0) return false;
  if (state_.rflags & flags::RF) {
    state_.rflags &= ~flags::RF;
    where_ = Where::here;
  }
  return true;
}

// One instruction, or the delivery of one interrupt, by the other engine on the same state.
EngineStop Hardware::step_software() {
  if (!lend_state()) return EngineStop::failed;
  const EngineStop why = config_.software->step();
  take_state_back();
  return why;
}

// The other engine stands where this one does. What it derived from pages that the guest has written on KVM is void.
// False: the host failed to tell, now or before; nothing is executed on what may not be the guest's state.
bool Hardware::lend_state() {
  pull();
  if (std::exchange(nmi_raised_, false)) state_.nmi_pending = true;
  if (std::exchange(kvm_ran_, false)) {
    check(slots_.mark_written());
    config_.software->pages_changed(slots_.take_written());
  }
  config_.software->set_state(state_);
  lent_ = true;
  return failure_.empty();
}

// And back. KVM sees changes of page tables only when the guest flushes its TLB, as hardware does.
void Hardware::take_state_back() {
  state_ = config_.software->state();
  lent_ = false;
  where_ = Where::here;
  statistics_.software_instructions = config_.software->retired();
  if (const u64 flushes = config_.software->flushes(); flushes != flushes_) {
    flushes_ = flushes;
    derived_stale_ = true;
  }
}

EngineStop Hardware::run_software(InstrCount stop) {
  if (!lend_state()) return EngineStop::failed;
  const EngineStop why = config_.software->run(stop);
  take_state_back();
  return why;
}

// Some of the guest, by the other engine, and a look at the host's time: EngineStop::user if this is to go on.
EngineStop Hardware::run_slice(InstrCount stop, u64 instructions, bool ends_at_user) {
  if (!lend_state()) return EngineStop::failed;
  const EngineStop why = config_.software->run_slice(stop, instructions, ends_at_user);
  take_state_back();
  if (why != EngineStop::count_reached || config_.clock.count() >= stop) return why;
  consider_moment(state_.rflags & flags::IF);
  return EngineStop::user;
}

EngineStop Hardware::step() { return step_software(); }

}  // namespace
}  // namespace kvm

Result<std::unique_ptr<KvmEngine>> make_kvm_engine(KvmEngineConfig config) {
  kvm::System::Opened opened = kvm::System::open();
  if (!opened.system) return opened.error;
  auto vm = opened.system->create_vm();
  if (!vm) return vm.error();
  auto vcpu = (*vm)->create_vcpu();
  if (!vcpu) return vcpu.error();
  auto engine = std::make_unique<kvm::Hardware>(std::move(config), std::move(*vm), std::move(*vcpu));
  if (Status prepared = engine->prepare(); !prepared) return prepared.error();
  return std::unique_ptr<KvmEngine>(std::move(engine));
}

}  // namespace rondo
