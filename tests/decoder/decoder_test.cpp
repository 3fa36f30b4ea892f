#include "decoder/decoder.h"

#include <gtest/gtest.h>

#include <array>
#include <initializer_list>
#include <vector>

namespace rondo::decoder {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Result {
  DecodeStatus status;
  Instruction inst;
};

Result decode(const Bytes& bytes, CodeMode mode = CodeMode::bits64) {
  static Decoder decoder;
  Result result{};
  result.status = decoder.decode(bytes, mode, result.inst);
  return result;
}

Instruction decode_ok(const Bytes& bytes, CodeMode mode = CodeMode::bits64) {
  const Result result = decode(bytes, mode);
  EXPECT_EQ(result.status, DecodeStatus::ok);
  EXPECT_EQ(result.inst.length, bytes.size());
  return result.inst;
}

void expect_invalid(const Bytes& bytes, CodeMode mode = CodeMode::bits64) {
  const Result result = decode(bytes, mode);
  EXPECT_EQ(result.status, DecodeStatus::invalid) << operation_name(result.inst.operation);
  EXPECT_EQ(result.inst.operation, Operation::INVALID);
}

TEST(Decoder, OperandsComeInIntelOrder) {
  const auto store = decode_ok({0x48, 0x89, 0x4c, 0x98, 0x10});  // mov [rax+rbx*4+0x10], rcx
  EXPECT_EQ(store.operation, Operation::MOV);
  EXPECT_EQ(store.operand_bytes, 8);
  ASSERT_EQ(store.operand_count, 2);
  EXPECT_EQ(store.operands[0].kind, OperandKind::memory);
  EXPECT_EQ(store.operands[0].size_bytes, 8);
  EXPECT_EQ(store.memory.base, 0);
  EXPECT_EQ(store.memory.index, 3);
  EXPECT_EQ(store.memory.scale_shift, 2);
  EXPECT_EQ(store.memory.displacement, 0x10);
  EXPECT_EQ(store.memory.segment, 3);
  EXPECT_EQ(store.operands[1].kind, OperandKind::gpr);
  EXPECT_EQ(store.operands[1].reg, 1);

  const auto exchange_add = decode_ok({0xf0, 0x48, 0x0f, 0xc1, 0x03});  // lock xadd [rbx], rax
  EXPECT_EQ(exchange_add.operation, Operation::XADD);
  EXPECT_TRUE(exchange_add.lock);
  EXPECT_EQ(exchange_add.operands[0].kind, OperandKind::memory);
  EXPECT_EQ(exchange_add.operands[1].kind, OperandKind::gpr);
}

TEST(Decoder, FixedOperandsOfTheSyntaxAreExplicit) {
  const auto add = decode_ok({0x04, 0xff});  // add al, -1
  ASSERT_EQ(add.operand_count, 2);
  EXPECT_EQ(add.operands[0].kind, OperandKind::gpr);
  EXPECT_EQ(add.operands[0].size_bytes, 1);
  EXPECT_EQ(add.immediate, -1);

  const auto by_one = decode_ok({0xd1, 0xe0});  // shl eax, 1
  ASSERT_EQ(by_one.operand_count, 2);
  EXPECT_EQ(by_one.operands[1].kind, OperandKind::immediate);
  EXPECT_EQ(by_one.immediate, 1);

  const auto by_cl = decode_ok({0xd3, 0xe0});
  EXPECT_EQ(by_cl.operands[1].kind, OperandKind::gpr);
  EXPECT_EQ(by_cl.operands[1].reg, 1);

  const auto out = decode_ok({0xef});  // out dx, eax
  EXPECT_EQ(out.operands[0].reg, 2);
  EXPECT_EQ(out.operands[1].size_bytes, 4);

  const auto divide = decode_ok({0xdc, 0xf9});  // fdiv st(1), st(0)
  EXPECT_EQ(divide.operation, Operation::FDIV);
  EXPECT_EQ(divide.operands[0].reg, 1);
  EXPECT_EQ(divide.operands[1].reg, 0);
}

TEST(Decoder, HighByteRegisters) {
  const auto high = decode_ok({0x88, 0xe0});  // mov al, ah
  EXPECT_TRUE(high.operands[1].high_byte);
  EXPECT_EQ(high.operands[1].reg, 0);
  const auto low = decode_ok({0x40, 0x88, 0xe0});  // mov al, spl
  EXPECT_FALSE(low.operands[1].high_byte);
  EXPECT_EQ(low.operands[1].reg, 4);
}

TEST(Decoder, ImmediatesAreSignExtendedFromTheirEncodedWidth) {
  EXPECT_EQ(decode_ok({0x83, 0xc0, 0x80}).immediate, -128);
  EXPECT_EQ(decode_ok({0xc1, 0xe0, 0xff}).immediate, -1);
  EXPECT_EQ(decode_ok({0xcd, 0x80}).immediate, -128);
  EXPECT_EQ(decode_ok({0xb8, 0xff, 0, 0, 0}).immediate, 0xff);
  EXPECT_EQ(decode_ok({0xb8, 0, 0, 0, 0x80}).immediate, INT32_MIN);
  EXPECT_EQ(decode_ok({0x66, 0xb8, 0xff, 0xff}).immediate, -1);
  EXPECT_EQ(decode_ok({0x48, 0xb8, 0, 0, 0, 0x80, 0, 0, 0, 0}).immediate, 0x80000000);
  EXPECT_EQ(decode_ok({0xc2, 0xff, 0xff}).immediate, 0xffff);
  const auto enter = decode_ok({0xc8, 0xf0, 0xff, 0x83});
  EXPECT_EQ(enter.immediate, 0xfff0);
  EXPECT_EQ(enter.immediate2, 0x83);
}

TEST(Decoder, LastPrefixOfAGroupCounts) {
  EXPECT_EQ(decode_ok({0xf2, 0xf3, 0xa4}).rep, true);
  EXPECT_EQ(decode_ok({0xf3, 0xf2, 0xa4}).repne, true);
  EXPECT_EQ(decode_ok({0x64, 0x65, 0x8b, 0x00}).memory.segment, 5);
  // In 64-bit mode ES, CS, SS and DS mean nothing and do not cancel FS.
  EXPECT_EQ(decode_ok({0x64, 0x2e, 0x8b, 0x00}).memory.segment, 4);
  EXPECT_EQ(decode_ok({0x2e, 0x8b, 0x00}).memory.segment, 3);
  EXPECT_EQ(decode_ok({0x2e, 0x8b, 0x00}, CodeMode::bits32).memory.segment, 1);
  EXPECT_EQ(decode_ok({0x8b, 0x04, 0x24}).memory.segment, 2);  // [rsp]: SS
}

TEST(Decoder, RexCountsOnlyDirectlyBeforeTheOpcode) {
  EXPECT_EQ(decode_ok({0x48, 0x66, 0x89, 0xc0}).operand_bytes, 2);
  EXPECT_EQ(decode_ok({0x66, 0x48, 0x89, 0xc0}).operand_bytes, 8);
  EXPECT_EQ(decode_ok({0x49, 0x48, 0x89, 0xc0}).operands[0].reg, 0);
}

TEST(Decoder, LockNeedsAMemoryDestination) {
  EXPECT_TRUE(decode_ok({0xf0, 0x0f, 0xba, 0x2b, 0x01}).lock);  // lock bts [rbx], 1
  EXPECT_TRUE(decode_ok({0xf0, 0x87, 0x03}).lock);
  EXPECT_TRUE(decode_ok({0xf0, 0x48, 0x0f, 0xc7, 0x0b}).lock);  // cmpxchg16b
  expect_invalid({0xf0, 0x90});
  expect_invalid({0xf0, 0x01, 0xc0});
  expect_invalid({0xf0, 0x03, 0x03});                    // destination is a register
  expect_invalid({0xf0, 0x39, 0x03});                    // cmp
  expect_invalid({0xf0, 0x0f, 0xba, 0x23, 0x01});        // bt
  EXPECT_EQ(decode({0xf0, 0x39, 0x03}).inst.length, 3);  // the length is known all the same
}

TEST(Decoder, NearBranchesIgnore66InLongMode) {
  const auto call = decode_ok({0x66, 0xe8, 0xfc, 0xff, 0xff, 0xff});
  EXPECT_EQ(call.operation, Operation::CALL);
  EXPECT_EQ(call.immediate, -4);
  EXPECT_EQ(call.operand_bytes, 8);
  EXPECT_EQ(decode_ok({0x66, 0x0f, 0x84, 1, 0, 0, 0}).immediate, 1);
  EXPECT_EQ(decode_ok({0x66, 0xff, 0xd0}).operands[0].size_bytes, 8);
  EXPECT_EQ(decode_ok({0x66, 0xc3}).operand_bytes, 8);
  EXPECT_EQ(decode_ok({0x66, 0xe8, 0xfc, 0xff}, CodeMode::bits32).immediate, -4);
  EXPECT_EQ(decode_ok({0x66, 0xff, 0x30}).operand_bytes, 2);  // push word [rax] is no branch
}

TEST(Decoder, FormsThatMcRejects) {
  EXPECT_EQ(decode_ok({0xf1}).operation, Operation::INT1);
  EXPECT_EQ(decode_ok({0x0f, 0xff, 0x04, 0x25, 0, 0, 0, 0}).operation, Operation::UD0);
  EXPECT_EQ(decode_ok({0xd0, 0xf0}).operation, Operation::SHL);
  EXPECT_EQ(decode_ok({0xc1, 0x30, 0x05}).operation, Operation::SHL);
  EXPECT_EQ(decode_ok({0xf6, 0x08, 0x01}).operation, Operation::TEST);
  EXPECT_EQ(decode_ok({0xf3, 0x0f, 0x1e, 0xfa}).operation, Operation::NOP);  // endbr64
  EXPECT_EQ(decode_ok({0x0f, 0x1a, 0x00}).operation, Operation::NOP);
  EXPECT_EQ(decode_ok({0x0f, 0x18, 0x08}).operation, Operation::PREFETCH);
  EXPECT_EQ(decode_ok({0x0f, 0x20, 0x00}).operation, Operation::MOV_CR);  // mod is ignored
  EXPECT_EQ(decode_ok({0xdc, 0xd1}).operation, Operation::FCOM);
  EXPECT_EQ(decode_ok({0xde, 0xd1}).operation, Operation::FCOMP);
  EXPECT_EQ(decode_ok({0xdf, 0xc9}).operation, Operation::FXCH);
  EXPECT_EQ(decode_ok({0xdf, 0xd1}).operation, Operation::FSTP);
  EXPECT_EQ(decode_ok({0xdb, 0xe4}).operation, Operation::NOP);  // FNSETPM does nothing, and does not wait for the FPU either
  EXPECT_EQ(decode_ok({0x62, 0x00}, CodeMode::bits32).operation, Operation::BOUND);
  EXPECT_EQ(decode_ok({0xd6}, CodeMode::bits16).operation, Operation::SALC);
}

TEST(Decoder, UndefinedEncodings) {
  expect_invalid({0x8e, 0xc8});                    // mov cs, eax
  expect_invalid({0x8e, 0xf0});                    // segment register 6
  expect_invalid({0x0f, 0x22, 0xc8});              // mov cr1, rax
  expect_invalid({0x44, 0x0f, 0x23, 0xc0});        // mov dr8, rax
  expect_invalid({0x66, 0x0f, 0x77});              // emms has no 66
  expect_invalid({0xf2, 0x0f, 0xfc, 0xc1});        // paddb has no F2
  expect_invalid({0x66, 0xf2, 0x0f, 0x28, 0xc1});  // F2 goes before 66
  expect_invalid({0x66, 0x0f, 0x12, 0xc1});
  expect_invalid({0x66, 0x0f, 0xae, 0xe8});
  expect_invalid({0xdb, 0xe5});
  expect_invalid({0x0f, 0xb8, 0xc1});
  expect_invalid({0xc5, 0xf9, 0x6f, 0xc1});  // AVX
  expect_invalid({0x0f, 0xa6, 0xc0});
  expect_invalid({0x06});
  expect_invalid({0x0f, 0x01, 0xf8}, CodeMode::bits32);  // swapgs
  EXPECT_EQ(decode_ok({0x66, 0xf2, 0x0f, 0x2a, 0xc1}).operation, Operation::CVTSI2SD);
}

TEST(Decoder, TzcntAndLzcntAreBsfAndBsr) {
  EXPECT_EQ(decode_ok({0xf3, 0x48, 0x0f, 0xbc, 0xc1}).operation, Operation::BSF);
  EXPECT_EQ(decode_ok({0xf3, 0x0f, 0xbd, 0xc1}).operation, Operation::BSR);
  EXPECT_EQ(decode_ok({0xf3, 0x0f, 0xb8, 0xc1}).operation, Operation::POPCNT);
}

TEST(Decoder, SixteenBitCode) {
  const auto load = decode_ok({0x8b, 0x42, 0xfe}, CodeMode::bits16);  // mov ax, [bp+si-2]
  EXPECT_EQ(load.operand_bytes, 2);
  EXPECT_EQ(load.address_bytes, 2);
  EXPECT_EQ(load.memory.base, 5);
  EXPECT_EQ(load.memory.index, 6);
  EXPECT_EQ(load.memory.segment, 2);
  EXPECT_EQ(load.memory.displacement, -2);
  EXPECT_EQ(decode_ok({0x66, 0x0f, 0x6f, 0x07}, CodeMode::bits16).operation, Operation::MOVDQA);
  EXPECT_EQ(decode_ok({0x0f, 0x6f, 0x07}, CodeMode::bits16).operation, Operation::MOVQ);
  EXPECT_EQ(decode_ok({0x66, 0x0f, 0x01, 0x16, 0, 0}, CodeMode::bits16).operand_bytes, 4);  // lgdtl
  const auto far_jump = decode_ok({0x66, 0xea, 0x78, 0x56, 0x34, 0xf2, 0x08, 0xff}, CodeMode::bits16);
  EXPECT_EQ(far_jump.operation, Operation::JMP_FAR);
  EXPECT_EQ(far_jump.operands[0].kind, OperandKind::far_pointer);
  EXPECT_EQ(far_jump.immediate, 0xf2345678);
  EXPECT_EQ(far_jump.immediate2, 0xff08);
}

TEST(Decoder, AbsoluteOffsets) {
  const auto load = decode_ok({0x64, 0x48, 0xa1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0xf1});
  EXPECT_EQ(load.operands[0].kind, OperandKind::gpr);
  EXPECT_EQ(load.operands[1].kind, OperandKind::memory);
  EXPECT_EQ(load.memory.base, kNoRegister);
  EXPECT_EQ(load.memory.segment, 4);
  EXPECT_EQ(static_cast<std::uint64_t>(load.memory.displacement), 0xf122334455667788);
}

TEST(Decoder, LengthLimit) {
  Bytes bytes(14, 0x66);
  bytes.push_back(0x90);
  EXPECT_EQ(decode(bytes).status, DecodeStatus::ok);
  EXPECT_EQ(decode(bytes).inst.length, 15);
  bytes.insert(bytes.begin(), 0x66);
  EXPECT_EQ(decode(bytes).status, DecodeStatus::too_long);
  Bytes prefixes(15, 0x2e);
  EXPECT_EQ(decode(prefixes).status, DecodeStatus::too_long);
  // add dword [disp32], imm32 is 10 or 11 bytes: with 5 prefixes it is 16.
  Bytes add = {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x81, 0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(decode(add).status, DecodeStatus::too_long);
}

TEST(Decoder, TruncatedIsNotInvalid) {
  EXPECT_EQ(decode({}).status, DecodeStatus::truncated);
  EXPECT_EQ(decode({0x48}).status, DecodeStatus::truncated);
  EXPECT_EQ(decode({0x0f}).status, DecodeStatus::truncated);
  EXPECT_EQ(decode({0x0f, 0xc7}).status, DecodeStatus::truncated);  // only some ModRM bytes are valid
  EXPECT_EQ(decode({0x0f, 0x38}).status, DecodeStatus::truncated);
  EXPECT_EQ(decode({0xe8, 1, 2, 3}).status, DecodeStatus::truncated);
  expect_invalid({0x0f, 0x04});
}

TEST(Decoder, OperationNames) {
  EXPECT_EQ(operation_name(Operation::INVALID), "INVALID");
  EXPECT_EQ(operation_name(Operation::ADD), "ADD");
  EXPECT_EQ(operation_name(static_cast<Operation>(kOperationCount - 1)), "PCMPGTQ");
}

}  // namespace
}  // namespace rondo::decoder
