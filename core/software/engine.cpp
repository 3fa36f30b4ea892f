#include "core/software/engine.h"

#include <atomic>
#include <map>

#include "core/software/access.h"
#include "core/software/code_cache.h"
#include "core/software/debug_index.h"
#include "core/software/fetch.h"
#include "core/software/mode.h"
#include "core/software/ops/handler.h"
#include "core/software/paging.h"
#include "core/software/system/debug.h"
#include "core/software/system/exceptions.h"
#include "core/software/vcpu.h"

namespace rondo {
namespace software {
namespace {

class Interpreter final : public SoftwareEngine {
 public:
  explicit Interpreter(SoftwareEngineConfig config)
      : config_(std::move(config)),
        mmu_(config_.memory, tlb_),
        cache_(config_.memory, tlb_),
        fetcher_(config_.memory, cache_),
        jump_cache_(kJumpCacheSize) {
    cpu_.tlb = &tlb_;
    cpu_.jump_cache = jump_cache_.data();
    cpu_.memory = &config_.memory;
    cpu_.clock = &config_.clock;
    cpu_.ports = &config_.ports;
    cpu_.mmio = &config_.mmio;
    cpu_.apic = &config_.interrupts;
    cpu_.mmu = &mmu_;
    cpu_.code = &cache_;
    cpu_.debug = &debug_;
    cpu_.patched_text = config_.patched_text;
    cpu_.host_cpuid = config_.host_cpuid;
    set_state(CpuState::at_reset());
    memory_changed();
    config_.memory.attach_writer(*this);
  }
  ~Interpreter() override { config_.memory.detach_writer(*this); }

  EngineStop run(InstrCount stop) override;
  EngineStop step() override;
  EngineStop run_slice(InstrCount stop, u64 instructions, bool ends_at_user) override;
  u64 flushes() const override { return cpu_.flushes; }
  u64 retired() const override { return count(); }
  CpuState state() const override;
  void set_state(const CpuState& state) override;
  void memory_changed() override;
  void pages_changed(std::span<const u64> pages) override;
  void watch_writes() override { tlb_.drop_writes(); }
  void interrupt() override { interrupted_.store(true, std::memory_order_relaxed); }
  std::vector<UnsupportedInstruction> unsupported() const override;
  void set_debug_points(DebugPoints points) override;
  const DebugStop& debug_stop() const override { return debug_.stop(); }
  void set_search(const std::optional<SearchPoint>& point) override;
  void pass_breakpoint() override {
    cpu_.passed = cpu_.position(config_.clock.count().value);
    cpu_.passed_rip = cpu_.rip;
  }
  u64 deliveries() const override { return cpu_.position(config_.clock.instructions().value).deliveries; }
  u64 code_cache_bytes() const override { return cache_.bytes_used(); }

  void interrupt_state_changed() override { cpu_.attention = true; }
  void raise_nmi() override {
    cpu_.arch.nmi_pending = true;
    cpu_.attention = true;
  }

 private:
  EngineStop run_to(InstrCount stop, u64 instructions);
  void set_stop(u64 stop) {
    cpu_.remaining = static_cast<i64>(stop - count());
    cpu_.stop_count = stop;
  }
  u64 count() const { return cpu_.stop_count - static_cast<u64>(cpu_.remaining); }
  // The clock's count is the truth; where it is that of events, counting just goes on.
  void begin_at_clock() {
    cpu_.stop_count = config_.clock.counts_events() ? count() : config_.clock.count().value;
    cpu_.remaining = 0;
  }
  void sync() { config_.clock.set_count(InstrCount{count()}); }
  // Between instructions: what happens before the next one? True: run() returns `why`.
  bool attend(EngineStop& why);
  bool take_interrupt();
  void execute_one();
  // What a debugger asked for has come about: before the instruction at RIP, or after the last one.
  bool at_breakpoint();
  bool at_search();
  bool watchpoint_hit();
  void after_leaving();
  void deliver_fault();
  void note_delivery();
  void log_undefined();

  SoftwareEngineConfig config_;
  Vcpu cpu_;
  Tlb tlb_;
  Mmu mmu_;
  DebugIndex debug_;
  CodeCache cache_;
  Fetcher fetcher_;
  std::vector<JumpEntry> jump_cache_;
  bool delivered_ = false;  // attend() delivered an event
  bool stepping_ = false;   // needs_single_steps(), as of the last look
  std::atomic<bool> interrupted_ = false;
  InstrCount stop_event_;  // where events are counted
  std::map<std::string, UnsupportedInstruction> unsupported_;
};

// How many instructions may pass before interrupt() is noticed. A blink.
constexpr u64 kSlice = 4'000'000;

EngineStop Interpreter::run(InstrCount stop) { return run_to(stop, ~u64{0}); }

EngineStop Interpreter::run_slice(InstrCount stop, u64 instructions, bool ends_at_user) {
  RONDO_ASSERT(config_.clock.counts_events());
  if (ends_at_user) cpu_.stop_cpl = 3;
  const EngineStop why = run_to(stop, instructions);
  cpu_.stop_cpl = 0xff;
  return why;
}

// `instructions` matters only where `stop` is a number of synchronous events: attend() looks.
EngineStop Interpreter::run_to(InstrCount stop, u64 instructions) {
  begin_at_clock();
  if (cpu_.leave != Leave::unfinished) debug_.clear_hits();
  const u64 now = count();
  stop_event_ = stop;
  const u64 last = config_.clock.counts_events() ? now + std::min(instructions, ~now) : stop.value;
  const auto next_stop = [&](u64 from) { return std::min(last, from + std::min(kSlice, ~from)); };
  set_stop(next_stop(now));
  cpu_.attention = true;
  while (true) {
    if (debug_.hit() && watchpoint_hit()) {
      sync();
      return EngineStop::debug;
    }
    // The Moment after the last instruction comes before whatever is delivered there: the same Moment for both drives.
    if (cpu_.remaining <= 0) {
      if (count() >= last) {
        sync();
        return EngineStop::count_reached;
      }
      set_stop(next_stop(count()));
      if (debug_.search() && config_.clock.counts_events()) {  // nothing else shows that it goes on
        sync();
        return EngineStop::attention;
      }
      cpu_.attention =
          true;  // interrupt() may have been called, and a timer armed meanwhile may be due within this slice
    }
    if (cpu_.attention) {
      EngineStop why;
      if (attend(why)) {
        sync();
        return why;
      }
      // Something else may be due at this very Moment (an NMI and an interrupt, a data breakpoint on the stack of the
      // delivery): as step() does.
      if (delivered_) {
        cpu_.attention = true;
        continue;
      }
    }
    if (debug_.search() && at_search()) {
      sync();
      return EngineStop::candidate;
    }
    if (debug_.has_breakpoints() && at_breakpoint()) {
      sync();
      return EngineStop::debug;
    }
    if (stepping_ || debug_.hit()) {  // the rest of a REP that a watchpoint waits for: alone
      execute_one();
      continue;
    }
    const auto [outcome, block] = fetcher_.block_at(cpu_);
    if (outcome == Fetcher::Outcome::fault) {
      deliver_fault();
      continue;
    }
    if (outcome == Fetcher::Outcome::step || block->count > cpu_.remaining) {
      execute_one();
      continue;
    }
    cpu_.rflags_rest &= ~flags::RF;  // it held off instruction breakpoints for one instruction, and there are none
    cpu_.slots[kSlotRip / 8] = cpu_.rip;
    cpu_.remaining -= block->count;
    trampoline(cpu_, block->ops());
    after_leaving();
  }
}

EngineStop Interpreter::step() {
  begin_at_clock();
  stop_event_ = InstrCount{~u64{0}};
  cpu_.stop_count += 1;
  cpu_.remaining += 1;
  if (cpu_.leave != Leave::unfinished) debug_.clear_hits();
  cpu_.attention = true;
  EngineStop why = EngineStop::count_reached;
  if (!attend(why)) {
    why = EngineStop::count_reached;
    // Delivering an event is a step of its own; a halt or an exit shows at the next one.
    if (!delivered_ && debug_.search() && at_search()) {
      sync();
      return EngineStop::candidate;
    }
    if (!delivered_ && debug_.has_breakpoints() && at_breakpoint()) {
      sync();
      return EngineStop::debug;
    }
    if (!delivered_) execute_one();
    if (debug_.hit() && watchpoint_hit()) why = EngineStop::debug;
  }
  sync();
  return why;
}

bool Interpreter::attend(EngineStop& why) {
  delivered_ = false;
  cpu_.attention = false;
  CpuState& a = cpu_.arch;
  if (interrupted_.exchange(false, std::memory_order_relaxed)) {
    cpu_.attention = true;
    why = EngineStop::interrupted;
    return true;
  }
  if (a.activity == Activity::shutdown) {
    why = EngineStop::shutdown;
    return true;
  }
  // Devices may have asked for the end of the run, or armed a timer that is due before the stop count.
  sync();
  if (config_.clock.in_joined_events()) return false;
  const auto due = config_.clock.next_due_count();
  const bool due_in_slice = due && (config_.clock.sampled() || due->value < cpu_.stop_count);
  if (config_.exit_requested() || due_in_slice) {
    cpu_.attention = true;
    why = EngineStop::attention;
    return true;
  }
  if (config_.clock.counts_events() && config_.clock.count() >= stop_event_) {
    cpu_.attention = true;
    why = EngineStop::count_reached;
    return true;
  }
  if (a.pending_debug && !a.mov_ss_shadow) {
    Fault trap{.vector = kDB, .dr6 = a.pending_debug};
    a.pending_debug = 0;
    deliver(cpu_, trap);
    delivered_ = true;
  } else {
    delivered_ = take_interrupt();
  }
  if (delivered_) note_delivery();
  if (a.activity == Activity::shutdown) {
    why = EngineStop::shutdown;
    return true;
  }
  if (a.activity == Activity::halted) {
    why = EngineStop::halted;
    return true;
  }
  if (cpu_.cpl == cpu_.stop_cpl && !delivered_) {
    cpu_.attention = true;
    why = EngineStop::user;
    return true;
  }
  stepping_ = needs_single_steps(cpu_);
  return false;
}

bool Interpreter::take_interrupt() {
  CpuState& a = cpu_.arch;
  if (a.mov_ss_shadow) return false;
  if (a.nmi_pending && !a.nmi_blocked) {
    a.nmi_pending = false;
    a.nmi_blocked = true;
    a.activity = Activity::running;
    deliver(cpu_, kNMI, EventKind::nmi);
    return true;
  }
  if ((cpu_.rflags_rest & flags::IF) && !a.sti_shadow && config_.interrupts.intr()) {
    a.activity = Activity::running;
    deliver(cpu_, config_.interrupts.acknowledge(), EventKind::external);
    return true;
  }
  return false;
}

// One instruction, freshly decoded, with everything that can happen around it.
void Interpreter::execute_one() {
  CpuState& a = cpu_.arch;
  if (!(cpu_.rflags_rest & flags::RF)) {
    if (const u64 hit = debug_instruction_match(cpu_, cpu_.rip)) {
      cpu_.fault = {.vector = kDB, .dr6 = hit};
      deliver_fault();
      return;
    }
  }
  Op ops[2];
  Link links[2];
  if (!fetcher_.single(cpu_, ops, links)) {
    deliver_fault();
    return;
  }
  cpu_.rflags_rest &= ~flags::RF;
  const bool traps = cpu_.rflags_rest & flags::TF;
  // The shadows cover this instruction; it may cast new ones.
  const bool sti_before = a.sti_shadow, mov_ss_before = a.mov_ss_shadow;
  a.sti_shadow = a.mov_ss_shadow = false;
  if (sti_before || mov_ss_before || traps) cpu_.attention = true;

  const u64 stop = cpu_.stop_count;
  set_stop(count() + 1);
  cpu_.remaining -= 1;
  cpu_.slots[kSlotRip / 8] = cpu_.rip;
  const bool attention_before = cpu_.attention;
  cpu_.attention = false;
  cpu_.no_single_step = false;
  trampoline(cpu_, ops);
  cpu_.forget_links();  // those on this stack
  const bool retired_or_repeats = cpu_.leave != Leave::fault;
  if (traps && retired_or_repeats && !cpu_.no_single_step) {
    a.pending_debug |= dr6::BS;
    cpu_.attention = true;
  }
  cpu_.attention |= attention_before;
  set_stop(stop);
  after_leaving();
}

void Interpreter::after_leaving() {
  switch (cpu_.leave) {
    case Leave::budget:
    case Leave::lookup:
      break;
    case Leave::attention:
    case Leave::unfinished:
    case Leave::breakpoint:
      cpu_.attention = true;
      break;
    case Leave::fault:
      deliver_fault();
      break;
  }
}

void Interpreter::deliver_fault() {
  if (cpu_.fault.vector == kUD) log_undefined();
  sync();
  deliver(cpu_, cpu_.fault);
  note_delivery();
  cpu_.attention = true;
}

// Handlers whose first instruction faults take no time, and so would run for ever before the next count. A processor
// would be just as stuck; here that is a shutdown.
void Interpreter::note_delivery() {
  constexpr u64 kMostDeliveries = 10'000;
  cpu_.delivered = cpu_.position(count());
  if (++cpu_.delivered.deliveries > kMostDeliveries) cpu_.arch.activity = Activity::shutdown;
  cpu_.leave = Leave::attention;
}

bool Interpreter::at_breakpoint() {
  const u64 linear = cpu_.code64() ? cpu_.rip : (cpu_.rip + cpu_.arch.segment[CS].base) & 0xffffffff;
  if (!debug_.breaks_at(linear)) return false;
  const Position here = cpu_.position(count());
  if (cpu_.passed == here && cpu_.passed_rip == cpu_.rip) return false;
  debug_.stop().kind = DebugStop::Kind::breakpoint;
  debug_.stop().breakpoint = GuestLinear{linear};
  debug_.stop().before = here;
  return true;
}

// RF, which a REP sets while it is unfinished, is not part of an asynchronous Moment.
bool Interpreter::at_search() {
  if (!debug_.found(cpu_.rip, cpu_.slots.data())) return false;
  const Position here = cpu_.position(count());
  if (cpu_.searched == here) return false;
  cpu_.searched = here;
  cpu_.rflags_rest &= ~flags::RF;
  return true;
}

void Interpreter::set_search(const std::optional<SearchPoint>& point) {
  cache_.drop_spanning(debug_.set_search(point));
  cpu_.searched = Position{InstrCount{~u64{0}}};
  cpu_.code_generation = cache_.generation();
  privilege_context_changed(cpu_);
}

// Inside a REP that goes on there is no place to stop.
bool Interpreter::watchpoint_hit() {
  if (cpu_.leave == Leave::unfinished) return false;
  DebugStop& stop = debug_.stop();
  stop.kind = DebugStop::Kind::watchpoint;
  stop.before = cpu_.position(count());
  if (stop.before.deliveries > 0)
    --stop.before.deliveries;
  else
    stop.before = cpu_.position(count() - 1);
  return true;
}

void Interpreter::set_debug_points(DebugPoints points) {
  const bool watched = debug_.has_watchpoints();
  const std::vector<u16> fresh = debug_.set(std::move(points));
  cache_.drop_spanning(fresh);
  if (watched || debug_.has_watchpoints()) tlb_.clear();
  cpu_.code_generation = cache_.generation();
  privilege_context_changed(cpu_);
}

void Interpreter::log_undefined() {
  FetchedBytes fetched;
  if (!fetcher_.is_undefined(cpu_, fetched)) return;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string bytes;
  for (unsigned i = 0; i < fetched.count; ++i) {
    bytes += kDigits[fetched.bytes[i] >> 4];
    bytes += kDigits[fetched.bytes[i] & 15];
  }
  // A hostile guest must not make the log grow without end.
  constexpr std::size_t kMostEntries = 1000;
  auto found = unsupported_.find(bytes);
  if (found == unsupported_.end()) {
    if (unsupported_.size() >= kMostEntries) return;
    found = unsupported_.emplace(bytes, UnsupportedInstruction{bytes, cpu_.rip, 0}).first;
  }
  ++found->second.times;
}

std::vector<UnsupportedInstruction> Interpreter::unsupported() const {
  std::vector<UnsupportedInstruction> list;
  for (const auto& [bytes, entry] : unsupported_) list.push_back(entry);
  return list;
}

CpuState Interpreter::state() const {
  CpuState s = cpu_.arch;
  for (unsigned i = 0; i < 16; ++i) s.gpr[i] = cpu_.gpr(i);
  s.rip = cpu_.rip;
  s.rflags = cpu_.rflags();
  s.cr8 = config_.interrupts.read_cr8();
  return s;
}

void Interpreter::set_state(const CpuState& state) {
  cpu_.arch = state;
  for (unsigned i = 0; i < 16; ++i) cpu_.gpr(i) = state.gpr[i];
  cpu_.slots[kSlotZero / 8] = 0;
  for (unsigned i = 0; i < 6; ++i) cpu_.slots[segment_slot(i) / 8] = state.segment[i].base;
  cpu_.rip = state.rip;
  cpu_.set_rflags(state.rflags);
  // The CPL is SS.DPL (SDM 3C 24.4.1); in real mode segments carry DPL 0, in virtual-8086 mode 3.
  cpu_.cpl = cpu_.real_mode() ? 0 : cpu_.v8086() ? 3 : state.segment[SS].dpl;
  cpu_.attention = true;
  cpu_.delivered = cpu_.passed = {InstrCount{~u64{0}}, 0};
  cpu_.leave = Leave::attention;
  debug_.clear_hits();
  config_.interrupts.set_tsc_offset(state.tsc_offset);
  mode_changed(cpu_);
}

void Interpreter::pages_changed(std::span<const u64> pages) {
  for (const u64 page : pages) prepare_bulk_store(cpu_, config_.memory.page_host(page), kPageSize);
}

void Interpreter::memory_changed() {
  cache_.clear();
  tlb_.clear();
  mmu_.select_address_space(cpu_);
  mmu_.flush(cpu_);
  cpu_.code_generation = cache_.generation();
  cpu_.forget_links();
  mode_changed(cpu_);
}

}  // namespace
}  // namespace software

std::unique_ptr<SoftwareEngine> make_software_engine(SoftwareEngineConfig config) {
  return std::make_unique<software::Interpreter>(std::move(config));
}

}  // namespace rondo
