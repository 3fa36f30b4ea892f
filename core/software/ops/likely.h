// Handlers that know what is likely to come next.
//
// A host predicts many more conditional branches than indirect jumps, and a long path through a kernel, each
// instruction once, has more dispatches than it can predict. The handlers that make up half of such paths therefore
// have a second edition, which tries the few handlers that follow most often, one by one, before the indirect jump.
// Which edition an Op gets is known when it is decoded: the second only if what follows it is among those it tries, so
// that a loop of other instructions pays nothing. Both editions do the same.
#pragma once

#include <span>

#include "core/software/ops/alu_functions.h"

namespace rondo::software {

// The handlers in question. `Then` says how to go on: by next(), or by one of the lists below.
template <class T, class Then = ByNext>
const Op* mov_rr(Vcpu& cpu, const Op* op);
template <class T, class Then = ByNext>
const Op* mov_ri(Vcpu& cpu, const Op* op);
template <class T, class Address, class Then = ByNext>
const Op* mov_rm(Vcpu& cpu, const Op* op);
template <class T, class Source, class Address, class Then = ByNext>
const Op* mov_m(Vcpu& cpu, const Op* op);
template <class Then = ByNext>
const Op* lea_base(Vcpu& cpu, const Op* op);
template <class T, class Then = ByNext>
const Op* lea_flat(Vcpu& cpu, const Op* op);
template <class Source, class Then = ByNext>
const Op* push64(Vcpu& cpu, const Op* op);
template <class Then = ByNext>
const Op* pop64(Vcpu& cpu, const Op* op);
template <class To, class From, class Then = ByNext>
const Op* extend_rr(Vcpu& cpu, const Op* op);
template <class T, class F, class Source, unsigned Condition, bool SamePage>
const Op* fused_register(Vcpu& cpu, const Op* op);
template <bool SamePage>
const Op* call64(Vcpu& cpu, const Op* op);
const Op* ret64(Vcpu& cpu, const Op* op);
template <bool SamePage>
const Op* jmp64(Vcpu& cpu, const Op* op);

template <Handler... handlers>
struct ByLikely {
  static constexpr Handler kHandlers[] = {handlers...};
  [[gnu::always_inline]] static const Op* go(Vcpu& cpu, const Op* op) { return dispatch<handlers...>(cpu, op + 1); }
};

// What follows most often, most frequent first; from counting pairs in a kernel's page faults and forks.
struct AfterCopy;
struct AfterLoad;
struct AfterStore;
struct AfterAddress;
struct AfterPush;
struct AfterPop;

using CopyLed =
    ByLikely<&call64<false>, &mov_rr<u64, AfterCopy>, &mov_rm<u64, SimpleAddress, AfterLoad>,
             &push64<RegisterSource, AfterPush>, &mov_rr<u64>, &mov_rm<u64, SimpleAddress>, &ret64,
             &mov_rr<u32, AfterCopy>, &mov_rr<u32>, &push64<RegisterSource>, &pop64<AfterPop>,
             &fused_register<u64, Test, RegisterSource, 4, true>, &fused_register<u64, Cmp, RegisterSource, 4, false>>;
using LoadLed =
    ByLikely<&mov_rm<u64, SimpleAddress, AfterLoad>, &mov_rr<u64, AfterCopy>, &mov_rm<u64, SimpleAddress>, &mov_rr<u64>,
             &call64<false>, &mov_m<u64, RegisterSource, SimpleAddress, AfterStore>,
             &mov_rm<u32, SimpleAddress, AfterLoad>, &mov_rm<u32, SimpleAddress>, &lea_base<AfterAddress>,
             &mov_m<u64, RegisterSource, SimpleAddress>, &fused_register<u64, Cmp, RegisterSource, 5, false>,
             &fused_register<u8, Test, ImmediateSource, 5, true>, &fused_register<u32, Test, RegisterSource, 5, true>,
             &fused_register<u64, Test, RegisterSource, 4, true>>;
using StoreLed =
    ByLikely<&mov_m<u64, RegisterSource, SimpleAddress, AfterStore>, &mov_m<u64, RegisterSource, SimpleAddress>,
             &mov_rm<u64, SimpleAddress, AfterLoad>, &mov_rr<u64, AfterCopy>, &call64<false>, &ret64,
             &mov_rm<u64, SimpleAddress>, &mov_rr<u64>, &mov_m<u64, ImmediateSource, SimpleAddress, AfterStore>,
             &mov_m<u64, ImmediateSource, SimpleAddress>>;
using AddressLed =
    ByLikely<&mov_rr<u64, AfterCopy>, &ret64, &lea_flat<u64, AfterAddress>,
             &mov_m<u64, RegisterSource, SimpleAddress, AfterStore>, &call64<false>,
             &mov_rm<u64, SimpleAddress, AfterLoad>, &mov_rr<u64>, &mov_rm<u64, SimpleAddress>, &jmp64<true>,
             &pop64<AfterPop>, &mov_m<u64, RegisterSource, SimpleAddress>, &mov_rm<u64, FlatAddress>,
             &mov_rm<u64, FlatAddress, AfterLoad>, &push64<RegisterSource, AfterPush>>;
using PushLed = ByLikely<&push64<RegisterSource, AfterPush>, &mov_rr<u64, AfterCopy>,
                         &mov_rm<u64, SimpleAddress, AfterLoad>, &mov_rr<u64>, &mov_rr<u32, AfterCopy>, &mov_rr<u32>,
                         &mov_rm<u64, SimpleAddress>, &push64<RegisterSource>, &extend_rr<i64, i32, AfterAddress>>;
using PopLed = ByLikely<&pop64<AfterPop>, &ret64, &jmp64<false>, &pop64<>>;

struct AfterCopy : CopyLed {};
struct AfterLoad : LoadLed {};
struct AfterStore : StoreLed {};
struct AfterAddress : AddressLed {};
struct AfterPush : PushLed {};
struct AfterPop : PopLed {};

// The edition of `handler` for an Op that is followed by one with `following`.
Handler led_edition(Handler handler, Handler following);

}  // namespace rondo::software
