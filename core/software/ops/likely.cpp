#include "core/software/ops/likely.h"

#include <algorithm>

namespace rondo::software {
namespace {

struct Editions {
  Handler plain, led;
  std::span<const Handler> tried;
};

constexpr Editions kEditions[] = {
    {&mov_rr<u64>, &mov_rr<u64, AfterCopy>, AfterCopy::kHandlers},
    {&mov_rr<u32>, &mov_rr<u32, AfterCopy>, AfterCopy::kHandlers},
    {&mov_ri<u32>, &mov_ri<u32, AfterCopy>, AfterCopy::kHandlers},
    {&mov_ri<u64>, &mov_ri<u64, AfterCopy>, AfterCopy::kHandlers},
    {&mov_rm<u64, SimpleAddress>, &mov_rm<u64, SimpleAddress, AfterLoad>, AfterLoad::kHandlers},
    {&mov_rm<u64, FlatAddress>, &mov_rm<u64, FlatAddress, AfterLoad>, AfterLoad::kHandlers},
    {&mov_rm<u32, SimpleAddress>, &mov_rm<u32, SimpleAddress, AfterLoad>, AfterLoad::kHandlers},
    {&mov_m<u64, RegisterSource, SimpleAddress>, &mov_m<u64, RegisterSource, SimpleAddress, AfterStore>,
     AfterStore::kHandlers},
    {&mov_m<u32, RegisterSource, SimpleAddress>, &mov_m<u32, RegisterSource, SimpleAddress, AfterStore>,
     AfterStore::kHandlers},
    {&mov_m<u64, ImmediateSource, SimpleAddress>, &mov_m<u64, ImmediateSource, SimpleAddress, AfterStore>,
     AfterStore::kHandlers},
    {&mov_rm<u32, FlatAddress>, &mov_rm<u32, FlatAddress, AfterLoad>, AfterLoad::kHandlers},
    {&extend_rr<i64, i32>, &extend_rr<i64, i32, AfterAddress>, AfterAddress::kHandlers},
    {&binary_rr<u64, Add>, &binary_rr<u64, Add, AfterAddress>, AfterAddress::kHandlers},
    {&binary_ri<u64, Add>, &binary_ri<u64, Add, AfterAddress>, AfterAddress::kHandlers},
    {&lea_base<>, &lea_base<AfterAddress>, AfterAddress::kHandlers},
    {&lea_flat<u64>, &lea_flat<u64, AfterAddress>, AfterAddress::kHandlers},
    {&zero_register<>, &zero_register<AfterAddress>, AfterAddress::kHandlers},
    {&push64<RegisterSource>, &push64<RegisterSource, AfterPush>, AfterPush::kHandlers},
    {&pop64<>, &pop64<AfterPop>, AfterPop::kHandlers},
};

}  // namespace

Handler led_edition(Handler handler, Handler following) {
  for (const Editions& e : kEditions) {
    if (e.plain == handler && std::ranges::find(e.tried, following) != e.tried.end()) return e.led;
  }
  return handler;
}

}  // namespace rondo::software
