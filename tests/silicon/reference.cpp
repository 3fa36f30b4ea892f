#include "tests/silicon/reference.h"

#include "tests/silicon/engine_runner.h"

namespace rondo::silicon {
namespace {

class SteppedReference final : public Reference {
 public:
  Batch& batch() override { return *batch_; }
  void run() override {
    engine_.load(batch_->data, batch_->code);
    for (u32 i = 0; i < batch_->case_count; ++i) engine_.run(batch_->cases[i], Drive::step, batch_->outcomes[i]);
  }
  bool exact() const override { return true; }
  std::string describe() const override { return "Rondo's software engine, stepped"; }

 private:
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();
  EngineRunner engine_;
};

}  // namespace

std::unique_ptr<Reference> make_stepped_reference() { return std::make_unique<SteppedReference>(); }

}  // namespace rondo::silicon
