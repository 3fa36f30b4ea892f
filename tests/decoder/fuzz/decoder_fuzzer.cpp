// libFuzzer: the first byte chooses the mode, the rest is decoded and formatted. Truncation must be consistent.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "decoder/decoder.h"
#include "decoder/format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rondo::decoder;
  static Decoder decoder;
  if (size == 0) return 0;
  const auto mode = static_cast<CodeMode>(data[0] % 3);
  const std::span<const std::uint8_t> bytes(data + 1, size - 1);
  Instruction inst;
  const DecodeStatus status = decoder.decode(bytes, mode, inst);
  if (status == DecodeStatus::truncated && bytes.size() >= kMaxInstructionBytes) std::abort();
  if (status != DecodeStatus::ok) return 0;
  if (inst.length == 0 || inst.length > kMaxInstructionBytes || inst.length > bytes.size()) std::abort();
  if (inst.operation == Operation::INVALID || format(inst, 0x1000).empty()) std::abort();
  Instruction exact;
  if (decoder.decode(bytes.first(inst.length), mode, exact) != DecodeStatus::ok) std::abort();
  if (exact.operation != inst.operation || exact.length != inst.length) std::abort();
  Instruction cut;
  if (decoder.decode(bytes.first(inst.length - 1u), mode, cut) != DecodeStatus::truncated) std::abort();
  return 0;
}
