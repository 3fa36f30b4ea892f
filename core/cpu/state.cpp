#include "core/cpu/state.h"

#include "core/cpu/cpuid.h"

namespace rondo {
namespace {

// One list of fields serves both directions: `Io` is a writer or a reader of single fields, so they cannot disagree.
struct FieldWriter {
  StateWriter& out;
  void operator()(const u64& v) { out.write_u64(v); }
  void operator()(const u32& v) { out.write_u32(v); }
  void operator()(const u16& v) { out.write_u16(v); }
  void operator()(const u8& v) { out.write_u8(v); }
  void operator()(const bool& v) { out.write_bool(v); }
  void operator()(const Activity& v) { out.write_u8(static_cast<u8>(v)); }
};

struct FieldReader {
  StateReader& in;
  void operator()(u64& v) { v = in.read_u64(); }
  void operator()(u32& v) { v = in.read_u32(); }
  void operator()(u16& v) { v = in.read_u16(); }
  void operator()(u8& v) { v = in.read_u8(); }
  void operator()(bool& v) { v = in.read_bool(); }
  void operator()(Activity& v) {
    const u8 raw = in.read_u8();
    if (raw > static_cast<u8>(Activity::wait_for_sipi)) in.fail("saved state: unknown vCPU activity");
    v = static_cast<Activity>(raw);
  }
};

template <class Io, class S>
void segment_fields(Io io, S& s) {
  io(s.selector), io(s.base), io(s.limit), io(s.type), io(s.s), io(s.dpl), io(s.present), io(s.avl), io(s.l), io(s.db), io(s.g);
}

template <class Io, class State>
void all_fields(Io io, State& c) {
  for (auto& r : c.gpr) io(r);
  io(c.rip), io(c.rflags);
  for (auto& s : c.segment) segment_fields(io, s);
  segment_fields(io, c.ldtr), segment_fields(io, c.tr);
  io(c.gdtr.base), io(c.gdtr.limit), io(c.idtr.base), io(c.idtr.limit);
  io(c.cr0), io(c.cr2), io(c.cr3), io(c.cr4), io(c.cr8), io(c.efer);
  for (auto& d : c.dr) io(d);
  io(c.dr6), io(c.dr7);
  for (auto& f : c.fpu.significand) io(f);
  for (auto& f : c.fpu.sign_exponent) io(f);
  io(c.fpu.control), io(c.fpu.status), io(c.fpu.valid), io(c.fpu.opcode), io(c.fpu.instruction_pointer), io(c.fpu.instruction_selector);
  io(c.fpu.data_pointer), io(c.fpu.data_selector);
  for (auto& x : c.xmm) io(x.lane[0]), io(x.lane[1]);
  io(c.mxcsr), io(c.tsc_offset), io(c.tsc_adjust), io(c.sysenter_cs), io(c.sysenter_esp), io(c.sysenter_eip);
  io(c.star), io(c.lstar), io(c.cstar), io(c.sfmask), io(c.kernel_gs_base), io(c.tsc_aux), io(c.pat), io(c.misc_enable), io(c.spec_ctrl);
  io(c.mtrr_def_type);
  for (auto& m : c.mtrr_fixed) io(m);
  for (auto& m : c.mtrr_variable) io(m);
  io(c.mcg_status), io(c.activity), io(c.sti_shadow), io(c.mov_ss_shadow), io(c.nmi_pending), io(c.nmi_blocked), io(c.pending_debug);
}

std::string section_name(unsigned cpu_index) { return "vcpu" + std::to_string(cpu_index); }

}  // namespace

CpuState CpuState::at_reset() {
  CpuState c;
  c.rip = 0xfff0;
  c.cr0 = cr0::ET | cr0::NW | cr0::CD;
  c.gpr[RDX] = kCpuSignature;
  for (Segment& s : c.segment) s = Segment{};
  c.segment[CS].selector = 0xf000;
  c.segment[CS].base = 0xffff0000;
  c.segment[CS].type = 0xb;
  c.ldtr = Segment{.type = 2, .s = false};
  c.tr = Segment{.type = 0xb, .s = false};
  return c;
}

void CpuState::save(StateWriter& writer, unsigned cpu_index) const {
  writer.section(section_name(cpu_index), 1);
  all_fields(FieldWriter{writer}, *this);
}

void CpuState::load(StateReader& reader, unsigned cpu_index) {
  reader.section(section_name(cpu_index), 1);
  all_fields(FieldReader{reader}, *this);
}

}  // namespace rondo
