#include "harness/gdb/symbols.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace rondo::gdb {
namespace {

constexpr u32 kSymbolTable = 2;  // SHT_SYMTAB
constexpr u64 kFarthest = u64{1} << 20;

// Little-endian numbers at offsets that may lie outside the file.
class Bytes {
 public:
  explicit Bytes(std::span<const u8> bytes) : bytes_(bytes) {}
  u64 number(u64 at, unsigned size) const {
    u64 value = 0;
    if (at > bytes_.size() || bytes_.size() - at < size) return 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{bytes_[at + i]} << (8 * i);
    return value;
  }
  std::string text(u64 at) const {
    std::string out;
    for (; at < bytes_.size() && bytes_[at] != 0 && out.size() < 512; ++at) out += static_cast<char>(bytes_[at]);
    return out;
  }
  u64 size() const { return bytes_.size(); }

 private:
  std::span<const u8> bytes_;
};

}  // namespace

Result<Symbols> Symbols::read(std::span<const u8> file, const std::string& name) {
  const Error not_elf{"symbols '" + name + "': not an ELF file with a symbol table; use the vmlinux, not the bzImage"};
  static constexpr u8 kMagic[] = {0x7f, 'E', 'L', 'F'};
  if (file.size() < 64 || std::memcmp(file.data(), kMagic, 4) != 0 || file[5] != 1) return not_elf;
  const bool wide = file[4] == 2;
  const Bytes bytes(file);
  // Field offsets: System V ABI, figures 4-3 (header), 4-8 (section), 4-15 (symbol) and their ELF-64 forms.
  const u64 sections = wide ? bytes.number(0x28, 8) : bytes.number(0x20, 4);
  const u64 section_size = bytes.number(wide ? 0x3a : 0x2e, 2), section_count = bytes.number(wide ? 0x3c : 0x30, 2);
  Symbols out;
  for (u64 i = 0; i < section_count; ++i) {
    const u64 at = sections + i * section_size;
    if (bytes.number(at + 4, 4) != kSymbolTable) continue;
    const auto field = [&](unsigned wide_offset, unsigned narrow_offset) {
      return wide ? bytes.number(at + wide_offset, 8) : bytes.number(at + narrow_offset, 4);
    };
    const u64 offset = field(0x18, 0x10), size = std::min(field(0x20, 0x14), bytes.size());
    const u64 link = bytes.number(at + (wide ? 0x28 : 0x18), 4);
    const u64 strings_at = sections + link * section_size;
    const u64 strings = wide ? bytes.number(strings_at + 0x18, 8) : bytes.number(strings_at + 0x10, 4);
    const u64 entry = wide ? 24 : 16;
    for (u64 s = offset; s - offset + entry <= size; s += entry) {
      const u64 type = bytes.number(s + (wide ? 4 : 12), 1) & 15;
      const u64 value = wide ? bytes.number(s + 8, 8) : bytes.number(s + 4, 4);
      const u64 length = wide ? bytes.number(s + 16, 8) : bytes.number(s + 8, 4);
      const u64 section = bytes.number(s + (wide ? 6 : 14), 2);
      if (type > 2 || section == 0 || value == 0) continue;  // only labels, data and functions that are defined here
      std::string text = bytes.text(strings + bytes.number(s, 4));
      if (!text.empty() && text[0] != '.' && text[0] != '$') out.symbols_.push_back({value, length, std::move(text)});
    }
  }
  if (out.symbols_.empty()) return not_elf;
  std::stable_sort(out.symbols_.begin(), out.symbols_.end(),
                   [](const Symbol& a, const Symbol& b) { return a.address < b.address; });
  return out;
}

std::string Symbols::name(u64 address) const {
  auto after =
      std::upper_bound(symbols_.begin(), symbols_.end(), address, [](u64 a, const Symbol& s) { return a < s.address; });
  if (after == symbols_.begin()) return {};
  const Symbol& s = *std::prev(after);
  const u64 offset = address - s.address;
  if (offset >= (s.size ? s.size : kFarthest) && offset != 0) return {};
  return offset ? fmt::format("{}+0x{:x}", s.name, offset) : s.name;
}

std::optional<u64> Symbols::find(const std::string& name) const {
  for (const Symbol& s : symbols_) {
    if (s.name == name) return s.address;
  }
  return std::nullopt;
}

}  // namespace rondo::gdb
