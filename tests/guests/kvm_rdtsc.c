// kvm_tasks with a task that reads the time stamp counter at CPL 3, which KVM cannot log.
#define PLANTED_RDTSC
#include "tests/guests/kvm_tasks.c"
