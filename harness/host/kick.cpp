#include "harness/host/kick.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace rondo::host {
namespace {

int kick_signal() { return SIGRTMIN + 3; }

void on_kick(int, siginfo_t* info, void*) {
  if (auto* flag = static_cast<volatile u8*>(info->si_value.sival_ptr)) *flag = 1;
}

timespec from_ns(u64 ns) {
  return {.tv_sec = static_cast<time_t>(ns / 1'000'000'000), .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace

Result<KickTimer> KickTimer::create(volatile u8* flag) {
  struct sigaction action {};
  action.sa_sigaction = on_kick;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART: KVM_RUN is to return
  sigemptyset(&action.sa_mask);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kick_signal();
  event.sigev_value.sival_ptr = const_cast<u8*>(flag);
  event._sigev_un._tid = gettid();
  timer_t timer{};
  if (sigaction(kick_signal(), &action, nullptr) != 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
    return Error{"cannot create a timer to interrupt KVM with: " + std::generic_category().message(errno) +
                 ": raise the limit of pending signals (ulimit -i), or use --engine software"};
  }
  return KickTimer(timer);
}

KickTimer::KickTimer(KickTimer&& other) noexcept : timer_(other.timer_), owned_(std::exchange(other.owned_, false)) {}

KickTimer::~KickTimer() {
  if (owned_) timer_delete(timer_);
}

void KickTimer::set(u64 ns) {
  const itimerspec spec{.it_interval = {}, .it_value = from_ns(ns)};
  timer_settime(timer_, 0, &spec, nullptr);
}

void KickTimer::arm(u64 ns) { set(ns ? ns : 1); }
void KickTimer::disarm() { set(0); }

}  // namespace rondo::host
