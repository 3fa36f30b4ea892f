#include "harness/boot/linux.h"

#include <algorithm>
#include <memory>

#include "harness/boot/bytes.h"
#include "harness/boot/cpu_modes.h"
#include "harness/boot/elf.h"
#include "harness/boot/layout.h"
#include "harness/boot/setup_header.h"
#include "harness/boot/unpack.h"

namespace rondo::boot {
namespace {

constexpr u64 kElfHeadBytes = u64{64} << 10;  // far more than the headers of any kernel
constexpr u64 kEntry64Offset = 0x200;         // of a bzImage's protected-mode part
constexpr u64 kLowestKernelAddress = 0x100000;

struct LoadedKernel {
  u64 entry = 0;
  std::vector<Region> segments;  // in address order
  std::vector<MemoryRange> text;
};

// Until it has read the memory map, a kernel uses what lies between its segments and, from its start on, init_size
// bytes.
Status take_working_memory(const LoadedKernel& kernel, u64 init_size, Placement& placement) {
  const u64 start = kernel.segments.front().start.value;
  const u64 claimed_end = init_size > ~u64{0} - start ? ~u64{0} : start + init_size;
  u64 at = start;
  const auto take_to = [&](u64 end) {
    return end > at ? placement.take("the kernel's working memory", GuestPhys{at}, end - at) : success();
  };
  for (const Region& segment : kernel.segments) {
    if (Status taken = take_to(segment.start.value); !taken) return taken;
    at = segment.start.value + segment.length;
  }
  return take_to(claimed_end);
}

// An ELF kernel that arrives in pieces: collects the headers, checks and takes the segments' places, then writes them.
class KernelStream {
 public:
  KernelStream(PhysicalMemory& memory, Placement& placement) : memory_(memory), placement_(placement) {}

  Status feed(std::span<const u8> bytes) {
    if (!writer_) {
      const u64 wanted = std::min<u64>(kElfHeadBytes - head_.size(), bytes.size());
      head_.insert(head_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(wanted));
      bytes = bytes.subspan(wanted);
      if (head_.size() < kElfHeadBytes) return success();
      if (Status begun = begin(); !begun) return begun;
    }
    sections_->feed(bytes);
    return writer_->feed(bytes);
  }

  Result<LoadedKernel> finish() {
    if (!writer_) {
      if (Status begun = begin(); !begun) return begun.error();
    }
    if (Status complete = writer_->finish(); !complete) return complete.error();
    kernel_.text = sections_->text(segments_);
    return kernel_;
  }

 private:
  Status begin() {
    Result<ElfImage> image = parse_elf(head_);
    if (!image) return image.error();
    if (!image->is_64 || image->machine != kElfX86_64) return Error{"ELF kernel is not for x86-64"};
    bool entry_inside = false;
    for (const ElfSegment& s : image->segments) {
      if (Status taken = placement_.take("the kernel's segment", s.address, s.memory_size); !taken) return taken;
      kernel_.segments.push_back({s.address, s.memory_size});
      entry_inside |= image->entry >= s.address.value && image->entry - s.address.value < s.file_size;
    }
    if (!entry_inside) return Error{"ELF kernel's entry point lies in none of its segments"};
    std::sort(kernel_.segments.begin(), kernel_.segments.end(),
              [](const Region& a, const Region& b) { return a.start < b.start; });
    kernel_.entry = image->entry;
    segments_ = image->segments;
    sections_.emplace(image->sections);
    sections_->feed(head_);
    writer_ = std::make_unique<SegmentWriter>(memory_, std::move(image->segments));
    return writer_->feed(head_);
  }

  PhysicalMemory& memory_;
  Placement& placement_;
  std::vector<u8> head_;
  std::vector<ElfSegment> segments_;
  std::optional<SectionReader> sections_;
  std::unique_ptr<SegmentWriter> writer_;
  LoadedKernel kernel_;
};

// What is the same for all Linux kernels once the image is in place.
Result<CpuState> prepare_linux(const BootRequest& request, const SetupHeader& header, u64 entry, PhysicalMemory& memory,
                               Placement& placement) {
  if (request.command_line.size() > std::min(header.cmdline_size, kCommandLineRoom - 1)) {
    return Error{"the kernel command line has " + std::to_string(request.command_line.size()) +
                 " bytes, the kernel takes " + std::to_string(header.cmdline_size)};
  }
  Result<CpuState> cpu = enter_long_mode(memory, placement, entry);
  if (!cpu) return cpu;
  BootParams params(header);
  params.acpi_rsdp = request.acpi_rsdp;
  if (Status taken = placement.take("the command line", kCommandLine, kCommandLineRoom); !taken) return taken.error();
  memory.write(kCommandLine,
               {reinterpret_cast<const u8*>(request.command_line.c_str()), request.command_line.size() + 1});
  params.command_line = kCommandLine.value;
  if (!request.initrd.empty()) {
    Result<GuestPhys> start =
        placement.take_highest("the initrd", request.initrd.size(), GuestPhys{header.initrd_addr_max + 1});
    if (!start) return start.error();
    memory.write(*start, request.initrd);
    params.initrd_start = start->value;
    params.initrd_size = request.initrd.size();
  }
  if (Status taken = placement.take("boot_params", kBootParams, kBootParamsSize); !taken) return taken.error();
  params.memory_map = placement.memory_map();
  Result<std::array<u8, 4096>> page = make_boot_params(params);
  if (!page) return page.error();
  memory.write(kBootParams, *page);
  cpu->gpr[RSI] = kBootParams.value;
  return cpu;
}

// The bzImage's own loader unpacks in the guest: slower, but it knows what we do not.
Result<u64> load_packed(std::span<const u8> protected_mode, const SetupHeader& header, PhysicalMemory& memory,
                        Placement& placement) {
  const u64 address = header.pref_address;
  if (address < kLowestKernelAddress || (header.kernel_alignment && address % header.kernel_alignment)) {
    return Error{"bzImage asks for a load address that is not aligned or below 1 MB"};
  }
  const u64 needed = std::max<u64>(header.init_size, protected_mode.size());
  if (Status taken = placement.take("the kernel", GuestPhys{address}, needed); !taken) return taken.error();
  if (protected_mode.size() <= kEntry64Offset)
    return Error{"bzImage is truncated: it ends before its 64-bit entry point"};
  memory.write(GuestPhys{address}, protected_mode);
  return address + kEntry64Offset;
}

}  // namespace

bool looks_like_bzimage(std::span<const u8> kernel) {
  return kernel.size() >= 0x206 && field<u16>(kernel, 0x1fe) == 0xaa55 && field<u32>(kernel, 0x202) == 0x53726448;
}

Result<BootedImage> load_bzimage(const BootRequest& request, PhysicalMemory& memory, Placement& placement) {
  Result<SetupHeader> header = parse_setup_header(request.kernel);
  if (!header) return header.error();
  const auto protected_mode = request.kernel.subspan(header->protected_mode_offset);
  if (!lies_inside(header->payload_offset, header->payload_length, protected_mode.size())) {
    return Error{"bzImage is truncated: its payload goes on after the end of the file"};
  }
  const auto payload = protected_mode.subspan(header->payload_offset, header->payload_length);
  const Compression compression = detect_compression(payload);
  u64 entry = 0;
  std::vector<MemoryRange> text;
  if (compression == Compression::unknown) {
    Result<u64> packed = load_packed(protected_mode, *header, memory, placement);
    if (!packed) return packed.error();
    entry = *packed;
  } else {
    KernelStream stream(memory, placement);
    // The payload is the ELF file and a table of relocations, which only a kernel at another address needs.
    if (Status done = unpack(payload, memory.size(), [&](std::span<const u8> piece) { return stream.feed(piece); });
        !done)
      return done.error();
    Result<LoadedKernel> kernel = stream.finish();
    if (!kernel) return kernel.error();
    entry = kernel->entry;
    text = std::move(kernel->text);
    if (Status taken = take_working_memory(*kernel, header->init_size, placement); !taken) return taken.error();
  }
  Result<CpuState> cpu = prepare_linux(request, *header, entry, memory, placement);
  if (!cpu) return cpu.error();
  return BootedImage{
      *cpu,
      "bzImage (" + (compression == Compression::unknown ? "unpacks itself" : std::string(to_string(compression))) +
          ")",
      std::move(text)};
}

Result<BootedImage> load_vmlinux(const BootRequest& request, PhysicalMemory& memory, Placement& placement) {
  KernelStream stream(memory, placement);
  if (Status fed = stream.feed(request.kernel); !fed) return fed.error();
  Result<LoadedKernel> kernel = stream.finish();
  if (!kernel) return kernel.error();
  if (Status taken = take_working_memory(*kernel, 0, placement); !taken) return taken.error();
  Result<CpuState> cpu = prepare_linux(request, synthetic_setup_header(), kernel->entry, memory, placement);
  if (!cpu) return cpu.error();
  return BootedImage{*cpu, "vmlinux", std::move(kernel->text)};
}

}  // namespace rondo::boot
