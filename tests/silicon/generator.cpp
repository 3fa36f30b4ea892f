#include "tests/silicon/generator.h"

#include "tests/silicon/case_builder.h"

namespace rondo::silicon {

void Generator::make_batch(Batch& batch, u64 number, unsigned cases) {
  Random random(Random(seed_).next() ^ Random(~number).next());
  constexpr u64 kCodeEnd = kCodeBase + kCodeBytes;
  constexpr u64 kLongestCase = 12 * (15 + 2) + kTerminatorBytes;
  fill_data(random, batch.data);
  batch.code.fill(0xcc);
  batch.case_count = cases;
  u64 at = kCodeBase;
  for (unsigned i = 0; i < cases; ++i) {
    TestCase& test = batch.cases[i];
    // The last one runs into the page that is not there, now and then.
    const bool last = i + 1 == cases && cases > 1;
    // Straight-line packing crosses a page once in a hundred cases; as many again are put there.
    if (!last && random.percent(1) && at + kPageSize < kCodeEnd) at = ((at + 32) | kPageMask) - random.below(14);
    for (bool built = false; !built;) {
      test.initial.rip = last ? kCodeEnd - 1 - random.below(12) : at + random.below(4);
      CaseBuilder builder(random, decoder_, batch.code, test, comparison_);
      if (!last && random.percent(22) && at + 2 * kLongestCase < kCodeEnd) {
        built = builder.build_sequence(forms_, 2 + static_cast<unsigned>(random.below(11)));
      } else {
        built = builder.build_single(forms_.by_operation[random.below(forms_.by_operation.size())]);
      }
      if (built && !last) at = builder.end();
    }
  }
}

}  // namespace rondo::silicon
