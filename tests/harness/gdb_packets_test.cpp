#include "harness/gdb/packets.h"

#include <gtest/gtest.h>

#include "harness/gdb/agent_expression.h"
#include "harness/gdb/registers.h"

namespace rondo::gdb {
namespace {

std::vector<Received> receive(PacketReader& reader, std::string_view bytes) {
  reader.feed({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
  std::vector<Received> out;
  while (auto message = reader.next()) out.push_back(*message);
  return out;
}

TEST(GdbPackets, FramesAndEscapes) {
  EXPECT_EQ(frame("OK"), "$OK#9a");
  EXPECT_EQ(frame(""), "$#00");
  const std::string all = "a}b$c#d*e";
  PacketReader reader;
  const auto back = receive(reader, frame(all));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].kind, Received::Kind::packet);
  EXPECT_EQ(back[0].payload, all);
}

TEST(GdbPackets, ComesInPieces) {
  PacketReader reader;
  const std::string bytes = "+" + frame("qSupported:a;b") + "-\x03" + frame("g");
  std::vector<Received::Kind> kinds;
  for (const char c : bytes) {
    for (const Received& r : receive(reader, {&c, 1})) kinds.push_back(r.kind);
  }
  using K = Received::Kind;
  EXPECT_EQ(kinds, (std::vector{K::ack, K::packet, K::nak, K::interrupt, K::packet}));
}

TEST(GdbPackets, BadChecksumsAndRubbish) {
  PacketReader reader;
  const auto bad = receive(reader, "rubbish$g#00$g#zz$cut$g#67");
  ASSERT_EQ(bad.size(), 3u);
  EXPECT_EQ(bad[0].kind, Received::Kind::bad_packet);
  EXPECT_EQ(bad[1].kind, Received::Kind::bad_packet);
  EXPECT_EQ(bad[2].kind, Received::Kind::packet);
  reader.ignore_checksums();
  const auto good = receive(reader, "$g#00");
  ASSERT_EQ(good.size(), 1u);
  EXPECT_EQ(good[0].payload, "g");
}

TEST(GdbPackets, TooLongIsRefusedWithoutBeingKept) {
  PacketReader reader;
  const auto got = receive(reader, frame(std::string(3 * kMaximumPacket, 'x')) + frame("g"));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].kind, Received::Kind::bad_packet);
  EXPECT_EQ(got[1].payload, "g");
}

TEST(GdbPackets, AnInterruptGoesAheadOfItsTurn) {
  PacketReader reader;
  const std::string bytes = frame("g") + "\x03";
  reader.feed({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
  EXPECT_TRUE(reader.take_interrupt());
  EXPECT_FALSE(reader.take_interrupt());
  EXPECT_EQ(reader.next()->payload, "g");
}

TEST(GdbPackets, Fields) {
  Fields fields("1f,20:rest");
  EXPECT_EQ(fields.number(), 0x1fu);
  EXPECT_TRUE(fields.skip(','));
  EXPECT_EQ(fields.number(), 0x20u);
  EXPECT_FALSE(fields.skip(','));
  EXPECT_TRUE(fields.skip(':'));
  EXPECT_EQ(fields.number(), std::nullopt);
  EXPECT_EQ(fields.rest(), "rest");
  EXPECT_EQ(Fields("10000000000000000").number(), std::nullopt);
  EXPECT_EQ(from_hex("0g"), std::nullopt);
  EXPECT_EQ(from_hex("012"), std::nullopt);
}

class AgentExpression : public ::testing::Test {
 protected:
  std::optional<u64> run(std::vector<u8> code) { return evaluate(code, context); }
  AgentContext context{
      .reg = [](unsigned n) { return n < 20 ? std::optional<u64>(100 + n) : std::nullopt; },
      .memory =
          [](u64 address, std::span<u8> out) {
            for (u8& byte : out) byte = static_cast<u8>(address++);
            return address < 0x1000;
          },
  };
};

TEST_F(AgentExpression, Values) {
  EXPECT_EQ(run({0x22, 5, 0x22, 3, 0x03, 0x27}), 2u);                       // 5 - 3
  EXPECT_EQ(run({0x26, 0, 7, 0x23, 0, 107, 0x13, 0x27}), 1u);               // reg 7 == 107
  EXPECT_EQ(run({0x22, 0x10, 0x19, 0x27}), 0x13121110u);                    // ref32
  EXPECT_EQ(run({0x22, 0xff, 0x16, 8, 0x27}), ~u64{0});                     // ext 8
  EXPECT_EQ(run({0x22, 1, 0x20, 0, 8, 0x22, 9, 0x27, 0x22, 7, 0x27}), 7u);  // if_goto
  EXPECT_EQ(run({0x22, 1, 0x22, 2, 0x22, 3, 0x33, 0x27}), 2u);              // rot: the second comes to the top
  EXPECT_EQ(run({0x22, 1, 0x22, 2, 0x32, 1, 0x27}), 1u);                    // pick
  EXPECT_EQ(run({0x22, 1, 0x22, 64, 0x09, 0x27}), 0u);                      // shift by 64
}

TEST_F(AgentExpression, MalformedOnesHaveNoValue) {
  EXPECT_EQ(run({}), std::nullopt);
  EXPECT_EQ(run({0x27}), std::nullopt);                          // empty stack
  EXPECT_EQ(run({0x22}), std::nullopt);                          // cut off
  EXPECT_EQ(run({0x22, 1, 0x02, 0x27}), std::nullopt);           // one operand
  EXPECT_EQ(run({0x22, 1, 0x22, 0, 0x05, 0x27}), std::nullopt);  // division by zero
  EXPECT_EQ(run({0x21, 0, 0}), std::nullopt);                    // for ever
  EXPECT_EQ(run({0x21, 0, 9}), std::nullopt);                    // out of the code
  EXPECT_EQ(run({0x22, 1, 0x28, 0x21, 0, 2}), std::nullopt);     // a stack without end
  EXPECT_EQ(run({0x26, 0, 99, 0x27}), std::nullopt);             // no such register
  EXPECT_EQ(run({0x23, 0xff, 0, 0x17, 0x27}), std::nullopt);     // no such memory
  EXPECT_EQ(run({0x34, 0x27}), std::nullopt);                    // printf
}

TEST(GdbRegisters, GoOutAndComeBack) {
  for (const Architecture architecture : {Architecture::x86_64, Architecture::i386}) {
    const Registers registers(architecture);
    CpuState cpu = CpuState::at_reset();
    for (unsigned i = 0; i < 16; ++i)
      cpu.gpr[i] = architecture == Architecture::x86_64 ? u64{0x1111111111111111} * i : u64{0x11111111} * i;
    cpu.rip = 0x1234;
    cpu.fpu.significand[3] = 42;
    cpu.fpu.valid = 8;
    cpu.xmm[7].lane[1] = 77;
    const std::vector<u8> all = registers.read_all(cpu);
    CpuState other = cpu;
    other.gpr = {};
    other.rip = 0;
    other.fpu = {};
    other.xmm = {};
    ASSERT_TRUE(registers.write_all(other, all));
    EXPECT_EQ(registers.read_all(other), all);
    EXPECT_EQ(registers.value(cpu, registers.pc()), 0x1234u);
    std::size_t total = 0;
    for (unsigned i = 0; i < registers.count(); ++i) total += registers.read(cpu, i)->size();
    EXPECT_EQ(total, all.size());
    EXPECT_FALSE(registers.read(cpu, registers.count()));
    EXPECT_FALSE(registers.write_all(other, std::span(all).first(all.size() - 1)));
  }
}

TEST(GdbRegisters, WhatCannotBeSetIsRefused) {
  const Registers registers(Architecture::x86_64);
  CpuState cpu = CpuState::at_reset();
  const std::vector<u8> selector{8, 0, 0, 0};
  EXPECT_FALSE(registers.write(cpu, 18, selector));  // cs
  const std::vector<u8> wild(8, 0x7f);
  EXPECT_FALSE(registers.write(cpu, 57, wild)) << "fs_base must be canonical";
}

}  // namespace
}  // namespace rondo::gdb
