// Instantiates fused_handler<F> for one F: included once by each fused_*.cpp, so that no translation unit grows large.
#pragma once

#include "core/software/ops/fused_forms.h"

namespace rondo::software {
namespace fused_detail {

template <class T, class F, Form form, bool SamePage, unsigned... C>
Handler pick(unsigned condition, std::integer_sequence<unsigned, C...>) {
  if constexpr (form == Form::rr) {
    static constexpr Handler kTable[] = {&fused_register<T, F, RegisterSource, C, SamePage>...};
    return kTable[condition];
  } else if constexpr (form == Form::ri) {
    static constexpr Handler kTable[] = {&fused_register<T, F, ImmediateSource, C, SamePage>...};
    return kTable[condition];
  } else if constexpr (F::kWrites) {
    return nullptr;
  } else if constexpr (form == Form::rm) {
    static constexpr Handler kTable[] = {&fused_memory<T, F, RegisterSource, false, C, SamePage>...};
    return kTable[condition];
  } else if constexpr (form == Form::mr) {
    static constexpr Handler kTable[] = {&fused_memory<T, F, RegisterSource, true, C, SamePage>...};
    return kTable[condition];
  } else {
    static constexpr Handler kTable[] = {&fused_memory<T, F, ImmediateSource, true, C, SamePage>...};
    return kTable[condition];
  }
}

template <class T, class F, Form form>
Handler by_page(unsigned condition, bool same_page) {
  constexpr auto kAll = std::make_integer_sequence<unsigned, 16>();
  return same_page ? pick<T, F, form, true>(condition, kAll) : pick<T, F, form, false>(condition, kAll);
}

template <class F, Form form>
Handler by_width(unsigned bytes, unsigned condition, bool same_page) {
  switch (bytes) {
    case 1: return by_page<u8, F, form>(condition, same_page);
    case 4: return by_page<u32, F, form>(condition, same_page);
    case 8: return by_page<u64, F, form>(condition, same_page);
    default: return nullptr;  // 16-bit compares are rare
  }
}

}  // namespace fused_detail

template <class F>
Handler fused_handler(Form form, unsigned bytes, unsigned condition, bool same_page) {
  using namespace fused_detail;
  switch (form) {
    case Form::rr: return by_width<F, Form::rr>(bytes, condition, same_page);
    case Form::ri: return by_width<F, Form::ri>(bytes, condition, same_page);
    case Form::rm: return by_width<F, Form::rm>(bytes, condition, same_page);
    case Form::mr: return by_width<F, Form::mr>(bytes, condition, same_page);
    case Form::mi: return by_width<F, Form::mi>(bytes, condition, same_page);
  }
  return nullptr;
}

}  // namespace rondo::software
