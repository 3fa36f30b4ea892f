// Runs batches on the host's own processor, in a child process that holds nothing but a small fixed mapping and may
// make no system calls.
#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"
#include "tests/silicon/reference.h"

namespace rondo::silicon {

// The host's processor: "AuthenticAMD family 1ah model 2h: AMD EPYC".
struct HostCpu {
  std::string vendor;
  unsigned family = 0;
  unsigned model = 0;
  std::string brand;
  std::string describe() const;
};

class NativeRunner final : public Reference {
 public:
  // Fails on hosts that are not x86-64 Linux, and where the fixed addresses are taken.
  static Result<std::unique_ptr<NativeRunner>> create();
  ~NativeRunner() override;
  NativeRunner(const NativeRunner&) = delete;
  NativeRunner& operator=(const NativeRunner&) = delete;

  // Shared with the child. Fill data, code, cases and case_count, then run().
  Batch& batch() override { return *batch_; }
  // Fills outcomes. A case that kills or hangs the child leaves Outcome::ran at 0; the rest still runs.
  void run() override;
  u64 lost_cases() const override { return lost_; }
  std::string describe() const override { return host_cpu().describe(); }

  static HostCpu host_cpu();

 private:
  NativeRunner() = default;
  Status start_child();
  void stop_child();

  Batch* batch_ = nullptr;
  int code_file_ = -1;  // what the child maps as executable
  int data_file_ = -1;
  u8* code_alias_ = nullptr;
  int child_ = -1;
  int to_child_ = -1;
  int from_child_ = -1;
  u64 lost_ = 0;
};

}  // namespace rondo::silicon
