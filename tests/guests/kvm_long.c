// kvm_tasks with tasks that go on for minutes, to be interrupted from outside.
#define ROUNDS 8000
#include "tests/guests/kvm_tasks.c"
