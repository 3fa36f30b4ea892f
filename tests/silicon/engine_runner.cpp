#include "tests/silicon/engine_runner.h"

#include "core/base/assert.h"

namespace rondo::silicon {
namespace {

// Physical memory: page tables, then one page each of system data, stubs and ring-0 stack, code, data, exit.
constexpr u64 kRamBytes = 4 << 20;
constexpr u64 kTables = 0x1000;  // PML4; PDPT, PD, PT of the test's addresses; the same of the guest's own
constexpr u64 kSystemPhysical = 0x8000, kStubPhysical = 0x9000, kStackPhysical = 0xa000, kExitPhysical = 0xb000;
constexpr u64 kCodePhysical = 0x100000, kDataPhysical = 0x200000;

// The guest's own pages, for supervisor access only: in the upper half, where a native case meets the host's kernel.
constexpr u64 kSystemLinear = 0xffffa00000180000, kStubLinear = kSystemLinear + kPageSize,
              kStackLinear = kSystemLinear + 2 * kPageSize;
constexpr u64 kStackTop = kStackLinear + kPageSize;
constexpr u64 kGdt = 0, kTss = 0x100, kIdt = 0x200;  // within the system page
constexpr u16 kSystemCode = 0x10;
constexpr u64 kStubStride = 16;  // a HLT for each vector
constexpr unsigned kVectors = 32;

// The run drive starts here: code beside the exit that touches the writable pages and goes to the case, so that the
// case finds a warm TLB. XCHG with memory, twice, changes neither registers nor flags nor memory.
constexpr u64 kPreludeOffset = 0x100;
constexpr u64 kPrelude = kExit + kPreludeOffset;

constexpr u64 kStepLimit = 100'000;
constexpr unsigned kKickLimit = 100;  // of a guest on KVM that does not end

constexpr u8 kHlt = 0xf4;

void put64(u8* at, u64 value) { std::memcpy(at, &value, sizeof value); }
u64 get64(const u8* at) {
  u64 value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Everything but the distance of the final jump, whose address is returned.
u64 put_prelude(u8* at) {
  u64 length = 0;
  for (unsigned page = 0; page < kDataPages.size(); ++page) {
    if (kDataPages[page] != PageKind::writable) continue;
    const u32 address = static_cast<u32>(kDataBase + page * kPageSize);
    for (unsigned twice = 0; twice < 2; ++twice) {
      constexpr u8 kXchgAlAbsolute[] = {0x86, 0x04, 0x25};
      std::memcpy(at + length, kXchgAlAbsolute, sizeof kXchgAlAbsolute);
      std::memcpy(at + length + sizeof kXchgAlAbsolute, &address, sizeof address);
      length += sizeof kXchgAlAbsolute + sizeof address;
    }
  }
  at[length] = 0xe9;
  return length + 1;
}

// SDM 3A 6.14.1: a 64-bit interrupt gate.
void put_gate(u8* at, u64 handler, u16 selector) {
  constexpr u64 kPresentInterruptGate = 0x8e00;
  // INT3, INTO and INT1 are made at CPL 3: the gates of #BP and #OF must have DPL 3.
  constexpr u64 kDpl3 = 0x6000;
  put64(at, (handler & 0xffff) | u64{selector} << 16 | (kPresentInterruptGate | kDpl3) << 32 |
                (handler >> 16 & 0xffff) << 48);
  put64(at + 8, handler >> 32);
}

}  // namespace

// Interrupts never arrive here.
class EngineRunner::NoInterrupts final : public InterruptController {
 public:
  bool intr() const override { return false; }
  u8 acknowledge() override { return 0; }
  u8 read_cr8() const override { return 0; }
  void write_cr8(u8) override {}
  bool owns_msr(u32) const override { return false; }
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }
  void set_tsc_offset(u64) override {}
};

// It stands still.
class EngineRunner::NoTime final : public TimeSource {
 public:
  VirtualNs at_event(VirtualNs now, bool) override { return now; }
  VirtualNs at_kick(VirtualNs now) override { return now; }
  bool is_late(VirtualNs, VirtualNs) const override { return false; }
};

std::string_view name_of(Drive drive) { return drive == Drive::step ? "step" : drive == Drive::run ? "run" : "KVM"; }

EngineRunner::EngineRunner() : interrupts_(std::make_unique<NoInterrupts>()) {
  auto memory = PhysicalMemory::create(kRamBytes);
  RONDO_ASSERT(memory.has_value());
  memory_ = std::move(memory).value();
  engine_ = make_software();
  build_guest();
}

EngineRunner::~EngineRunner() = default;

std::unique_ptr<SoftwareEngine> EngineRunner::make_software() {
  return make_software_engine({*memory_, clock_, ports_, mmio_, *interrupts_, [] { return false; }});
}

Result<std::unique_ptr<EngineRunner>> EngineRunner::create_on_kvm() {
  auto runner = std::make_unique<EngineRunner>();
  auto software = runner->make_software();
  runner->engine_.reset();
  runner->kicker_.ask([runner = runner.get()] { return runner->kicks_left_ == 0 || --runner->kicks_left_ == 0; });
  auto engine = make_kvm_engine({.memory = *runner->memory_,
                                 .clock = runner->clock_,
                                 .ports = runner->ports_,
                                 .mmio = runner->mmio_,
                                 .interrupts = *runner->interrupts_,
                                 .exit_requested = [] { return false; },
                                 .software = std::move(software),
                                 .kicker = runner->kicker_,
                                 .supervisor_in_software = true});
  if (!engine) return engine.error();
  runner->kvm_ = engine->get();
  runner->engine_ = std::move(*engine);
  runner->time_ = std::make_unique<NoTime>();
  runner->clock_.use_samples(runner->time_.get());
  return runner;
}

std::span<const Drive> EngineRunner::drives() const {
  static constexpr Drive kDrives[] = {Drive::step, Drive::run, Drive::kvm};
  return on_kvm() ? std::span(kDrives).last(1) : std::span(kDrives).first(2);
}

u64 EngineRunner::kvm_entries() const { return kvm_ ? kvm_->statistics().user_entries : 0; }

// Each half of the linear addresses has one table of each level.
void EngineRunner::map_page(u64 linear, u64 physical, bool user, bool writable, bool executable) {
  constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kNoExecute = u64{1} << 63;
  const u64 index[4] = {linear >> 39 & 511, linear >> 30 & 511, linear >> 21 & 511, linear >> 12 & 511};
  u64 table = kTables;
  for (unsigned level = 0; level < 3; ++level) {
    const u64 next = kTables + ((linear >> 63 ? 4 : 1) + level) * kPageSize;
    put64(memory_->host(GuestPhys{table + 8 * index[level]}), next | kPresent | kWritable | kUser | kAccessed);
    table = next;
  }
  put64(memory_->host(GuestPhys{table + 8 * index[3]}), physical | kPresent | kAccessed |
                                                            (writable ? kWritable | kDirty : 0) | (user ? kUser : 0) |
                                                            (executable ? 0 : kNoExecute));
}

void EngineRunner::build_guest() {
  for (u64 at = 0; at < kCodeBytes; at += kPageSize) map_page(kCodeBase + at, kCodePhysical + at, true, false, true);
  for (unsigned page = 0; page < kDataPages.size(); ++page)
    if (kDataPages[page] != PageKind::hole)
      map_page(kDataBase + page * kPageSize, kDataPhysical + page * kPageSize, true,
               kDataPages[page] == PageKind::writable, false);
  map_page(kExit, kExitPhysical, true, false, true);
  map_page(kSystemLinear, kSystemPhysical, false, true, false);
  map_page(kStubLinear, kStubPhysical, false, false, true);
  map_page(kStackLinear, kStackPhysical, false, true, false);
  *memory_->host(GuestPhys{kExitPhysical}) = kHlt;  // #GP at CPL 3
  prelude_jump_ = kPreludeOffset + put_prelude(memory_->host(GuestPhys{kExitPhysical + kPreludeOffset}));
  u8* system = memory_->host(GuestPhys{kSystemPhysical});
  put64(system + kGdt + kSystemCode, 0x00209b0000000000);            // 64-bit code, DPL 0
  put64(system + kGdt + (kCodeSelector & ~7), 0x0020fb0000000000);   // ... DPL 3
  put64(system + kGdt + (kStackSelector & ~7), 0x00cff3000000ffff);  // data, DPL 3
  put64(system + kGdt + (kCode32Selector & ~7), 0x00cffb000000ffff);
  put64(system + kGdt + (kReadOnlySelector & ~7), 0x00cff1000000ffff);
  put64(system + kGdt + (kSmallSelector & ~7), 0x0040f30000000fff);
  put64(system + kTss + 4, kStackTop);  // RSP0 (SDM 3A 7.7)
  const u16 io_map = 104;               // beyond the limit: no port is allowed
  std::memcpy(system + kTss + 102, &io_map, sizeof io_map);
  for (unsigned vector = 0; vector < kVectors; ++vector) {
    put_gate(system + kIdt + 16 * vector, kStubLinear + kStubStride * vector, kSystemCode);
    *memory_->host(GuestPhys{kStubPhysical + kStubStride * vector}) = kHlt;
  }

  CpuState& s = initial_;
  s.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::PG;
  s.cr3 = kTables;
  s.cr4 = cr4::PAE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT;
  s.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  for (const SegmentName name : {ES, DS, FS, GS})
    s.segment[name] = {.selector = 0, .limit = 0, .dpl = 3, .present = false};
  s.segment[FS].base = kFsBase;
  s.segment[GS].base = kGsBase;
  s.segment[CS] = {.selector = kCodeSelector, .limit = 0xffffffff, .type = 11, .dpl = 3, .l = true, .g = true};
  s.segment[SS] = {.selector = kStackSelector, .limit = 0xffffffff, .type = 3, .dpl = 3, .db = true, .g = true};
  s.ldtr = {.selector = 0, .limit = 0, .type = 2, .s = false, .present = false};
  s.tr = {.selector = 0x48, .base = kSystemLinear + kTss, .limit = 103, .type = 11, .s = false};
  s.gdtr = {kSystemLinear + kGdt, 0xff};
  s.idtr = {kSystemLinear + kIdt, 16 * kVectors - 1};
}

void EngineRunner::load(const DataImage& data, const CodeImage& code) {
  base_ = data;
  for (u64 at = 0; at < kCodeBytes; at += kPageSize)
    std::memcpy(memory_->host(GuestPhys{kCodePhysical + at}), code.data() + at, kPageSize);
  for (u64 at = 0; at < kDataBytes; at += kPageSize)
    std::memcpy(memory_->host(GuestPhys{kDataPhysical + at}), data.data() + at, kPageSize);
  engine_->memory_changed();
}

void EngineRunner::start(const TestCase& test, Drive drive) {
  for (unsigned i = 0; i < test.patch_count; ++i) {
    const Patch& patch = test.patches[i];
    for (unsigned k = 0; k < patch.length; ++k)
      *memory_->host(GuestPhys{kDataPhysical + patch.address - kDataBase + k}) = test.patch_bytes[patch.offset + k];
  }
  CpuState state = initial_;
  state.gpr = test.initial.gpr;
  state.rip = drive == Drive::run ? kPrelude : test.initial.rip;
  if (drive == Drive::run) {
    const u32 distance = static_cast<u32>(test.initial.rip - (kExit + prelude_jump_ + sizeof(u32)));
    std::memcpy(memory_->host(GuestPhys{kExitPhysical + prelude_jump_}), &distance, sizeof distance);
  }
  state.rflags = test.initial.rflags;
  from_fx_image(test.initial.fx, state);
  engine_->set_state(state);
  if (drive == Drive::kvm) return;  // what it derives from memory is the same for all cases
  clock_.set_count(InstrCount{0});
  engine_->memory_changed();
}

// Every case ends in a HLT at CPL 0, in the stub of the exception that ended it.
bool EngineRunner::finish(Drive drive) {
  kicks_left_ = kKickLimit;
  if (drive != Drive::step) return engine_->run(clock_.count() + kStepLimit) == EngineStop::halted;
  for (u64 i = 0; i < kStepLimit; ++i) {
    const EngineStop stop = engine_->step();
    if (stop == EngineStop::halted) return true;
    if (stop != EngineStop::count_reached) return false;
  }
  return false;
}

void EngineRunner::collect(Outcome& out) {
  const CpuState state = engine_->state();
  // HLT has retired: RIP is after it.
  const u64 vector = (state.rip - 1 - kStubLinear) / kStubStride;
  out.final.gpr = state.gpr;
  const u8* stack = memory_->host(GuestPhys{kStackPhysical});
  const u64 frame = state.gpr[RSP] - kStackLinear;
  const bool framed = frame <= kPageSize - 40 && vector < kVectors;
  if (!framed) return;
  const bool has_error_code = kPageSize - frame == 48;
  const u8* top = stack + kPageSize - 40;  // RIP, CS, RFLAGS, RSP, SS
  out.vector = static_cast<u32>(vector);
  out.error_code = has_error_code ? static_cast<u32>(get64(stack + frame)) : 0;
  out.final.rip = get64(top);
  out.final.rflags = get64(top + 16);
  out.final.gpr[RSP] = get64(top + 24);
  out.fault_address = vector == kPF ? state.cr2 : 0;
  if (vector == kGP && out.final.rip == kExit) {
    out.vector = kNoFault;
    out.error_code = 0;
  }
  to_fx_image(state, out.final.fx);
  for (const SegmentName name : {ES, DS, FS, GS})
    out.segments[name] = {state.segment[name].selector, state.segment[name].present, state.segment[name].base};
  out.segments[CS].selector = static_cast<u16>(get64(top + 8));
  out.segments[SS].selector = static_cast<u16>(get64(top + 32));
  out.has_segments = true;
  out.ran = 1;
}

void EngineRunner::run(const TestCase& test, Drive drive, Outcome& out) {
  out.ran = 0;
  start(test, drive);
  if (finish(drive)) collect(out);
  out.change_count = 0;
  out.change_hash = 0;
  for (unsigned page = 0; page < kDataPages.size(); ++page) {
    if (kDataPages[page] != PageKind::writable) continue;
    const u64 offset = page * kPageSize;
    collect_changes(memory_->host(GuestPhys{kDataPhysical + offset}), base_.data() + offset, kDataBase + offset, out);
  }
  for (unsigned i = 0; i < test.patch_count; ++i) {
    const Patch& patch = test.patches[i];
    for (unsigned k = 0; k < patch.length; ++k) {
      const u64 offset = patch.address - kDataBase + k;
      *memory_->host(GuestPhys{kDataPhysical + offset}) = base_[offset];
    }
  }
}

void to_fx_image(const CpuState& state, FxImage& out) {
  const FpuState& fpu = state.fpu;
  const unsigned top = fpu.status >> 11 & 7;
  out.control = fpu.control;
  out.status = fpu.status;
  out.valid = fpu.valid;
  out.opcode = fpu.opcode;
  out.instruction_pointer = fpu.instruction_pointer;
  out.data_pointer = fpu.data_pointer;
  out.mxcsr = state.mxcsr;
  for (unsigned i = 0; i < 8; ++i) {
    out.st[i].significand = fpu.significand[(top + i) & 7];
    out.st[i].sign_exponent = fpu.sign_exponent[(top + i) & 7];
  }
  for (unsigned i = 0; i < 16; ++i)
    for (unsigned lane = 0; lane < 2; ++lane) out.xmm[i].lane[lane] = state.xmm[i].lane[lane];
}

void from_fx_image(const FxImage& image, CpuState& state) {
  FpuState& fpu = state.fpu;
  const unsigned top = image.status >> 11 & 7;
  fpu.control = image.control;
  fpu.status = image.status;
  fpu.valid = image.valid;
  fpu.opcode = image.opcode;
  fpu.instruction_pointer = image.instruction_pointer;
  fpu.data_pointer = image.data_pointer;
  fpu.instruction_selector = fpu.data_selector = 0;
  state.mxcsr = image.mxcsr;
  for (unsigned i = 0; i < 8; ++i) {
    fpu.significand[(top + i) & 7] = image.st[i].significand;
    fpu.sign_exponent[(top + i) & 7] = image.st[i].sign_exponent;
  }
  for (unsigned i = 0; i < 16; ++i)
    for (unsigned lane = 0; lane < 2; ++lane) state.xmm[i].lane[lane] = image.xmm[i].lane[lane];
}

}  // namespace rondo::silicon
