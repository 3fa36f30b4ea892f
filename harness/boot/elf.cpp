#include "harness/boot/elf.h"

#include <algorithm>

#include "harness/boot/bytes.h"

namespace rondo::boot {
namespace {

constexpr u64 kHeaderSize32 = 52, kHeaderSize64 = 64;
constexpr u64 kProgramHeaderSize32 = 32, kProgramHeaderSize64 = 56;
constexpr u64 kSectionHeaderSize64 = 64;
constexpr u32 kPtLoad = 1;
constexpr u32 kShtProgbits = 1;
constexpr u64 kShfAllocated = 2, kShfExecutable = 4;

Result<ElfSegment> checked(const ElfSegment& segment) {
  if (segment.file_size > segment.memory_size) return Error{"ELF segment has more bytes in the file than in memory"};
  if (segment.file_offset + segment.file_size < segment.file_offset)
    return Error{"ELF segment's place in the file wraps around"};
  if (segment.address.value + (segment.memory_size - 1) < segment.address.value)
    return Error{"ELF segment's addresses wrap around"};
  return segment;
}

}  // namespace

bool looks_like_elf(std::span<const u8> bytes) {
  static constexpr u8 kMagic[] = {0x7f, 'E', 'L', 'F'};
  return bytes.size() >= sizeof kMagic && std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin());
}

Result<ElfImage> parse_elf(std::span<const u8> head) {
  if (!looks_like_elf(head) || head.size() < kHeaderSize32) return Error{"not an ELF file"};
  const u8 file_class = head[4];
  if (file_class != 1 && file_class != 2) return Error{"ELF class " + std::to_string(file_class) + " is not known"};
  if (head[5] != 1) return Error{"ELF file is not little-endian"};
  ElfImage image;
  image.is_64 = file_class == 2;
  if (image.is_64 && head.size() < kHeaderSize64) return Error{"ELF header is truncated"};
  image.machine = field<u16>(head, 18);
  image.entry = image.is_64 ? field<u64>(head, 24) : field<u32>(head, 24);
  const u64 table = image.is_64 ? field<u64>(head, 32) : field<u32>(head, 28);
  const u16 entry_size = field<u16>(head, image.is_64 ? 54 : 42);
  const u16 entries = field<u16>(head, image.is_64 ? 56 : 44);
  if (entry_size != (image.is_64 ? kProgramHeaderSize64 : kProgramHeaderSize32)) {
    return Error{"ELF program headers have " + std::to_string(entry_size) + " bytes each, which is not their size"};
  }
  if (entries == 0) return Error{"ELF file has no program headers: it is not an executable"};
  if (!lies_inside(table, u64{entries} * entry_size, head.size()))
    return Error{"ELF program headers lie outside the beginning of the file"};

  for (u16 i = 0; i < entries; ++i) {
    const auto header = head.subspan(table + u64{i} * entry_size, entry_size);
    if (field<u32>(header, 0) != kPtLoad) continue;
    const ElfSegment segment = image.is_64 ? ElfSegment{field<u64>(header, 8), field<u64>(header, 32),
                                                        GuestPhys{field<u64>(header, 24)}, field<u64>(header, 40)}
                                           : ElfSegment{field<u32>(header, 4), field<u32>(header, 16),
                                                        GuestPhys{field<u32>(header, 12)}, field<u32>(header, 20)};
    if (segment.memory_size == 0 && segment.file_size == 0) continue;
    Result<ElfSegment> result = checked(segment);
    if (!result) return result.error();
    image.segments.push_back(*result);
  }
  if (image.segments.empty()) return Error{"ELF file has nothing to load"};
  if (image.is_64 && field<u16>(head, 58) == kSectionHeaderSize64)
    image.sections = {field<u64>(head, 40), field<u16>(head, 60)};
  return image;
}

Status SegmentWriter::feed(std::span<const u8> bytes) {
  const u64 begin = position_, end = position_ + bytes.size();
  for (const ElfSegment& s : segments_) {
    const u64 from = std::max(begin, s.file_offset), to = std::min(end, s.file_offset + s.file_size);
    if (from >= to) continue;
    if (!memory_.write(s.address + (from - s.file_offset), bytes.subspan(from - begin, to - from))) {
      return Error{"ELF segment lies outside the guest's memory"};
    }
  }
  position_ = end;
  return success();
}

Status SegmentWriter::finish() const {
  for (const ElfSegment& s : segments_) {
    if (s.file_size != 0 && s.file_offset + s.file_size > position_)
      return Error{"ELF segment is truncated: the file ends before it"};
  }
  return success();
}

void SectionReader::feed(std::span<const u8> bytes) {
  const u64 begin = position_;
  position_ += bytes.size();
  const u64 next = table_.file_offset + headers_.size();
  const u64 missing = table_.count * kSectionHeaderSize64 - headers_.size();
  if (missing == 0 || next < begin || next >= position_) return;
  const auto part = bytes.subspan(next - begin, std::min(missing, position_ - next));
  headers_.insert(headers_.end(), part.begin(), part.end());
}

std::vector<MemoryRange> SectionReader::text(std::span<const ElfSegment> segments) const {
  std::vector<MemoryRange> ranges;
  for (u64 at = 0; lies_inside(at, kSectionHeaderSize64, headers_.size()); at += kSectionHeaderSize64) {
    const auto header = std::span(headers_).subspan(at, kSectionHeaderSize64);
    constexpr u64 kText = kShfAllocated | kShfExecutable;
    if (field<u32>(header, 4) != kShtProgbits || (field<u64>(header, 8) & kText) != kText) continue;
    const u64 offset = field<u64>(header, 24), size = field<u64>(header, 32);
    for (const ElfSegment& s : segments) {
      if (size == 0 || offset < s.file_offset || !lies_inside(offset - s.file_offset, size, s.file_size)) continue;
      ranges.push_back({s.address + (offset - s.file_offset), size});
      break;
    }
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  for (u64 i = 1; i < ranges.size(); ++i) {
    if (ranges[i].start < ranges[i - 1].start + ranges[i - 1].length) return {};
  }
  return ranges;
}

}  // namespace rondo::boot
