// Makes batches of test cases.
#pragma once

#include "tests/silicon/forms.h"
#include "tests/silicon/random.h"
#include "tests/silicon/test_case.h"

namespace rondo::silicon {

class Generator {
 public:
  // profile_host: undefined flags are compared, so they may be consumed by the next instruction.
  Generator(const Forms& forms, u64 seed, bool profile_host)
      : forms_(forms), seed_(seed), profile_host_(profile_host) {}
  // Data, code and cases of batch `number`: a function of the seed and of the number.
  void make_batch(Batch& batch, u64 number, unsigned cases);

 private:
  const Forms& forms_;
  u64 seed_;
  bool profile_host_;
  decoder::Decoder decoder_;
};

}  // namespace rondo::silicon
