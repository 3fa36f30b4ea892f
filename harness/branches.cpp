#include "harness/branches.h"

#include <mutex>
#include <vector>

namespace rondo {

// A board and where its console goes for now.
struct Branch::Seat final : CharacterSink {
  void put(u8 byte) override {
    if (console) console->put(byte);
  }
  CharacterSink* console = nullptr;
  std::unique_ptr<Board> board;
};

struct Branch::Shared {
  BoardConfig config;
  std::mutex mutex;
  std::vector<std::unique_ptr<Seat>> idle;
};

Branch::Branch(std::shared_ptr<Shared> shared, std::unique_ptr<Seat> seat)
    : shared_(std::move(shared)), seat_(std::move(seat)) {}
Branch::Branch(Branch&&) noexcept = default;

Branch& Branch::operator=(Branch&& other) noexcept {
  std::swap(shared_, other.shared_);
  std::swap(seat_, other.seat_);
  return *this;
}

Branch::~Branch() {
  if (!seat_) return;
  seat_->console = nullptr;
  const std::lock_guard lock(shared_->mutex);
  shared_->idle.push_back(std::move(seat_));
}

Board& Branch::board() { return *seat_->board; }

BranchPool::BranchPool(const BoardConfig& config) : shared_(std::make_shared<Branch::Shared>()) {
  shared_->config = config;
  shared_->config.kernel = {};
  shared_->config.initrd = {};
}

Result<Branch> BranchPool::branch(const MachineSnapshot& snapshot, CharacterSink* console) {
  std::unique_ptr<Branch::Seat> seat;
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->idle.empty()) {
      seat = std::move(shared_->idle.back());
      shared_->idle.pop_back();
    }
  }
  if (!seat) {
    seat = std::make_unique<Branch::Seat>();
    BoardConfig config = shared_->config;
    config.console = seat.get();
    Result<std::unique_ptr<Board>> board = Board::create(config);
    if (!board) return board.error();
    seat->board = std::move(*board);
  }
  if (const Status restored = seat->board->machine().restore(snapshot); !restored) return restored.error();
  seat->console = console;
  return Branch(shared_, std::move(seat));
}

}  // namespace rondo
