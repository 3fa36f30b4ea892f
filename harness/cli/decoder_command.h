// `rondo decoder coverage`: which of LLVM's opcodes the machine implements, which give #UD on purpose, and why.
#pragma once

namespace rondo::cli {

// Returns the exit status.
int decoder_coverage(bool json, bool all);

}  // namespace rondo::cli
