// Random walks through time: at a Position the machine is the same however it was reached, and going back stops where
// going forwards stopped last.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "harness/gdb/time_travel.h"

namespace rondo::gdb {

struct WalkOptions {
  u64 seed = 1;
  unsigned moments = 30;  // to begin at
  unsigned moves = 25;    // from each
  u64 last_count = 0;     // Moments are drawn from [start, this]
  u64 reach = 300'000;    // how far points are looked for, by a bound on both sides
};

class Walk {
 public:
  Walk(TimeTravel& travel, WalkOptions options);
  // What went wrong, one line each; empty: nothing.
  std::vector<std::string> run();
  // Positions at the beginning of a count, and the state hash there: for a comparison with a machine that never went
  // back.
  std::map<u64, std::string> plain_states() const;
  unsigned hits() const { return hits_; }
  unsigned deliveries() const { return deliveries_; }

 private:
  void move();
  void visit();
  void choose_points();
  void to_a_handler();
  void search(Direction direction);
  void expect(bool holds, const std::string& what);
  u64 draw(u64 below) { return random_() % below; }
  CpuState cpu() { return travel_.machine().engine().state(); }

  TimeTravel& travel_;
  WalkOptions options_;
  std::mt19937_64 random_;
  std::map<Position, std::string> states_;
  std::vector<u64> rips_, addresses_;  // seen on the way
  std::vector<std::string> wrong_;
  std::string trail_;
  unsigned hits_ = 0, deliveries_ = 0;
  u64 polls_ = 0, poll_limit_ = 0;
};

}  // namespace rondo::gdb
