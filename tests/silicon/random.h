// Pseudo-random numbers for the generator: splitmix64, a pure function of the seed.
#pragma once

#include "core/base/types.h"

namespace rondo::silicon {

class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() {
    u64 z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 .. limit-1
  u64 below(u64 limit) { return static_cast<u64>((static_cast<u128>(next()) * limit) >> 64); }
  bool percent(unsigned chance) { return below(100) < chance; }
  bool per_mille(unsigned chance) { return below(1000) < chance; }
  template <class Container>
  auto& pick(Container& container) {
    return container[below(container.size())];
  }

 private:
  u64 state_;
};

}  // namespace rondo::silicon
