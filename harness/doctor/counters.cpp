#include "harness/doctor/counters.h"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cpuid.h>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace rondo::doctor {
namespace {

// `iterations` times two instructions, one of them a conditional branch.
void counted_loop(u64 iterations) {
  asm volatile(
      "1: dec %0\n"
      "jnz 1b\n"
      : "+r"(iterations)
      :
      : "cc");
}

class Event {
 public:
  Event(u32 type, u64 config) {
    perf_event_attr attr;
    std::memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = type;
    attr.config = config;
    attr.disabled = attr.exclude_kernel = attr.exclude_hv = attr.pinned = 1;
    fd_ = static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
    error_ = fd_ < 0 ? errno : 0;
  }
  ~Event() {
    if (fd_ >= 0) close(fd_);
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  int error() const { return error_; }
  // None if the counter did not run all the time.
  std::optional<u64> count(u64 iterations) {
    u64 value = 0;
    ioctl(fd_, PERF_EVENT_IOC_RESET, 0);
    ioctl(fd_, PERF_EVENT_IOC_ENABLE, 0);
    counted_loop(iterations);
    ioctl(fd_, PERF_EVENT_IOC_DISABLE, 0);
    if (read(fd_, &value, sizeof value) != sizeof value) return std::nullopt;
    return value;
  }

 private:
  int fd_;
  int error_;
};

// Two lengths, so that what surrounds the loop cancels out; long enough for timer interrupts to hit the long one.
Counter examine(u32 type, u64 config, u64 per_iteration) {
  constexpr u64 kShort = 1'000, kLong = 3'000'000;
  constexpr unsigned kRounds = 20;
  Counter counter;
  Event event(type, config);
  if (event.error()) {
    counter.why = "perf_event_open: " + std::generic_category().message(event.error());
    return counter;
  }
  counter.available = true;
  const auto base = event.count(kShort);
  if (!base || *base < kShort * per_iteration) {
    counter.why = "it does not count";
    return counter;
  }
  for (unsigned round = 0; round < kRounds; ++round) {
    const auto again = event.count(kShort), longer = event.count(kLong);
    if (!again || !longer || *again != *base || *longer - *again != (kLong - kShort) * per_iteration) {
      counter.why = "the same work gives different counts";
      return counter;
    }
  }
  counter.exact = true;
  return counter;
}

// The raw event "retired conditional branches" of this vendor, as rr uses it; 0: none known.
u64 conditional_branch_event() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return 0;
  constexpr unsigned kGenu = 0x756e6547, kAuth = 0x68747541;
  if (ebx == kGenu) return 0x1c4;  // BR_INST_RETIRED.CONDITIONAL (SDM 3B chapter 20)
  if (ebx == kAuth) return 0xd1;   // Retired conditional branch instructions (PPR, PMCx0D1)
  return 0;
}

}  // namespace

Counter probe_instruction_counter() { return examine(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 2); }

Counter probe_branch_counter() {
  const u64 event = conditional_branch_event();
  if (!event) return {.available = false, .exact = false, .why = "no event known for this vendor of processors"};
  return examine(PERF_TYPE_RAW, event, 1);
}

}  // namespace rondo::doctor
