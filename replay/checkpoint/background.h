// Threads of the host that take work off the guest's thread. What they compute does not depend on how many there are or
// how they are scheduled. The only place of the checkpoints that makes threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/base/types.h"

namespace rondo::replay {

// One thread that does jobs in their order. At most `limit` jobs wait: push() then blocks, so that a slow disk slows
// the guest down and never fills the memory.
class BackgroundQueue {
 public:
  using Job = std::function<void()>;

  explicit BackgroundQueue(std::size_t limit) : limit_(limit), thread_([this] { loop(); }) {}
  // Does what is queued first.
  ~BackgroundQueue() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  // Returns whether it had to wait.
  bool push(Job job) {
    bool waited = false;
    {
      std::unique_lock lock(mutex_);
      waited = jobs_.size() >= limit_;
      changed_.wait(lock, [this] { return jobs_.size() < limit_; });
      jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
    return waited;
  }

  // Waits until nothing is left to do.
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return jobs_.empty() && !working_; });
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return !jobs_.empty() || ending_; });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      working_ = true;
      lock.unlock();
      changed_.notify_all();
      job();
      job = nullptr;  // what it holds goes here too, and not on the guest's thread
      lock.lock();
      working_ = false;
      changed_.notify_all();
    }
  }

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool working_ = false;
  bool ending_ = false;
  std::thread thread_;  // last: it starts when everything else is there
};

// Does the pieces 0 ... count - 1 of some work, shared among at most `threads` threads, the caller among them. Each
// calls make_worker() once and what it returns for every piece that it takes.
template <class MakeWorker>
void parallel_for(u64 count, unsigned threads, const MakeWorker& make_worker) {
  std::atomic<u64> next{0};
  const auto share = [&] {
    auto worker = make_worker();
    for (u64 piece = next++; piece < count; piece = next++) worker(piece);
  };
  std::vector<std::thread> helpers;
  try {
    for (u64 i = 1; i < std::min<u64>(threads, count); ++i) helpers.emplace_back(share);
  } catch (const std::system_error&) {
    // The host has no more threads to give: those there are do the work.
  }
  share();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace rondo::replay
