#include "devices/i8042/i8042.h"

namespace rondo::devices {

using namespace i8042;

I8042::I8042(MachineControl& machine) : machine_(machine) { reset(); }

void I8042::reset() {
  memory_.fill(0);
  memory_[0] = kCommandSystemFlag | kCommandDisableFirst | kCommandDisableSecond;
  status_ = kStatusSystemFlag | kStatusNotInhibited;
  output_ = 0;
  output_port_ = kOutputNoReset | kOutputA20;
  pending_ = 0;
}

void I8042::respond(u8 value, u8 status_bits) {
  output_ = value;
  status_ = static_cast<u8>((status_ & ~(kStatusAuxiliary | kStatusTimeout)) | kStatusOutputFull | status_bits);
}

u8 I8042::read_data(u64) {
  status_ &= static_cast<u8>(~(kStatusOutputFull | kStatusAuxiliary | kStatusTimeout));
  return output_;
}

u8 I8042::read_status(u64) { return status_; }

void I8042::write_output_port(u8 value) {
  output_port_ = value;
  if (!(value & kOutputNoReset)) machine_.request_reset();
}

void I8042::write_data(u64, u8 value) {
  status_ &= static_cast<u8>(~kStatusCommand);
  const u8 command = pending_;
  pending_ = 0;
  if ((command & 0xe0) == kWriteMemory) {
    memory_[command & kMemoryMask] = value;
    if ((command & kMemoryMask) == 0)
      status_ = static_cast<u8>((status_ & ~kStatusSystemFlag) | (value & kCommandSystemFlag));
    return;
  }
  switch (command) {
    case kWriteOutputPort:
      write_output_port(value);
      break;
    case kWriteFirstOutput:
      respond(value);
      break;
    case kWriteSecondOutput:
      respond(value, kStatusAuxiliary);
      break;
    case kWriteSecond:
      respond(kNoDevice, kStatusAuxiliary | kStatusTimeout);
      break;
    default:
      respond(kNoDevice, kStatusTimeout);
      break;  // a byte for the keyboard, which is not there
  }
}

void I8042::write_command(u64, u8 value) {
  status_ |= kStatusCommand;
  pending_ = 0;
  if ((value & 0xe0) == kReadMemory) {
    respond(memory_[value & kMemoryMask]);
    return;
  }
  if ((value & 0xe0) == kWriteMemory) {
    pending_ = value;
    return;
  }
  if ((value & 0xf0) == kPulse) {
    if (!(value & kOutputNoReset)) machine_.request_reset();
    return;
  }
  switch (value) {
    case kDisableFirst:
      memory_[0] |= kCommandDisableFirst;
      break;
    case kEnableFirst:
      memory_[0] &= static_cast<u8>(~kCommandDisableFirst);
      break;
    case kDisableSecond:
      memory_[0] |= kCommandDisableSecond;
      break;
    case kEnableSecond:
      memory_[0] &= static_cast<u8>(~kCommandDisableSecond);
      break;
    case kSelfTest:
      status_ |= kStatusSystemFlag;
      respond(kSelfTestPassed);
      break;
    case kTestFirst:
    case kTestSecond:
      respond(kPortTestPassed);
      break;
    case kReadOutputPort:
      respond(output_port_);
      break;
    case kWriteOutputPort:
    case kWriteFirstOutput:
    case kWriteSecondOutput:
    case kWriteSecond:
      pending_ = value;
      break;
    default:
      ++ignored_;
      break;
  }
}

void I8042::save(StateWriter& writer) const {
  writer.section(name(), 1);
  writer.write_bytes(memory_);
  for (const u8 value : {status_, output_, output_port_, pending_}) writer.write_u8(value);
}

void I8042::load(StateReader& reader) {
  reader.section(name(), 1);
  reader.read_bytes_into(memory_);
  for (u8* field : {&status_, &output_, &output_port_, &pending_}) *field = reader.read_u8();
}

}  // namespace rondo::devices
