#include "harness/boot/boot.h"

#include "harness/boot/elf.h"
#include "harness/boot/linux.h"
#include "harness/boot/multiboot.h"

namespace rondo::boot {

Result<BootedImage> load(const BootRequest& request, PhysicalMemory& memory, Placement& placement) {
  if (request.kernel.empty()) return Error{"is empty: use a Linux bzImage, an ELF vmlinux or a multiboot kernel"};
  if (looks_like_bzimage(request.kernel)) return load_bzimage(request, memory, placement);
  if (find_multiboot_header(request.kernel)) return load_multiboot(request, memory, placement);
  if (looks_like_elf(request.kernel)) return load_vmlinux(request, memory, placement);
  return Error{"is not a kernel that can be booted: use a Linux bzImage, an ELF vmlinux or a multiboot kernel"};
}

}  // namespace rondo::boot
