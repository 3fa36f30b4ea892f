#include "harness/gdb/debuggee.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/guest_memory.h"

namespace rondo::gdb {

std::optional<GuestPhys> Debuggee::to_physical(const CpuState& cpu, u64 address) const {
  if (physical) return GuestPhys{address};
  return translate(cpu, travel_.machine().memory(), GuestLinear{address});
}

u64 Debuggee::read(u64 address, std::span<u8> out) {
  const CpuState state = cpu();
  u64 done = 0;
  while (done < out.size()) {
    const u64 at = address + done;
    const auto from = to_physical(state, at);
    const u64 part = std::min<u64>(out.size() - done, kPageSize - (at & kPageMask));
    if (!from || !travel_.machine().memory().read(*from, out.subspan(done, part))) break;
    done += part;
  }
  return done;
}

bool Debuggee::write(u64 address, std::span<const u8> bytes) {
  std::vector<u8> present(bytes.size());
  if (read(address, present) != bytes.size()) return false;
  if (std::equal(bytes.begin(), bytes.end(), present.begin())) return true;
  const CpuState state = cpu();
  for (u64 done = 0; done < bytes.size();) {
    const u64 at = address + done;
    const u64 part = std::min<u64>(bytes.size() - done, kPageSize - (at & kPageMask));
    if (!travel_.write_physical(*to_physical(state, at), bytes.subspan(done, part))) return false;
    done += part;
  }
  return true;
}

std::string Debuggee::name(u64 linear) const {
  const std::string symbol = symbols_.name(linear);
  return symbol.empty() ? fmt::format("0x{:x}", linear) : fmt::format("0x{:x} <{}>", linear, symbol);
}

u64 Debuggee::linear_pc() {
  const CpuState state = cpu();
  const bool code64 = (state.efer & efer::LMA) && state.segment[CS].l;
  return code64 ? state.rip : (state.segment[CS].base + state.rip) & 0xffffffff;
}

}  // namespace rondo::gdb
