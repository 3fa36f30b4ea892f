// What the FlatBuffers verifier (2.0.8) leaves out.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include "core/base/types.h"

namespace rondo::replay {

// It checks the alignment of a vector's length, not that of its elements. (Where there are none, a writer aligns
// nothing.)
template <class Struct>
bool is_aligned(const flatbuffers::Vector<const Struct*>* structs) {
  return !structs || structs->size() == 0 || reinterpret_cast<std::uintptr_t>(structs->Data()) % alignof(Struct) == 0;
}

}  // namespace rondo::replay
