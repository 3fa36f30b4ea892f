// kvm_tasks with a task that makes system calls again and again: kicks come in the middle of them. Not for hosts that run it on KVM altogether and
// whose SYSCALL does not work (docs/kvm.md).
#define SYSTEM_CALLS
#include "tests/guests/kvm_tasks.c"
