// kvm_tasks with a task behind whose instructions flags are mostly undefined.
#define OPEN_FLAGS
#include "tests/guests/kvm_tasks.c"
