#include "harness/gdb/registers.h"

#include <array>
#include <cstring>

#include "core/cpu/canonical.h"
#include "core/cpu/fpu_tags.h"

namespace rondo::gdb {
namespace {

// gdb's order of the general registers, as ours.
constexpr std::array<unsigned, 16> kOrder64{RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                            R8,  R9,  R10, R11, R12, R13, R14, R15};
constexpr std::array<unsigned, 8> kOrder32{RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI};
constexpr std::array<const char*, 16> kNames64{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
                                               "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array<const char*, 8> kNames32{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::array<unsigned, 6> kSegmentOrder{CS, SS, DS, ES, FS, GS};
constexpr std::array<const char*, 6> kSegmentNames{"cs", "ss", "ds", "es", "fs", "gs"};
constexpr std::array<const char*, 8> kFpuControl{"fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"};
enum Control : unsigned { kCr0, kCr2, kCr3, kCr4, kCr8, kEfer };

constexpr char kTypes[] = R"(
<flags id="i386_eflags" size="4">
<field name="" start="22" end="31"/><field name="ID" start="21" end="21"/><field name="VIP" start="20" end="20"/>
<field name="VIF" start="19" end="19"/><field name="AC" start="18" end="18"/><field name="VM" start="17" end="17"/>
<field name="RF" start="16" end="16"/><field name="" start="15" end="15"/><field name="NT" start="14" end="14"/>
<field name="IOPL" start="12" end="13"/><field name="OF" start="11" end="11"/><field name="DF" start="10" end="10"/>
<field name="IF" start="9" end="9"/><field name="TF" start="8" end="8"/><field name="SF" start="7" end="7"/>
<field name="ZF" start="6" end="6"/><field name="AF" start="4" end="4"/><field name="PF" start="2" end="2"/>
<field name="" start="1" end="1"/><field name="CF" start="0" end="0"/>
</flags>
)";
constexpr char kSseTypes[] = R"(
<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>
<flags id="i386_mxcsr" size="4">
<field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/>
<field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/>
<field name="DAZ" start="6" end="6"/><field name="IM" start="7" end="7"/><field name="DM" start="8" end="8"/>
<field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/><field name="UM" start="11" end="11"/>
<field name="PM" start="12" end="12"/><field name="FZ" start="15" end="15"/>
</flags>
)";
constexpr char kControlTypes[] = R"(
<flags id="i386_cr0" size="8">
<field name="PG" start="31" end="31"/><field name="CD" start="30" end="30"/><field name="NW" start="29" end="29"/>
<field name="AM" start="18" end="18"/><field name="WP" start="16" end="16"/><field name="NE" start="5" end="5"/>
<field name="ET" start="4" end="4"/><field name="TS" start="3" end="3"/><field name="EM" start="2" end="2"/>
<field name="MP" start="1" end="1"/><field name="PE" start="0" end="0"/>
</flags>
<flags id="i386_cr4" size="8">
<field name="SMAP" start="21" end="21"/><field name="SMEP" start="20" end="20"/><field name="OSXSAVE" start="18" end="18"/>
<field name="PCIDE" start="17" end="17"/><field name="FSGSBASE" start="16" end="16"/><field name="UMIP" start="11" end="11"/>
<field name="OSXMMEXCPT" start="10" end="10"/><field name="OSFXSR" start="9" end="9"/><field name="PCE" start="8" end="8"/>
<field name="PGE" start="7" end="7"/><field name="MCE" start="6" end="6"/><field name="PAE" start="5" end="5"/>
<field name="PSE" start="4" end="4"/><field name="DE" start="3" end="3"/><field name="TSD" start="2" end="2"/>
<field name="PVI" start="1" end="1"/><field name="VME" start="0" end="0"/>
</flags>
<flags id="x64_efer" size="8">
<field name="NXE" start="11" end="11"/><field name="LMA" start="10" end="10"/><field name="LME" start="8" end="8"/>
<field name="SCE" start="0" end="0"/>
</flags>
)";

void put_number(u8* out, u64 value, unsigned bits) {
  for (unsigned i = 0; i < bits / 8; ++i) out[i] = i < 8 ? static_cast<u8>(value >> (8 * i)) : 0;
}

u64 get_number(const u8* bytes, unsigned bits) {
  u64 value = 0;
  for (unsigned i = 0; i < bits / 8 && i < 8; ++i) value |= u64{bytes[i]} << (8 * i);
  return value;
}

unsigned top_of(const FpuState& fpu) { return fpu.status >> 11 & 7; }

u64 fpu_control(const FpuState& fpu, unsigned index) {
  switch (index) {
    case 0:
      return fpu.control;
    case 1:
      return fpu.status;
    case 2:
      return full_tag_word(fpu);
    case 3:
      return fpu.instruction_selector;
    case 4:
      return fpu.instruction_pointer;
    case 5:
      return fpu.data_selector;
    case 6:
      return fpu.data_pointer;
    default:
      return fpu.opcode;
  }
}

void set_fpu_control(FpuState& fpu, unsigned index, u64 value) {
  switch (index) {
    case 0:
      fpu.control = static_cast<u16>(value);
      break;
    case 1:
      fpu.status = static_cast<u16>(value);
      break;
    case 2:
      set_full_tag_word(fpu, value);
      break;
    case 3:
      fpu.instruction_selector = static_cast<u16>(value);
      break;
    case 4:
      fpu.instruction_pointer = value;
      break;
    case 5:
      fpu.data_selector = static_cast<u16>(value);
      break;
    case 6:
      fpu.data_pointer = value;
      break;
    default:
      fpu.opcode = static_cast<u16>(value & 0x7ff);
      break;
  }
}

u64 control(const CpuState& cpu, unsigned index) {
  switch (index) {
    case kCr0:
      return cpu.cr0;
    case kCr2:
      return cpu.cr2;
    case kCr3:
      return cpu.cr3;
    case kCr4:
      return cpu.cr4;
    case kCr8:
      return cpu.cr8;
    default:
      return cpu.efer;
  }
}

std::string type_attribute(const std::string& type) { return " type=\"" + type + "\""; }

}  // namespace

Registers::Registers(Architecture architecture) : architecture_(architecture) {
  build_core();
  build_rest();
  description_ = describe();
}

void Registers::add(std::string name, Kind kind, unsigned index, unsigned bits, std::string type, std::string group) {
  table_.push_back({std::move(name), kind, index, bits, std::move(type), std::move(group)});
}

// org.gnu.gdb.i386.core has this order by definition.
void Registers::build_core() {
  if (architecture_ == Architecture::x86_64) {
    for (unsigned i = 0; i < 16; ++i) {
      const bool pointer = kOrder64[i] == RSP || kOrder64[i] == RBP;
      add(kNames64[i], Kind::gpr, kOrder64[i], 64, pointer ? "data_ptr" : "int64");
    }
    add("rip", Kind::rip, 0, 64, "code_ptr");
  } else {
    for (unsigned i = 0; i < 8; ++i) {
      const bool pointer = kOrder32[i] == RSP || kOrder32[i] == RBP;
      add(kNames32[i], Kind::gpr, kOrder32[i], 32, pointer ? "data_ptr" : "int32");
    }
    add("eip", Kind::rip, 0, 32, "code_ptr");
  }
  add("eflags", Kind::flags, 0, 32, "i386_eflags");
  for (unsigned i = 0; i < 6; ++i) add(kSegmentNames[i], Kind::selector, kSegmentOrder[i], 32, "int32");
  for (unsigned i = 0; i < 8; ++i) add("st" + std::to_string(i), Kind::st, i, 80, "i387_ext");
  for (unsigned i = 0; i < 8; ++i) add(kFpuControl[i], Kind::fpu_control, i, 32, "int", "float");
  core_count_ = table_.size();
}

void Registers::build_rest() {
  const bool wide = architecture_ == Architecture::x86_64;
  for (unsigned i = 0; i < (wide ? 16u : 8u); ++i) add("xmm" + std::to_string(i), Kind::xmm, i, 128, "vec128");
  add("mxcsr", Kind::mxcsr, 0, 32, "i386_mxcsr", "vector");
  sse_count_ = table_.size();
  if (wide) {
    add("fs_base", Kind::segment_base, FS, 64, "int64");
    add("gs_base", Kind::segment_base, GS, 64, "int64");
  }
  segments_count_ = table_.size();
  const unsigned bits = 64;
  for (const unsigned segment : {CS, SS, DS, ES}) {
    const std::string name = segment == CS ? "cs" : segment == SS ? "ss" : segment == DS ? "ds" : "es";
    add(name + "_base", Kind::segment_base, segment, bits, "int64");
  }
  if (wide) add("k_gs_base", Kind::kernel_gs_base, 0, bits, "int64");
  add("cr0", Kind::control, kCr0, bits, "i386_cr0");
  add("cr2", Kind::control, kCr2, bits, "int64");
  add("cr3", Kind::control, kCr3, bits, "int64");
  add("cr4", Kind::control, kCr4, bits, "i386_cr4");
  add("cr8", Kind::control, kCr8, bits, "int64");
  add("efer", Kind::control, kEfer, bits, "x64_efer");
}

std::string Registers::describe() const {
  const bool wide = architecture_ == Architecture::x86_64;
  std::string xml = "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>";
  xml += wide ? "i386:x86-64" : "i386";
  xml += "</architecture>";
  const auto feature = [&](const char* name, const char* types, std::size_t from, std::size_t to) {
    if (from == to) return;
    xml += std::string("<feature name=\"") + name + "\">" + types;
    for (std::size_t i = from; i < to; ++i) {
      const Register& r = table_[i];
      xml += "<reg name=\"" + r.name + "\" bitsize=\"" + std::to_string(r.bits) + "\"" + type_attribute(r.type);
      xml += " regnum=\"" + std::to_string(i) + "\"";
      if (!r.group.empty()) xml += " group=\"" + r.group + "\"";
      xml += "/>\n";
    }
    xml += "</feature>";
  };
  feature("org.gnu.gdb.i386.core", kTypes, 0, core_count_);
  feature("org.gnu.gdb.i386.sse", kSseTypes, core_count_, sse_count_);
  feature("org.gnu.gdb.i386.segments", "", sse_count_, segments_count_);
  feature("rondo.i386.system", kControlTypes, segments_count_, table_.size());
  return xml + "</target>";
}

void Registers::put(const CpuState& cpu, const Register& r, u8* out) const {
  switch (r.kind) {
    case Kind::gpr:
      return put_number(out, cpu.gpr[r.index], r.bits);
    case Kind::rip:
      return put_number(out, cpu.rip, r.bits);
    case Kind::flags:
      return put_number(out, cpu.rflags, r.bits);
    case Kind::selector:
      return put_number(out, cpu.segment[r.index].selector, r.bits);
    case Kind::st: {
      const unsigned i = (top_of(cpu.fpu) + r.index) & 7;
      std::memcpy(out, &cpu.fpu.significand[i], 8);
      std::memcpy(out + 8, &cpu.fpu.sign_exponent[i], 2);
      return;
    }
    case Kind::fpu_control:
      return put_number(out, fpu_control(cpu.fpu, r.index), r.bits);
    case Kind::xmm:
      std::memcpy(out, cpu.xmm[r.index].lane.data(), 16);
      return;
    case Kind::mxcsr:
      return put_number(out, cpu.mxcsr, r.bits);
    case Kind::segment_base:
      return put_number(out, cpu.segment[r.index].base, r.bits);
    case Kind::kernel_gs_base:
      return put_number(out, cpu.kernel_gs_base, r.bits);
    case Kind::control:
      return put_number(out, control(cpu, r.index), r.bits);
  }
}

// Selectors and control registers are more than their value: a debugger that wants another mode has to run code.
bool Registers::set(CpuState& cpu, const Register& r, const u8* bytes) const {
  const u64 value = get_number(bytes, r.bits);
  switch (r.kind) {
    case Kind::gpr:
      cpu.gpr[r.index] = value;
      return true;
    case Kind::rip:
      cpu.rip = value;
      return true;
    case Kind::flags: {
      constexpr u64 kSettable = flags::kArithmetic | flags::TF | flags::IF | flags::DF | flags::IOPL | flags::NT |
                                flags::RF | flags::AC | flags::ID;
      cpu.rflags = (cpu.rflags & ~kSettable) | (value & kSettable) | flags::FIXED1;
      return true;
    }
    case Kind::st: {
      const unsigned i = (top_of(cpu.fpu) + r.index) & 7;
      std::memcpy(&cpu.fpu.significand[i], bytes, 8);
      std::memcpy(&cpu.fpu.sign_exponent[i], bytes + 8, 2);
      return true;
    }
    case Kind::fpu_control:
      set_fpu_control(cpu.fpu, r.index, value);
      return true;
    case Kind::xmm:
      std::memcpy(cpu.xmm[r.index].lane.data(), bytes, 16);
      return true;
    case Kind::mxcsr:
      if (value & ~u64{0xffff}) return false;  // reserved bits: LDMXCSR would fault
      cpu.mxcsr = static_cast<u32>(value);
      return true;
    case Kind::segment_base:
    case Kind::kernel_gs_base: {
      if (!is_canonical(value)) return false;
      if (r.kind == Kind::kernel_gs_base)
        cpu.kernel_gs_base = value;
      else if (r.index == FS || r.index == GS)
        cpu.segment[r.index].base = value;
      else
        return value == cpu.segment[r.index].base;
      return true;
    }
    case Kind::selector:
      return value == cpu.segment[r.index].selector;
    case Kind::control:
      if (r.index == kCr2) cpu.cr2 = value;
      return value == control(cpu, r.index);
  }
  return false;
}

std::optional<std::vector<u8>> Registers::read(const CpuState& cpu, unsigned number) const {
  if (number >= table_.size()) return std::nullopt;
  std::vector<u8> bytes(table_[number].bits / 8);
  put(cpu, table_[number], bytes.data());
  return bytes;
}

bool Registers::write(CpuState& cpu, unsigned number, std::span<const u8> bytes) const {
  if (number >= table_.size() || bytes.size() != table_[number].bits / 8) return false;
  return set(cpu, table_[number], bytes.data());
}

std::vector<u8> Registers::read_all(const CpuState& cpu) const {
  std::vector<u8> bytes;
  for (const Register& r : table_) {
    bytes.resize(bytes.size() + r.bits / 8);
    put(cpu, r, bytes.data() + bytes.size() - r.bits / 8);
  }
  return bytes;
}

bool Registers::write_all(CpuState& cpu, std::span<const u8> bytes) const {
  std::size_t at = 0;
  CpuState changed = cpu;
  for (const Register& r : table_) {
    if (bytes.size() - at < r.bits / 8) return false;
    if (!set(changed, r, bytes.data() + at)) return false;
    at += r.bits / 8;
  }
  if (at != bytes.size()) return false;
  cpu = changed;
  return true;
}

std::optional<u64> Registers::value(const CpuState& cpu, unsigned number) const {
  std::array<u8, 16> bytes{};
  if (number >= table_.size()) return std::nullopt;
  put(cpu, table_[number], bytes.data());
  return get_number(bytes.data(), 64);
}

}  // namespace rondo::gdb
