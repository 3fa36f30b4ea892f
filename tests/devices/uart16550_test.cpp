#include "devices/uart16550/uart16550.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace rondo::devices {
namespace {

using namespace uart;

class Uart : public ::testing::Test {
 protected:
  void out(u64 reg, u8 value) { out8(uart_, reg, value); }
  u8 in(u64 reg) { return in8(uart_, reg); }
  void enable(u8 interrupts, u8 fifo_control = kFcrEnable) {
    out(kModemControl, kMcrDtr | kMcrRts | kMcrOut2);
    out(kFifoControl, fifo_control);
    out(kInterruptEnable, interrupts);
  }
  Clock clock_;
  FakeLine irq_;
  FakeSink sink_;
  Uart16550 uart_{"uart0", clock_, irq_, sink_};
};

TEST_F(Uart, ResetValues) {
  EXPECT_EQ(in(kInterruptEnable), 0);
  EXPECT_EQ(in(kInterruptId), kIirNone);
  EXPECT_EQ(in(kLineStatus), 0x60);
  EXPECT_EQ(in(kModemStatus), kMsrCts | kMsrDsr | kMsrDcd);
  EXPECT_FALSE(irq_.level);
}

TEST_F(Uart, DivisorLatchHidesDataAndInterruptEnable) {
  out(kLineControl, kLcrDivisorLatch | 3);
  out(kData, 0x34);
  out(kInterruptEnable, 0x12);
  EXPECT_EQ(in(kData), 0x34);
  EXPECT_EQ(in(kInterruptEnable), 0x12);
  out(kLineControl, 3);
  EXPECT_EQ(in(kInterruptEnable), 0);
  EXPECT_EQ(sink_.text, "");
}

// The probe of Linux's 8250 driver (autoconfig in 8250_port.c): interrupt enable bits, loopback, FIFO kind.
TEST_F(Uart, LinuxFindsA16550A) {
  out(kInterruptEnable, 0);
  EXPECT_EQ(in(kInterruptEnable)&0x0f, 0);
  out(kInterruptEnable, 0x0f);
  EXPECT_EQ(in(kInterruptEnable)&0x0f, 0x0f);
  out(kInterruptEnable, 0xff);
  EXPECT_EQ(in(kInterruptEnable), 0x0f);
  out(kInterruptEnable, 0);
  out(kModemControl, kMcrLoop | kMcrOut2 | kMcrRts);
  EXPECT_EQ(in(kModemStatus)&0xf0, kMsrDcd | kMsrCts);
  out(kModemControl, 0);
  out(kLineControl, 0xbf);  // no enhanced registers behind this value
  out(kFifoControl, 0);
  out(kLineControl, 0);
  out(kFifoControl, kFcrEnable);
  EXPECT_EQ(in(kInterruptId) >> 6, 3);
  out(kFifoControl, kFcrEnable | 0x20);
  EXPECT_EQ(in(kInterruptId)&0x20, 0);  // not a 16750
}

// serial8250_do_startup: enabling the transmitter-empty interrupt raises it, each time.
TEST_F(Uart, LinuxTransmitterEmptyTest) {
  for (int i = 0; i < 2; ++i) {
    out(kInterruptEnable, kIerTransmitEmpty);
    EXPECT_EQ(in(kInterruptId)&0x0f, kIirTransmitEmpty);
    EXPECT_EQ(in(kInterruptId)&0x0f, kIirNone);  // reading it cleared it
    out(kInterruptEnable, 0);
  }
  EXPECT_FALSE(irq_.level);  // OUT2 was off
}

TEST_F(Uart, OutputReachesTheSinkAndInterruptsAfterEachWrite) {
  enable(kIerTransmitEmpty);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(in(kInterruptId), kIirFifosEnabled | kIirTransmitEmpty);
  EXPECT_FALSE(irq_.level);
  for (const char c : std::string("hello")) out(kData, static_cast<u8>(c));
  EXPECT_EQ(sink_.text, "hello");
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(in(kLineStatus)&0x60, 0x60);
  out(kInterruptEnable, 0);
  EXPECT_FALSE(irq_.level);
}

TEST_F(Uart, ReceiveWithoutFifoHoldsOneByte) {
  enable(kIerReceived, 0);
  EXPECT_TRUE(uart_.can_receive());
  uart_.receive('a');
  EXPECT_FALSE(uart_.can_receive());
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(in(kInterruptId), kIirReceived);
  EXPECT_EQ(in(kLineStatus)&kLsrDataReady, kLsrDataReady);
  EXPECT_EQ(in(kData), 'a');
  EXPECT_FALSE(irq_.level);
  EXPECT_TRUE(uart_.can_receive());
  uart_.receive('b');
  uart_.receive('c');  // destroys b
  EXPECT_EQ(in(kLineStatus)&kLsrOverrun, kLsrOverrun);
  EXPECT_EQ(in(kLineStatus)&kLsrOverrun, 0);
  EXPECT_EQ(in(kData), 'c');
}

TEST_F(Uart, FifoTriggerLevel) {
  enable(kIerReceived, kFcrEnable | 0x80);  // 8 bytes
  for (u8 i = 0; i < 7; ++i) uart_.receive(i);
  EXPECT_FALSE(irq_.level);
  uart_.receive(7);
  EXPECT_EQ(in(kInterruptId), kIirFifosEnabled | kIirReceived);
  for (u8 i = 0; i < 8; ++i) EXPECT_EQ(in(kData), i);
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Uart, FifoHoldsSixteenAndOverrunKeepsThem) {
  enable(kIerReceived | kIerLineStatus);
  for (u8 i = 0; i < 16; ++i) {
    EXPECT_TRUE(uart_.can_receive());
    uart_.receive(i);
  }
  EXPECT_FALSE(uart_.can_receive());
  uart_.receive(99);
  EXPECT_EQ(in(kInterruptId)&0x0f, kIirLineStatus);
  EXPECT_EQ(in(kLineStatus)&kLsrOverrun, kLsrOverrun);
  for (u8 i = 0; i < 16; ++i) EXPECT_EQ(in(kData), i);
  EXPECT_EQ(in(kLineStatus)&kLsrDataReady, 0);
}

// 8N1 at 115200 baud: four characters are 347 us after the last receipt or read.
TEST_F(Uart, CharacterTimeout) {
  out(kLineControl, kLcrDivisorLatch);
  out(kData, 1);
  out(kInterruptEnable, 0);
  out(kLineControl, 3);
  enable(kIerReceived, kFcrEnable | 0xc0);
  uart_.receive('x');
  uart_.receive('y');
  run_for(clock_, 340'000);
  EXPECT_FALSE(irq_.level);
  run_for(clock_, 10'000);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(in(kInterruptId)&0x0f, kIirTimeout);
  EXPECT_EQ(in(kData), 'x');
  EXPECT_FALSE(irq_.level);
  run_for(clock_, 350'000);
  EXPECT_TRUE(irq_.level);
  EXPECT_EQ(in(kData), 'y');
  run_for(clock_, 1'000'000);
  EXPECT_FALSE(irq_.level);
}

TEST_F(Uart, BreakIsALineStatus) {
  enable(kIerReceived | kIerLineStatus);
  uart_.receive_break();
  EXPECT_EQ(in(kInterruptId)&0x0f, kIirLineStatus);
  EXPECT_EQ(in(kLineStatus) & (kLsrBreak | kLsrDataReady | kLsrFifoError), kLsrBreak | kLsrDataReady | kLsrFifoError);
  EXPECT_EQ(in(kInterruptId)&0x0f, kIirReceived);
  EXPECT_EQ(in(kData), 0);
  EXPECT_EQ(in(kLineStatus), 0x60);
}

TEST_F(Uart, Loopback) {
  out(kModemControl, kMcrLoop);
  EXPECT_FALSE(uart_.can_receive());
  uart_.receive('z');  // is not heard
  out(kData, 'q');
  EXPECT_EQ(sink_.text, "");
  EXPECT_EQ(in(kData), 'q');
  in(kModemStatus);
  out(kModemControl, kMcrLoop | kMcrOut1);
  out(kModemControl, kMcrLoop);
  EXPECT_EQ(in(kModemStatus), kMsrTrailingRing);
  EXPECT_EQ(in(kModemStatus), 0);
}

TEST_F(Uart, ModemStatusInterrupt) {
  out(kInterruptEnable, kIerModemStatus);
  out(kModemControl, kMcrLoop);
  EXPECT_EQ(in(kInterruptId), kIirModemStatus);
  in(kModemStatus);
  EXPECT_EQ(in(kInterruptId), kIirNone);
}

TEST_F(Uart, ClearingTheFifo) {
  enable(kIerReceived);
  for (u8 i = 0; i < 5; ++i) uart_.receive(i);
  out(kFifoControl, kFcrEnable | kFcrClearReceive);
  EXPECT_EQ(in(kLineStatus), 0x60);
  EXPECT_FALSE(irq_.level);
  EXPECT_EQ(clock_.next_due(), std::nullopt);
}

TEST_F(Uart, RestoredInTheMiddleOfATimeout) {
  enable(kIerReceived | kIerTransmitEmpty, kFcrEnable | 0x80);
  out(kScratch, 0x5a);
  uart_.receive('1');
  uart_.receive_break();
  run_for(clock_, 1000);

  Clock clock;
  FakeLine irq;
  FakeSink sink;
  Uart16550 other("uart0", clock, irq, sink);
  ASSERT_TRUE(copy_state(uart_, clock_, other, clock));
  EXPECT_EQ(in8(other, kScratch), 0x5a);
  in8(other, kInterruptId);
  in(kInterruptId);
  run_for(clock, 50'000'000);
  run_for(clock_, 50'000'000);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(saved(other), saved(uart_));
  EXPECT_EQ(in8(other, kData), '1');
}

TEST_F(Uart, WideAccessesAreByteAccesses) {
  uart_.bus_write(kScratch, 1, 0x77);
  EXPECT_EQ(uart_.bus_read(kModemStatus, 2), 0x7700u | kMsrCts | kMsrDsr | kMsrDcd);
  uart_.bus_write(kLineStatus, 1, 0xff);
  EXPECT_EQ(uart_.ignored_accesses(), 1u);
}

}  // namespace
}  // namespace rondo::devices
