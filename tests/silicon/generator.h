// Makes batches of test cases.
#pragma once

#include "tests/silicon/forms.h"
#include "tests/silicon/random.h"
#include "tests/silicon/test_case.h"

namespace rondo::silicon {

class Generator {
 public:
  Generator(const Forms& forms, u64 seed, const Comparison& comparison)
      : forms_(forms), seed_(seed), comparison_(comparison) {}
  // Data, code and cases of batch `number`: a function of the seed and of the number.
  void make_batch(Batch& batch, u64 number, unsigned cases);

 private:
  const Forms& forms_;
  u64 seed_;
  Comparison comparison_;
  decoder::Decoder decoder_;
};

}  // namespace rondo::silicon
