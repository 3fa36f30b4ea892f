// One 8259A: priorities, command words, poll mode.
#include "devices/pic8259/pic8259.h"

namespace rondo::devices {

using namespace pic;

// The input lines belong to others and keep their levels.
void Pic8259Chip::reset() {
  edges_ = level_triggered_ = mask_ = in_service_ = vector_base_ = 0;
  lowest_priority_ = 7;
  init_ = Init::never;
  single_ = needs_icw4_ = auto_eoi_ = rotate_on_auto_eoi_ = fully_nested_ = special_mask_ = read_isr_ = poll_ = false;
}

void Pic8259Chip::set_input(unsigned input, bool high) {
  const u8 bit = static_cast<u8>(1u << input);
  if (high && !(lines_ & bit)) edges_ |= bit;
  if (!high) edges_ &= static_cast<u8>(~bit);
  lines_ = high ? lines_ | bit : lines_ & static_cast<u8>(~bit);
}

// IRR.
u8 Pic8259Chip::requested() const {
  return static_cast<u8>((edges_ & ~level_triggered_) | (lines_ & level_triggered_));
}

std::optional<unsigned> Pic8259Chip::highest(u8 inputs) const {
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned input = (lowest_priority_ + 1 + i) & 7;
    if (inputs & (1u << input)) return input;
  }
  return std::nullopt;
}

std::optional<unsigned> Pic8259Chip::highest_request() const {
  if (init_ != Init::done) return std::nullopt;
  const std::optional<unsigned> candidate = highest(requested() & static_cast<u8>(~mask_));
  if (!candidate) return std::nullopt;
  u8 blocking = in_service_;
  if (special_mask_) blocking &= static_cast<u8>(~mask_);
  // The slave may interrupt its own service routine with a higher request of its own.
  if (fully_nested_ && master_) blocking &= static_cast<u8>(~(1u << kCascadeInput));
  const std::optional<unsigned> serving = highest(blocking);
  if (serving && rank(*serving) <= rank(*candidate)) return std::nullopt;
  return candidate;
}

std::optional<unsigned> Pic8259Chip::acknowledge() {
  const std::optional<unsigned> input = highest_request();
  if (!input) return std::nullopt;
  const u8 bit = static_cast<u8>(1u << *input);
  edges_ &= static_cast<u8>(~bit);
  if (!auto_eoi_) {
    in_service_ |= bit;
  } else if (rotate_on_auto_eoi_) {
    lowest_priority_ = static_cast<u8>(*input);
  }
  return input;
}

void Pic8259Chip::end_of_interrupt(std::optional<unsigned> input, bool rotate) {
  if (!input) return;
  in_service_ &= static_cast<u8>(~(1u << *input));
  if (rotate) lowest_priority_ = static_cast<u8>(*input);
}

u8 Pic8259Chip::read(u64 offset) {
  if (poll_) {
    poll_ = false;
    const std::optional<unsigned> input = acknowledge();
    return input ? static_cast<u8>(kPollPending | *input) : 0;
  }
  if (offset == 1) return mask_;
  return read_isr_ ? in_service_ : requested();
}

void Pic8259Chip::write(u64 offset, u8 value) {
  if (offset == 0) {
    write_command(value);
  } else {
    write_data(value);
  }
}

void Pic8259Chip::write_command(u8 value) {
  if (value & kIcw1Select) {
    edges_ = mask_ = in_service_ = 0;
    lowest_priority_ = 7;
    special_mask_ = read_isr_ = poll_ = false;
    auto_eoi_ = rotate_on_auto_eoi_ = fully_nested_ = false;
    single_ = value & kIcw1Single;
    needs_icw4_ = value & kIcw1NeedIcw4;
    init_ = Init::icw2;
    return;
  }
  if (value & kOcw3Select) {
    if (value & kOcw3EnableSpecialMask) special_mask_ = value & kOcw3SpecialMask;
    if (value & kOcw3Poll) {
      poll_ = true;
    } else if (value & kOcw3ReadRegister) {
      read_isr_ = value & kOcw3ReadIsr;
    }
    return;
  }
  const unsigned level = value & 7;
  // A non-specific EOI does not touch levels that special mask mode masks.
  const std::optional<unsigned> current = highest(special_mask_ ? in_service_ & static_cast<u8>(~mask_) : in_service_);
  switch (static_cast<Ocw2>(value >> 5)) {
    case Ocw2::clear_rotate_on_auto_eoi:
      rotate_on_auto_eoi_ = false;
      break;
    case Ocw2::set_rotate_on_auto_eoi:
      rotate_on_auto_eoi_ = true;
      break;
    case Ocw2::non_specific_eoi:
      end_of_interrupt(current, false);
      break;
    case Ocw2::rotate_on_non_specific_eoi:
      end_of_interrupt(current, true);
      break;
    case Ocw2::specific_eoi:
      end_of_interrupt(level, false);
      break;
    case Ocw2::rotate_on_specific_eoi:
      end_of_interrupt(level, true);
      break;
    case Ocw2::set_priority:
      lowest_priority_ = static_cast<u8>(level);
      break;
    case Ocw2::none:
      break;
  }
}

void Pic8259Chip::write_data(u8 value) {
  switch (init_) {
    case Init::never:
    case Init::done:
      mask_ = value;
      break;
    case Init::icw2:
      vector_base_ = value & kIcw2Base;
      init_ = !single_ ? Init::icw3 : needs_icw4_ ? Init::icw4 : Init::done;
      break;
    case Init::icw3:
      init_ = needs_icw4_ ? Init::icw4 : Init::done;
      break;
    case Init::icw4:
      auto_eoi_ = value & kIcw4AutoEoi;
      fully_nested_ = value & kIcw4FullyNested;
      init_ = Init::done;
      break;
  }
}

void Pic8259Chip::save(StateWriter& writer) const {
  for (const u8 value :
       {lines_, edges_, level_triggered_, mask_, in_service_, vector_base_, lowest_priority_, static_cast<u8>(init_)})
    writer.write_u8(value);
  for (const bool flag :
       {single_, needs_icw4_, auto_eoi_, rotate_on_auto_eoi_, fully_nested_, special_mask_, read_isr_, poll_})
    writer.write_bool(flag);
}

void Pic8259Chip::load(StateReader& reader) {
  for (u8* field : {&lines_, &edges_, &level_triggered_, &mask_, &in_service_, &vector_base_, &lowest_priority_})
    *field = reader.read_u8();
  const u8 init = reader.read_u8();
  if (init > static_cast<u8>(Init::done) || lowest_priority_ > 7) {
    reader.fail("saved state: pic8259 has an impossible state");
    lowest_priority_ = 7;
    return;
  }
  init_ = static_cast<Init>(init);
  for (bool* flag :
       {&single_, &needs_icw4_, &auto_eoi_, &rotate_on_auto_eoi_, &fully_nested_, &special_mask_, &read_isr_, &poll_})
    *flag = reader.read_bool();
}

}  // namespace rondo::devices
