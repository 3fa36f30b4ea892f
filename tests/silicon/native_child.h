// The child's side of NativeRunner.
#pragma once

#include "tests/silicon/test_case.h"

namespace rondo::silicon {

inline constexpr char kChildReady = 'r';
inline constexpr char kChildGo = 'g';
inline constexpr char kChildDone = 'd';

// Maps the fixed addresses, confines itself, then serves batches until `commands` is closed. Never returns.
[[noreturn]] void native_child(Batch& batch, int code_file, int data_file, int commands, int answers);

}  // namespace rondo::silicon
