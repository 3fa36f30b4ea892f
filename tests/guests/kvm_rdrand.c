// kvm_tasks with a task that draws a random number from the processor at CPL 3, which nothing can log.
#define PLANTED_RDRAND
#include "tests/guests/kvm_tasks.c"
