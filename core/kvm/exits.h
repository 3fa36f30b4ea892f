// Why KVM_RUN came back, as one typed variant.
#pragma once

#include <string>
#include <variant>

#include "core/kvm/vcpu.h"

namespace rondo::kvm {

struct PortAccess {
  u16 port;
  u8 size;
  u32 count;  // string I/O comes in batches
  bool in;
  u8* data;  // count elements of size bytes, in the run area
};
struct DeviceAccess {
  GuestPhys address;
  u32 size;
  bool write;
  u8* data;
};
struct MsrAccess {
  u32 index;
  bool write;
};
struct Halted {};
struct ShutDown {};
struct WindowOpen {};  // an interrupt can be delivered now
struct TprLowered {};
struct Unemulated {  // KVM does not know what to do with the instruction at RIP
  u32 suberror;
};
struct Kicked {};  // a signal, or immediate_exit
struct Failed {    // the host's failure
  std::string what;
};

using Exit = std::variant<PortAccess, DeviceAccess, MsrAccess, Halted, ShutDown, WindowOpen, TprLowered, Unemulated,
                          Kicked, Failed>;

// `result` is what VcpuHandle::run() returned.
Exit exit_of(VcpuHandle& vcpu, int result);

}  // namespace rondo::kvm
