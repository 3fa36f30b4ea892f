// The registers as gdb knows them: their numbers, their bytes in packets, and the XML that tells gdb about them (GDB
// manual, appendix G.5.18; the extra ones have the names that QEMU's stub gives them).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/cpu/state.h"

namespace rondo::gdb {

// gdb cannot change its mind about the architecture in mid-session, so one description serves all modes of the vCPU.
// x86_64 shows 32- and 16-bit code in the wide registers; i386 is for guests that never leave 32 bits, and lets gdb's
// `set architecture i8086` disassemble 16-bit code.
enum class Architecture : u8 { x86_64, i386 };

class Registers {
 public:
  explicit Registers(Architecture architecture);

  Architecture architecture() const { return architecture_; }
  unsigned count() const { return static_cast<unsigned>(table_.size()); }
  // Little-endian, as wide as the description says. None: no such register.
  std::optional<std::vector<u8>> read(const CpuState& cpu, unsigned number) const;
  // False: no such register, another width, or one that cannot be set.
  bool write(CpuState& cpu, unsigned number, std::span<const u8> bytes) const;
  std::vector<u8> read_all(const CpuState& cpu) const;
  bool write_all(CpuState& cpu, std::span<const u8> bytes) const;
  // For conditions: the low 64 bits.
  std::optional<u64> value(const CpuState& cpu, unsigned number) const;
  // target.xml
  const std::string& description() const { return description_; }

  unsigned pc() const { return architecture_ == Architecture::x86_64 ? 16 : 8; }
  unsigned sp() const { return architecture_ == Architecture::x86_64 ? 7 : 4; }
  unsigned fp() const { return architecture_ == Architecture::x86_64 ? 6 : 5; }

 private:
  enum class Kind : u8 {
    gpr,
    rip,
    flags,
    selector,
    st,
    fpu_control,
    xmm,
    mxcsr,
    segment_base,
    kernel_gs_base,
    control
  };
  struct Register {
    std::string name;
    Kind kind;
    unsigned index;  // within its kind
    unsigned bits;
    std::string type;
    std::string group;
  };
  void add(std::string name, Kind kind, unsigned index, unsigned bits, std::string type, std::string group = {});
  void build_core();
  void build_rest();
  std::string describe() const;
  void put(const CpuState& cpu, const Register& r, u8* out) const;
  bool set(CpuState& cpu, const Register& r, const u8* bytes) const;

  Architecture architecture_;
  std::vector<Register> table_;
  std::size_t core_count_ = 0, sse_count_ = 0, segments_count_ = 0;  // where the features end
  std::string description_;
};

}  // namespace rondo::gdb
