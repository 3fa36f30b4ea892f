#include "tests/silicon/encoder.h"

#include "tests/silicon/operands.h"

namespace rondo::silicon {
namespace {

// Register fields, before they are split into ModRM, SIB and REX.
struct Fields {
  u8 mod = 3;
  u8 reg = 0;  // 0..15
  u8 rm = 0;   // 0..15
  bool sib = false;
  u8 scale = 0;
  u8 index = 4;  // 0..15; 4 is none
  u8 base = 0;   // 0..15
  u8 displacement_bytes = 0;
};

void choose_addressing(Random& random, const AddressingChoice& choice, Fields& f) {
  if (!choice.any) {
    f.mod = 2;
    f.displacement_bytes = 4;
    f.rm = f.base = choice.bases[random.below(choice.bases.size())];
    f.sib = (f.base & 7) == 4;
    return;
  }
  f.mod = static_cast<u8>(random.below(3));
  f.displacement_bytes = f.mod == 1 ? 1 : f.mod == 2 ? 4 : 0;
  f.rm = static_cast<u8>(random.below(16));
  f.sib = (f.rm & 7) == 4;
  if (f.sib) {
    f.scale = static_cast<u8>(random.below(4));
    f.index = static_cast<u8>(random.below(16));
    f.base = static_cast<u8>(random.below(16));
    if (f.mod == 0 && (f.base & 7) == 5) f.displacement_bytes = 4;
  } else if (f.mod == 0 && (f.rm & 7) == 5) {
    f.displacement_bytes = 4;  // RIP-relative
  }
}

// Prefixes before REX, in random order.
void put_prefixes(Random& random, const Form& form, bool memory, Encoded& out) {
  std::array<u8, 6> prefixes{};
  unsigned count = 0;
  if (form.prefix) prefixes[count++] = form.prefix;
  if (form.prefix != 0x66 && form.prefix != 0 && random.percent(4)) prefixes[count++] = 0x66;
  if (random.percent(memory ? 8 : 2)) prefixes[count++] = random.below(2) ? 0x64 : 0x65;
  if (random.percent(2)) {
    constexpr u8 kIgnored[] = {0x26, 0x2e, 0x36, 0x3e};
    prefixes[count++] = kIgnored[random.below(4)];
  }
  if (random.percent(memory ? 5 : 2)) prefixes[count++] = 0x67;
  if (memory ? random.percent(6) : random.per_mille(5)) prefixes[count++] = 0xf0;
  while (count > 0) {
    const unsigned chosen = static_cast<unsigned>(random.below(count));
    out.bytes[out.length++] = prefixes[chosen];
    prefixes[chosen] = prefixes[--count];
  }
}

void put_random(Random& random, unsigned bytes, Encoded& out) {
  const u64 value = interesting_integer(random);
  for (unsigned i = 0; i < bytes; ++i) out.bytes[out.length++] = static_cast<u8>(value >> (8 * i));
}

}  // namespace

Encoded encode(Random& random, const Form& form, const AddressingChoice& addressing) {
  Encoded out;
  Fields f;
  u8 chosen = 0;
  if (form.has_modrm) chosen = form.modrm[random.below(form.modrm.size())];
  const bool no_high = random.percent(35);  // low registers only, so that forms without REX are common
  if (form.memory) {
    f.reg = static_cast<u8>(chosen | random.below(2) << 3);
    choose_addressing(random, addressing, f);
  } else {
    f.reg = static_cast<u8>(((chosen >> 3) & 7) | random.below(2) << 3);
    f.rm = static_cast<u8>((chosen & 7) | random.below(2) << 3);
  }
  u8 rex = static_cast<u8>((form.rex_w ? 8 : 0) | (f.reg >> 3) << 2);
  if (f.sib) {
    rex |= static_cast<u8>((f.index >> 3) << 1 | f.base >> 3);
  } else {
    rex |= static_cast<u8>(f.rm >> 3 | random.below(2) << 1);  // REX.X means nothing here
  }
  if (no_high) rex &= 8;
  if (!addressing.any && form.memory) rex = static_cast<u8>((rex & ~1) | f.base >> 3);
  put_prefixes(random, form, form.memory, out);
  if (rex || random.percent(12)) out.bytes[out.length++] = static_cast<u8>(0x40 | rex);
  if (form.map != OpcodeMap::one_byte) out.bytes[out.length++] = 0x0f;
  if (form.map == OpcodeMap::map_0f38) out.bytes[out.length++] = 0x38;
  if (form.map == OpcodeMap::map_0f3a) out.bytes[out.length++] = 0x3a;
  out.bytes[out.length++] = form.opcode;
  if (form.has_modrm) {
    const u8 rm = f.sib ? 4 : f.rm & 7;
    out.bytes[out.length++] = static_cast<u8>(f.mod << 6 | (f.reg & 7) << 3 | rm);
    if (f.sib) out.bytes[out.length++] = static_cast<u8>(f.scale << 6 | (f.index & 7) << 3 | (f.base & 7));
    if (f.displacement_bytes) {
      out.displacement_at = out.length;
      out.displacement_bytes = f.displacement_bytes;
      put_random(random, f.displacement_bytes, out);
    }
  }
  if (form.immediate_bytes) {
    out.immediate_at = out.length;
    out.immediate_bytes = form.immediate_bytes;
    put_random(random, form.immediate_bytes, out);
  }
  return out;
}

}  // namespace rondo::silicon
