// kvm_tasks with a task that reads the time stamp counter at CPL 3, which stock KVM does not let us log.
#define PLANTED_RDTSC
#include "tests/guests/kvm_tasks.c"
