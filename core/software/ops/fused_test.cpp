#include "core/software/ops/fused_tables.h"

namespace rondo::software {

template Handler fused_handler<Test>(Form, unsigned, unsigned, bool);

}  // namespace rondo::software
