#include "harness/boot/setup_header.h"

#include <algorithm>

#include "harness/boot/bytes.h"

namespace rondo::boot {
namespace {

// Offsets in the file and in boot_params alike.
constexpr u64 kSetupSects = 0x1f1, kBootFlag = 0x1fe, kJumpLength = 0x201, kMagic = 0x202, kVersion = 0x206,
              kTypeOfLoader = 0x210, kLoadFlags = 0x211, kCode32Start = 0x214, kRamdiskImage = 0x218,
              kRamdiskSize = 0x21c, kCmdLinePtr = 0x228, kInitrdAddrMax = 0x22c, kKernelAlignment = 0x230,
              kRelocatable = 0x234, kXloadflags = 0x236, kCmdlineSize = 0x238, kPayloadOffset = 0x248,
              kPayloadLength = 0x24c, kPrefAddress = 0x258, kInitSize = 0x260, kHeaderMinimumEnd = 0x264,
              kHeaderMaximumEnd = 0x290;
// Offsets in boot_params only.
constexpr u64 kAcpiRsdpAddr = 0x070, kE820Entries = 0x1e8, kE820Table = 0x2d0, kE820EntrySize = 20,
              kE820MaximumEntries = 128;

constexpr u32 kMagicValue = 0x53726448;  // "HdrS"
constexpr u16 kBootFlagValue = 0xaa55;
constexpr u16 kOldestVersion = 0x020c;  // the first with xloadflags
constexpr u8 kLoaderUnknown = 0xff;     // no assigned loader number
constexpr u8 kLoadedHigh = 1;
constexpr u16 kXlfKernel64 = 1;
constexpr u64 kSector = 512;

}  // namespace

Result<SetupHeader> parse_setup_header(std::span<const u8> kernel) {
  if (kernel.size() < kHeaderMinimumEnd) return Error{"bzImage is truncated: its setup header is incomplete"};
  if (field<u16>(kernel, kBootFlag) != kBootFlagValue || field<u32>(kernel, kMagic) != kMagicValue)
    return Error{"not a Linux bzImage"};
  SetupHeader h;
  h.version = field<u16>(kernel, kVersion);
  if (h.version < kOldestVersion)
    return Error{"bzImage speaks a boot protocol older than 2.12: it has no 64-bit entry point"};
  h.xloadflags = field<u16>(kernel, kXloadflags);
  if (!(h.xloadflags & kXlfKernel64)) return Error{"bzImage is a 32-bit kernel: use an x86-64 kernel"};
  if (!(kernel[kLoadFlags] & kLoadedHigh)) return Error{"zImage kernels are not supported: use a bzImage"};
  h.initrd_addr_max = field<u32>(kernel, kInitrdAddrMax);
  h.kernel_alignment = field<u32>(kernel, kKernelAlignment);
  h.relocatable = kernel[kRelocatable] != 0;
  h.cmdline_size = field<u32>(kernel, kCmdlineSize);
  h.payload_offset = field<u32>(kernel, kPayloadOffset);
  h.payload_length = field<u32>(kernel, kPayloadLength);
  h.pref_address = field<u64>(kernel, kPrefAddress);
  h.init_size = field<u32>(kernel, kInitSize);
  const u64 sectors = kernel[kSetupSects] ? kernel[kSetupSects] : 4;  // 0 means 4, for compatibility
  h.protected_mode_offset = (sectors + 1) * kSector;
  if (h.protected_mode_offset >= kernel.size())
    return Error{"bzImage is truncated: it ends before its protected-mode part"};
  const u64 header_end =
      std::clamp<u64>(kMagic + kernel[kJumpLength], kHeaderMinimumEnd, std::min<u64>(kHeaderMaximumEnd, kernel.size()));
  h.raw.assign(kernel.begin() + kSetupHeaderOffset, kernel.begin() + static_cast<std::ptrdiff_t>(header_end));
  return h;
}

SetupHeader synthetic_setup_header() {
  SetupHeader h;
  h.version = 0x020f;
  h.xloadflags = kXlfKernel64;
  h.initrd_addr_max = 0x7fffffff;  // what every x86-64 kernel says
  h.kernel_alignment = u64{2} << 20;
  h.cmdline_size = 2047;  // COMMAND_LINE_SIZE of x86, less the terminating zero
  h.raw.resize(kHeaderMinimumEnd - kSetupHeaderOffset);
  const auto put = [&](u64 offset, auto value) { put_field(std::span(h.raw), offset - kSetupHeaderOffset, value); };
  put(kBootFlag, kBootFlagValue);
  put(kMagic, kMagicValue);
  put(kVersion, h.version);
  put(kInitrdAddrMax, static_cast<u32>(h.initrd_addr_max));
  put(kKernelAlignment, static_cast<u32>(h.kernel_alignment));
  put(kXloadflags, h.xloadflags);
  put(kCmdlineSize, static_cast<u32>(h.cmdline_size));
  return h;
}

Result<std::array<u8, 4096>> make_boot_params(const BootParams& params) {
  std::array<u8, 4096> page{};
  std::copy(params.header.raw.begin(), params.header.raw.end(), page.begin() + kSetupHeaderOffset);
  const auto put = [&](u64 offset, auto value) { put_field(std::span<u8>(page), offset, value); };
  put(kTypeOfLoader, kLoaderUnknown);
  put(kLoadFlags, static_cast<u8>(page[kLoadFlags] | kLoadedHigh));
  put(kCode32Start, u32{0x100000});
  put(kCmdLinePtr, static_cast<u32>(params.command_line));
  put(kRamdiskImage, static_cast<u32>(params.initrd_start));
  put(kRamdiskSize, static_cast<u32>(params.initrd_size));
  if (params.acpi_rsdp) put(kAcpiRsdpAddr, params.acpi_rsdp->value);
  if (params.memory_map.size() > kE820MaximumEntries)
    return Error{"the memory map has too many entries for boot_params"};
  put(kE820Entries, static_cast<u8>(params.memory_map.size()));
  u64 at = kE820Table;
  for (const Region& region : params.memory_map) {
    put(at, region.start.value);
    put(at + 8, region.length);
    put(at + 16, static_cast<u32>(region.type));
    at += kE820EntrySize;
  }
  return page;
}

}  // namespace rondo::boot
