#include "harness/host/affinity.h"

#include <sched.h>

namespace rondo::host {

struct PinnedThread::Saved {
  cpu_set_t set;
};

std::vector<unsigned> allowed_processors() {
  std::vector<unsigned> list;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return list;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) list.push_back(cpu);
  return list;
}

unsigned current_processor() { return static_cast<unsigned>(sched_getcpu()); }

PinnedThread::PinnedThread(unsigned processor) : saved_(std::make_unique<Saved>()) {
  if (processor >= CPU_SETSIZE || sched_getaffinity(0, sizeof saved_->set, &saved_->set) != 0) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  pinned_ = sched_setaffinity(0, sizeof one, &one) == 0;
}

PinnedThread::~PinnedThread() {
  if (pinned_) sched_setaffinity(0, sizeof saved_->set, &saved_->set);
}

}  // namespace rondo::host
