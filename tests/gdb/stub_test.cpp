#include <gtest/gtest.h>

#include <cstdlib>

#include "harness/host/clock.h"
#include "tests/gdb/fuzzed_stub.h"
#include "tests/slow.h"

namespace rondo::gdb {
namespace {

TEST(GdbStub, SaysWhatItCan) {
  FuzzedStub stub;
  EXPECT_NE(stub.packet("qSupported:swbreak+").find("ReverseContinue+"), std::string::npos);
  EXPECT_EQ(stub.packet("vMustReplyEmpty"), "");
  EXPECT_EQ(stub.packet("qfThreadInfo"), "m1");
  EXPECT_EQ(stub.packet("vAttach;1"), "E01");
  EXPECT_EQ(stub.packet("qOffsets"), "");
  EXPECT_EQ(stub.packet("m100000,4"), "02b0ad1b");
  EXPECT_EQ(stub.packet("mf0000000,4"), "E0e");
  EXPECT_EQ(stub.packet("Z0,10002b,1"), "OK");
  EXPECT_NE(stub.packet("c").find("swbreak:;"), std::string::npos);
  EXPECT_NE(stub.packet("bc").find("replaylog:begin;"), std::string::npos);
}

TEST(GdbStub, ConditionsAreEvaluatedHere) {
  FuzzedStub stub;
  // rcx (register 2) == 150
  EXPECT_EQ(stub.packet("Z0,10002b,1;X9,26000223009613"
                        "2727"),
            "OK");
  EXPECT_NE(stub.packet("c").find("swbreak:;"), std::string::npos);
  EXPECT_EQ(stub.packet("p2").substr(0, 4), "9600");
}

TEST(GdbStub, WritingTwiceTheSameIsNoBranch) {
  FuzzedStub stub;
  stub.packet("s");
  EXPECT_EQ(stub.packet("M100000,4:02b0ad1b"), "OK");
  const std::string g = stub.packet("g");
  EXPECT_EQ(stub.packet("G" + g), "OK");
  EXPECT_NE(stub.packet("s").find("T05"), std::string::npos);
  EXPECT_EQ(stub.packet("P2=7700000000000000"), "OK");
  stub.packet("s");
  stub.packet("bs");
  EXPECT_EQ(stub.packet("p2"), "7700000000000000") << "the branch begins with it";
  stub.packet("bs");
  EXPECT_NE(stub.packet("p2"), "7700000000000000") << "before it nothing was changed";
  stub.packet("s");
  EXPECT_EQ(stub.packet("p2"), "7700000000000000");
}

TEST(GdbStub, NothingThatComesCanHurtIt) {
  const bool full = rondo::slow_tests();
#ifdef RONDO_SANITIZED
  const u64 packets = full ? 5'000 : 500;
#else
  const u64 packets = full ? 1'000'000 : 3'000;
#endif
  constexpr u64 kOneMachine = 1000;  // packets; after that its guest is mostly spoilt
  auto stub = std::make_unique<FuzzedStub>();
  u64 memory_before = 0, answered = 0;
  for (u64 i = 0; i < packets; ++i) {
    if (i % kOneMachine == kOneMachine - 1) {
      EXPECT_LT(stub->snapshots(), 1000u);
      stub = std::make_unique<FuzzedStub>();
    }
    const std::string bytes = frame(random_packet(i));
    answered += stub->feed({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
    if (i == packets / 2) memory_before = host::peak_memory_bytes();
  }
  EXPECT_EQ(answered, packets);
  EXPECT_LT(host::peak_memory_bytes(), memory_before + (u64{48} << 20)) << "memory grows";
}

}  // namespace
}  // namespace rondo::gdb
