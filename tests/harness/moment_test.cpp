#include "harness/recordings/moment.h"

#include <gtest/gtest.h>

namespace rondo::recordings {
namespace {

using Kind = MomentName::Kind;

TEST(Moments, EveryFormIsUnderstood) {
  EXPECT_EQ(*parse_moment("1500000"), (MomentName{Kind::count, 1'500'000, false}));
  EXPECT_EQ(*parse_moment("1.5G"), (MomentName{Kind::count, 1'500'000'000, false}));
  EXPECT_EQ(*parse_moment("0"), (MomentName{Kind::count, 0, false}));
  EXPECT_EQ(*parse_moment("2.5s"), (MomentName{Kind::time, 2'500'000'000, false}));
  EXPECT_EQ(*parse_moment("10us"), (MomentName{Kind::time, 10'000, false}));
  EXPECT_EQ(*parse_moment("event:12"), (MomentName{Kind::event, 12, false}));
  EXPECT_EQ(*parse_moment("end"), (MomentName{Kind::end, 0, false}));
  EXPECT_EQ(*parse_moment("end-1000"), (MomentName{Kind::end, 1000, false}));
  EXPECT_EQ(*parse_moment("end-2M"), (MomentName{Kind::end, 2'000'000, false}));
  EXPECT_EQ(*parse_moment("end-5ms"), (MomentName{Kind::end, 5'000'000, true}));
}

TEST(Moments, AnythingElseIsRefused) {
  for (const char* text : {"", "soon", "s", "-1", "end+1", "end-", "end-x", "ending", "event:", "event:x", "event:-1", "event:1.5", "event:1k",
                           "1e9", "99999999999999999999", "event:99999999999999999999", " 1", "1 "}) {
    EXPECT_FALSE(parse_moment(text)) << text;
  }
}

}  // namespace
}  // namespace rondo::recordings
