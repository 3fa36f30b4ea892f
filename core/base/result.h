// Result<T>: the outcome of something that can fail on the host (a file, a mapping, a boot image).
// Named and used like std::expected (C++23). Guest faults are not host failures: see core/cpu/fault.h.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "core/base/assert.h"

namespace rondo {

struct Error {
  std::string message;  // one line: what is wrong, with which file or value, and what to do
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { RONDO_ASSERT(has_value()); return std::get<0>(state_); }
  const T& value() const& { RONDO_ASSERT(has_value()); return std::get<0>(state_); }
  T&& value() && { RONDO_ASSERT(has_value()); return std::get<0>(std::move(state_)); }
  const Error& error() const { RONDO_ASSERT(!has_value()); return std::get<1>(state_); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<std::monostate>;
inline Status success() { return std::monostate{}; }

}  // namespace rondo
