// Names for addresses, out of the symbol table of an ELF file (ELF-64 and ELF-32, little-endian).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo::gdb {

class Symbols {
 public:
  // `name` is for messages. Fails if it is no ELF file or has no symbols.
  static Result<Symbols> read(std::span<const u8> file, const std::string& name);
  Symbols() = default;  // knows nothing

  // "start_kernel+0x23"; empty: unknown. Up to 1 MB behind a symbol without a size.
  std::string name(u64 address) const;
  std::optional<u64> find(const std::string& name) const;
  std::size_t size() const { return symbols_.size(); }

 private:
  struct Symbol {
    u64 address;
    u64 size;
    std::string name;
  };
  std::vector<Symbol> symbols_;  // by address
};

}  // namespace rondo::gdb
