#include "harness/values.h"

#include <gtest/gtest.h>

namespace rondo::cli {
namespace {

TEST(Values, Counts) {
  EXPECT_EQ(parse_count("0").value(), 0u);
  EXPECT_EQ(parse_count("20M").value(), 20'000'000u);
  EXPECT_EQ(parse_count("1.5G").value(), 1'500'000'000u);
  EXPECT_EQ(parse_count("20.001M").value(), 20'001'000u);
  EXPECT_EQ(parse_count("18446744073709551615").value(), ~u64{0});
  for (const char* bad :
       {"", "M", "-1", "1e6", "1 M", "1MM", "18446744073709551616", "99999999999G", "1.", ".5", "0x10", "1.5.5"}) {
    EXPECT_FALSE(parse_count(bad)) << bad;
  }
}

TEST(Values, Sizes) {
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("256M").value(), u64{256} << 20);
  EXPECT_EQ(parse_size("256MiB").value(), u64{256} << 20);
  EXPECT_EQ(parse_size("1.5G").value(), u64{3} << 29);
  for (const char* bad : {"", "lots", "-1", "256 M", "256MB", "99999999T"}) EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Values, Durations) {
  EXPECT_EQ(parse_duration("60s").value(), 60'000'000'000u);
  EXPECT_EQ(parse_duration("60").value(), 60'000'000'000u);
  EXPECT_EQ(parse_duration("250ms").value(), 250'000'000u);
  EXPECT_EQ(parse_duration("1.5us").value(), 1500u);
  EXPECT_EQ(parse_duration("2m").value(), 120'000'000'000u);
  for (const char* bad : {"", "s", "-1s", "1 s", "1d", "9999999999h"}) EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Values, Times) {
  EXPECT_EQ(parse_time("1700000000").value(), 1'700'000'000);
  EXPECT_EQ(parse_time("2023-11-14T22:13:20").value(), 1'700'000'000);
  EXPECT_EQ(parse_time("2023-11-14T22:13:20Z").value(), 1'700'000'000);
  EXPECT_EQ(parse_time("2024-02-29").value(), 1'709'164'800);
  for (const char* bad :
       {"", "2024-02-30", "2023-02-29", "2024-13-01", "2024-01-01T24:00:00", "2024-01-01x", "yesterday"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

TEST(Values, TraceRanges) {
  const auto range = parse_trace_range("1.5M..2M=out.txt");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->from, InstrCount{1'500'000});
  EXPECT_EQ(range->to, InstrCount{2'000'000});
  EXPECT_EQ(range->path, "out.txt");
  EXPECT_EQ(parse_trace_range("5..5").value().path, "");
  for (const char* bad : {"", "5", "5..", "..5", "9..5", "5..9=", "a..b", "1...5"})
    EXPECT_FALSE(parse_trace_range(bad)) << bad;
}

}  // namespace
}  // namespace rondo::cli
