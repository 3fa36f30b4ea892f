// What the parts of the extension module share.
#pragma once

#include <pybind11/pybind11.h>

#include <mutex>
#include <string>

#include "core/device.h"
#include "harness/report.h"

namespace rondo::python {

namespace py = pybind11;

struct PythonError {
  std::string message;
};

template <class T>
T unwrap(Result<T> result) {
  if (!result) throw PythonError{result.error().message};
  return std::move(*result);
}

inline void unwrap(const Status& status) {
  if (!status) throw PythonError{status.error().message};
}

// What the guest wrote. Python threads may read it while the machine runs.
class CollectingSink final : public CharacterSink {
 public:
  void put(u8 byte) override {
    const std::lock_guard lock(mutex_);
    bytes_.push_back(static_cast<char>(byte));
  }
  std::string bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return bytes_.size();
  }
  bool contains(const std::string& text, std::size_t from) const {
    const std::lock_guard lock(mutex_);
    return bytes_.find(text, from) != std::string::npos;
  }

 private:
  mutable std::mutex mutex_;
  std::string bytes_;
};

py::dict to_dict(const Report& report);
// rondo._rondo.replay().
void add_replay(py::module_& module);

}  // namespace rondo::python
