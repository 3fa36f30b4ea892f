#include "core/software/ops/fused_tables.h"

namespace rondo::software {

template Handler fused_handler<Add>(Form, unsigned, unsigned, bool);
template Handler fused_handler<Sub>(Form, unsigned, unsigned, bool);
template Handler fused_handler<And>(Form, unsigned, unsigned, bool);

}  // namespace rondo::software
