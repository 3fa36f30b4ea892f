// A /dev/kvm that fails on request: LD_PRELOADed into the `rondo` command, it stands before open(), ioctl(), mmap() and
// timer_create().
//
// RONDO_KVM_FAULTS holds rules, separated by ';', each of FIELD=NUMBER separated by ',':
//   nr      which call: the number of a KVM ioctl (its low byte), or 0x100 open, 0x101 mmap of a run area,
//           0x102 timer_create
//   vm      only for this virtual machine, as counted by KVM_CREATE_VM from 1 (0, the default: all)
//   arg     only with this argument (KVM_CHECK_EXTENSION)
//   after   so many such calls go through first
//   times   then so many fail (default: all)
//   errno   the call fails with it, without having been made
//   value   the call gives this, without having been made
//   exit    KVM_RUN comes back with this exit reason and has run nothing
//   kicked  1: only a KVM_RUN behind one that a signal interrupted
//   detail  the suberror or hardware reason of that exit
// A KVM_RUN with immediate_exit set goes through: it only finishes an access.
// RONDO_KVM_DEVICE names a file to open in the place of /dev/kvm.
// RONDO_KVM_CALLS names a file to which the calls made are written at exit: lines of VM, NR, COUNT.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kOpen = 0x100, kMap = 0x101, kTimer = 0x102, kCalls = 0x103, kFds = 1024, kVms = 16, kRules = 16 };
enum { kNotKvm, kDevice, kVm, kVcpu };

struct rule {
  long nr, vm, arg, after, times, error, value, exit, detail, kicked;
  long seen;
};

// One thread uses KVM: nothing here is locked.
static struct rule rules[kRules];
static int rule_count;
static struct {
  int kind, vm;
  struct kvm_run* area;
} files[kFds];
static int vms;
static int kicked;  // the last KVM_RUN came back with EINTR
static unsigned long calls[kVms][kCalls];

static void set_field(struct rule* rule, const char* name, long value) {
  const struct {
    const char* name;
    long* field;
  } fields[] = {{"nr", &rule->nr},         {"vm", &rule->vm},        {"arg", &rule->arg},     {"after", &rule->after},
                {"times", &rule->times},   {"errno", &rule->error},  {"value", &rule->value}, {"exit", &rule->exit},
                {"detail", &rule->detail}, {"kicked", &rule->kicked}};
  for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; ++i) {
    if (!strcmp(name, fields[i].name)) {
      *fields[i].field = value;
      return;
    }
  }
  fprintf(stderr, "kvm_faults: unknown field %s\n", name);
  abort();
}

__attribute__((constructor)) static void read_rules(void) {
  const char* text = getenv("RONDO_KVM_FAULTS");
  if (!text) return;
  char* copy = strdup(text);
  char* rest_of_rules = NULL;
  for (char* one = strtok_r(copy, ";", &rest_of_rules); one; one = strtok_r(NULL, ";", &rest_of_rules)) {
    if (rule_count == kRules) abort();
    struct rule* rule = &rules[rule_count++];
    *rule = (struct rule){.nr = -1, .arg = -1, .times = -1, .value = -1, .exit = -1};
    char* rest = NULL;
    for (char* field = strtok_r(one, ",", &rest); field; field = strtok_r(NULL, ",", &rest)) {
      char* equals = strchr(field, '=');
      if (!equals) abort();
      *equals = 0;
      set_field(rule, field, strtol(equals + 1, NULL, 0));
    }
  }
  free(copy);
}

__attribute__((destructor)) static void write_calls(void) {
  const char* path = getenv("RONDO_KVM_CALLS");
  FILE* out = path ? fopen(path, "w") : NULL;
  if (!out) return;
  for (int vm = 0; vm < kVms; ++vm) {
    for (int nr = 0; nr < kCalls; ++nr) {
      if (calls[vm][nr]) fprintf(out, "%d %d %lu\n", vm, nr, calls[vm][nr]);
    }
  }
  fclose(out);
}

// The rule that makes this call fail, if any.
static const struct rule* fault(int nr, int vm, long argument, const struct kvm_run* area) {
  if (area && area->immediate_exit) return NULL;
  if (vm < kVms) ++calls[vm][nr];
  for (int i = 0; i < rule_count; ++i) {
    struct rule* rule = &rules[i];
    if (rule->nr != nr || (rule->vm && rule->vm != vm) || (rule->arg >= 0 && rule->arg != argument) ||
        (rule->kicked && !kicked))
      continue;
    const long n = rule->seen++;
    if (n >= rule->after && (rule->times < 0 || n < rule->after + rule->times)) return rule;
  }
  return NULL;
}

// What a call gives that is not made. A KVM_RUN that has left: the exit, with details where the kernel has them.
static int outcome(const struct rule* rule, struct kvm_run* area) {
  if (rule->exit >= 0 && area) {
    area->exit_reason = (unsigned)rule->exit;
    memset(&area->internal, 0, sizeof area->internal);
    if (rule->exit == KVM_EXIT_INTERNAL_ERROR) {
      area->internal.suberror = (unsigned)rule->detail;
      area->internal.ndata = rule->detail == KVM_INTERNAL_ERROR_DELIVERY_EV ? 4 : 0;
      for (unsigned i = 0; i < area->internal.ndata; ++i) area->internal.data[i] = 0x8000000000000b0eu + i;
    } else {
      area->fail_entry.hardware_entry_failure_reason = (unsigned long long)rule->detail;
    }
    return 0;
  }
  if (rule->error) {
    errno = (int)rule->error;
    return -1;
  }
  return (int)rule->value;
}

static int is_kvm(int fd) { return fd >= 0 && fd < kFds && files[fd].kind != kNotKvm; }

static void note_file(int fd, int kind, int vm) {
  if (fd < 0 || fd >= kFds) return;
  files[fd].kind = kind;
  files[fd].vm = vm;
  files[fd].area = NULL;
}

static int open_file(const char* path, int flags, mode_t mode) {
  const int device = !strcmp(path, "/dev/kvm");
  if (device) {
    const struct rule* rule = fault(kOpen, 0, -1, NULL);
    if (rule) return outcome(rule, NULL);
    const char* instead = getenv("RONDO_KVM_DEVICE");
    if (instead) path = instead;
  }
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  note_file(fd, device ? kDevice : kNotKvm, 0);
  return fd;
}

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(path, flags, mode);
}

int __open_2(const char* path, int flags) { return open_file(path, flags, 0); }
int __open64_2(const char* path, int flags) { return open_file(path, flags, 0); }

int close(int fd) {
  note_file(fd, kNotKvm, 0);
  return (int)syscall(SYS_close, fd);
}

int ioctl(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  if (!is_kvm(fd) || _IOC_TYPE(request) != KVMIO) return (int)syscall(SYS_ioctl, fd, request, argument);
  const int nr = (int)_IOC_NR(request);
  const int is_new_vm = request == KVM_CREATE_VM;
  const int vm = is_new_vm ? vms + 1 : files[fd].vm;
  const struct rule* rule = fault(nr, vm, (long)argument, request == KVM_RUN ? files[fd].area : NULL);
  if (request == KVM_RUN) kicked = 0;
  if (rule) return outcome(rule, files[fd].area);
  const int result = (int)syscall(SYS_ioctl, fd, request, argument);
  if (request == KVM_RUN) kicked = result < 0 && errno == EINTR;
  if (result >= 0 && is_new_vm) note_file(result, kVm, ++vms);
  if (result >= 0 && request == KVM_CREATE_VCPU) note_file(result, kVcpu, vm);
  return result;
}

static void* map(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  const int is_area = is_kvm(fd) && files[fd].kind == kVcpu;
  if (is_area) {
    const struct rule* rule = fault(kMap, files[fd].vm, -1, NULL);
    if (rule) {
      errno = (int)rule->error;
      return MAP_FAILED;
    }
  }
  void* result = (void*)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
  if (is_area && result != MAP_FAILED) files[fd].area = result;
  return result;
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  return map(address, length, protection, flags, fd, offset);
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  return map(address, length, protection, flags, fd, offset);
}

// The kernel's own form of sigevent has the same layout, for all that is used with SIGEV_THREAD_ID.
int timer_create(clockid_t clock, struct sigevent* event, timer_t* timer) {
  const struct rule* rule = fault(kTimer, vms, -1, NULL);
  if (rule) return outcome(rule, NULL);
  int id = 0;
  const int result = (int)syscall(SYS_timer_create, clock, event, &id);
  *timer = (timer_t)(long)id;
  return result;
}
