#include "harness/boot/multiboot.h"

#include <algorithm>

#include "harness/boot/bytes.h"
#include "harness/boot/cpu_modes.h"
#include "harness/boot/elf.h"
#include "harness/boot/layout.h"

namespace rondo::boot {
namespace {

// Section 3.1 of the specification: the header.
constexpr u64 kSearchLimit = 8192, kHeaderSize = 12, kHeaderWithAddresses = 32;
constexpr u32 kHeaderMagic = 0x1badb002, kLoaderMagic = 0x2badb002;
constexpr u32 kMandatoryFlags = 0xffff, kAlignModules = 1, kWantMemory = 2, kAddressFields = 1 << 16;
// Section 3.3: the information structure.
constexpr u64 kInfoSize = 116;
constexpr u32 kInfoMemory = 1 << 0, kInfoCommandLine = 1 << 2, kInfoModules = 1 << 3, kInfoMap = 1 << 6,
              kInfoLoaderName = 1 << 9;
constexpr u64 kMapEntrySize = 24;
constexpr char kLoaderName[] = "rondo";
constexpr u64 kFourGigabytes = u64{1} << 32;

// Puts the pieces of the information structure one after another into the page for boot parameters.
class InfoPage {
 public:
  std::span<u8> header() { return std::span(bytes_).first(kInfoSize); }
  Result<u32> append(std::span<const u8> part) {
    used_ = (used_ + 7) & ~u64{7};
    if (part.size() > bytes_.size() - used_) return Error{"the multiboot information does not fit into its page"};
    std::copy(part.begin(), part.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(used_));
    const u64 at = used_;
    used_ += part.size();
    return static_cast<u32>(kBootParams.value + at);
  }
  std::span<const u8> bytes() const { return bytes_; }

 private:
  std::array<u8, kBootParamsSize> bytes_{};
  u64 used_ = kInfoSize;
};

std::span<const u8> as_bytes(const char* text, u64 size) { return {reinterpret_cast<const u8*>(text), size}; }

// Loads what the address fields describe; returns the entry point.
Result<u32> load_by_addresses(std::span<const u8> kernel, u64 header_offset, PhysicalMemory& memory,
                              Placement& placement) {
  const auto header = kernel.subspan(header_offset);
  if (header.size() < kHeaderWithAddresses) return Error{"multiboot header is truncated"};
  const u32 header_address = field<u32>(header, 12), load_address = field<u32>(header, 16),
            load_end = field<u32>(header, 20), bss_end = field<u32>(header, 24), entry = field<u32>(header, 28);
  if (load_address > header_address || header_address - load_address > header_offset) {
    return Error{"multiboot header's load address does not match the header's place in the file"};
  }
  const u64 file_offset = header_offset - (header_address - load_address);
  const u64 in_file = kernel.size() - file_offset;
  if (load_end && load_end < load_address) return Error{"multiboot header's load_end_addr lies below its load_addr"};
  const u64 length = load_end ? u64{load_end} - load_address : in_file;  // 0: the whole file
  if (length > in_file) return Error{"multiboot kernel is truncated: the file ends before load_end_addr"};
  if (bss_end && bss_end < load_address + length)
    return Error{"multiboot header's bss_end_addr lies inside the loaded part"};
  const u64 total = bss_end ? u64{bss_end} - load_address : length;
  if (entry < load_address || entry - load_address >= length)
    return Error{"multiboot header's entry_addr lies outside the loaded part"};
  if (Status taken = placement.take("the kernel", GuestPhys{load_address}, total); !taken) return taken.error();
  memory.write(GuestPhys{load_address}, kernel.subspan(file_offset, length));
  return entry;
}

Result<u32> load_by_elf(std::span<const u8> kernel, PhysicalMemory& memory, Placement& placement) {
  Result<ElfImage> image = parse_elf(kernel);
  if (!image) return image.error();
  if (image->machine != kElf386 && image->machine != kElfX86_64)
    return Error{"multiboot kernel is not an x86 ELF file"};
  bool entry_inside = false;
  for (const ElfSegment& s : image->segments) {
    if (Status taken = placement.take("the kernel's segment", s.address, s.memory_size); !taken) return taken.error();
    entry_inside |= image->entry >= s.address.value && image->entry - s.address.value < s.file_size;
  }
  if (!entry_inside || image->entry >= kFourGigabytes)
    return Error{"multiboot kernel's entry point lies in none of its segments"};
  SegmentWriter writer(memory, image->segments);
  if (Status fed = writer.feed(kernel); !fed) return fed.error();
  if (Status complete = writer.finish(); !complete) return complete.error();
  return static_cast<u32>(image->entry);
}

Status add_initrd(const BootRequest& request, PhysicalMemory& memory, Placement& placement, InfoPage& info) {
  Result<GuestPhys> start =
      placement.take_highest("the module (--initrd)", request.initrd.size(), GuestPhys{kPciHoleStart});
  if (!start) return start.error();
  memory.write(*start, request.initrd);
  std::array<u8, 16> module{};  // section 3.3: mod_start, mod_end, string, reserved
  put_field<u32>(module, 0, static_cast<u32>(start->value));
  put_field<u32>(module, 4, static_cast<u32>(start->value + request.initrd.size()));
  Result<u32> at = info.append(module);
  if (!at) return at.error();
  put_field<u32>(info.header(), 20, 1);
  put_field<u32>(info.header(), 24, *at);
  return success();
}

Status add_memory_map(const std::vector<Region>& map, InfoPage& info) {
  std::vector<u8> entries(map.size() * kMapEntrySize);
  u64 high_kilobytes = 0, low_kilobytes = 0;
  for (u64 i = 0; i < map.size(); ++i) {
    const auto entry = std::span(entries).subspan(i * kMapEntrySize, kMapEntrySize);
    put_field<u32>(entry, 0, kMapEntrySize - 4);  // the size field does not count itself
    put_field<u64>(entry, 4, map[i].start.value);
    put_field<u64>(entry, 12, map[i].length);
    put_field<u32>(entry, 20, static_cast<u32>(map[i].type));
    if (map[i].type == RegionType::ram && map[i].start.value == 0) low_kilobytes = map[i].length >> 10;
    if (map[i].type == RegionType::ram && map[i].start.value == 0x100000) high_kilobytes = map[i].length >> 10;
  }
  Result<u32> at = info.append(entries);
  if (!at) return at.error();
  put_field<u32>(info.header(), 4, static_cast<u32>(low_kilobytes));
  put_field<u32>(info.header(), 8, static_cast<u32>(high_kilobytes));
  put_field<u32>(info.header(), 44, static_cast<u32>(entries.size()));
  put_field<u32>(info.header(), 48, *at);
  return success();
}

}  // namespace

std::optional<u64> find_multiboot_header(std::span<const u8> kernel) {
  const u64 limit = std::min<u64>(kernel.size(), kSearchLimit);
  for (u64 at = 0; at + kHeaderSize <= limit; at += 4) {
    if (field<u32>(kernel, at) != kHeaderMagic) continue;
    if (field<u32>(kernel, at) + field<u32>(kernel, at + 4) + field<u32>(kernel, at + 8) == 0) return at;
  }
  return std::nullopt;
}

Result<BootedImage> load_multiboot(const BootRequest& request, PhysicalMemory& memory, Placement& placement) {
  const std::optional<u64> header = find_multiboot_header(request.kernel);
  if (!header) return Error{"not a multiboot kernel"};
  const u32 wants = field<u32>(request.kernel, *header + 4);
  if (wants & kMandatoryFlags & ~(kAlignModules | kWantMemory)) {
    return Error{
        "multiboot kernel demands a feature that is not offered (only page-aligned modules and the memory map are)"};
  }
  Result<u32> entry = wants & kAddressFields ? load_by_addresses(request.kernel, *header, memory, placement)
                                             : load_by_elf(request.kernel, memory, placement);
  if (!entry) return entry.error();
  Result<CpuState> cpu = enter_protected_mode(memory, placement, *entry);
  if (!cpu) return cpu.error();
  if (Status taken = placement.take("the multiboot information", kBootParams, kBootParamsSize); !taken)
    return taken.error();

  InfoPage info;
  u32 present = kInfoMemory | kInfoCommandLine | kInfoMap | kInfoLoaderName;
  Result<u32> name = info.append(as_bytes(kLoaderName, sizeof kLoaderName));
  if (!name) return name.error();
  put_field<u32>(info.header(), 64, *name);
  if (request.command_line.size() >= kCommandLineRoom) return Error{"the kernel command line is longer than 64 KiB"};
  if (Status taken = placement.take("the command line", kCommandLine, kCommandLineRoom); !taken) return taken.error();
  memory.write(kCommandLine, as_bytes(request.command_line.c_str(), request.command_line.size() + 1));
  put_field<u32>(info.header(), 16, static_cast<u32>(kCommandLine.value));
  if (!request.initrd.empty()) {
    if (Status added = add_initrd(request, memory, placement, info); !added) return added.error();
    present |= kInfoModules;
  }
  if (Status added = add_memory_map(placement.memory_map(), info); !added) return added.error();
  put_field<u32>(info.header(), 0, present);
  memory.write(kBootParams, info.bytes());
  cpu->gpr[RAX] = kLoaderMagic;
  cpu->gpr[RBX] = kBootParams.value;
  return BootedImage{*cpu, "multiboot", {}};
}

}  // namespace rondo::boot
