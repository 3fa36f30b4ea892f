// kvm_tasks with a task that uses an approximation, which is every processor's own.
#define PLANTED_RSQRT
#include "tests/guests/kvm_tasks.c"
