#include "tests/silicon/native_runner.h"

#include <new>

#include "tests/silicon/native_child.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

namespace rondo::silicon {
namespace {

constexpr int kTimeoutMs = 10'000;

int shared_file(const char* name, u64 bytes) {
  const int file = memfd_create(name, MFD_CLOEXEC);
  if (file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0) return file;
  if (file >= 0) close(file);
  return -1;
}

bool answered(int file) {
  pollfd wait{.fd = file, .events = POLLIN, .revents = 0};
  char answer = 0;
  return poll(&wait, 1, kTimeoutMs) == 1 && read(file, &answer, 1) == 1;
}

}  // namespace

HostCpu NativeRunner::host_cpu() {
  HostCpu cpu;
  unsigned a = 0, b = 0, c = 0, d = 0;
  __cpuid(0, a, b, c, d);
  for (const unsigned part : {b, d, c}) cpu.vendor.append(reinterpret_cast<const char*>(&part), 4);
  __cpuid(1, a, b, c, d);
  cpu.family = (a >> 8) & 15;
  cpu.model = (a >> 4) & 15;
  if (cpu.family == 15 || cpu.family == 6) cpu.model |= (a >> 12) & 0xf0;
  if (cpu.family == 15) cpu.family += (a >> 20) & 255;
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    __cpuid(leaf, a, b, c, d);
    for (const unsigned part : {a, b, c, d}) cpu.brand.append(reinterpret_cast<const char*>(&part), 4);
  }
  cpu.brand.resize(std::char_traits<char>::length(cpu.brand.c_str()));
  while (!cpu.brand.empty() && cpu.brand.back() == ' ') cpu.brand.pop_back();
  return cpu;
}

Result<std::unique_ptr<NativeRunner>> NativeRunner::create() {
  std::unique_ptr<NativeRunner> runner(new NativeRunner);
  void* memory = mmap(nullptr, sizeof(Batch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error{"cannot map the shared memory of the native runner"};
  runner->batch_ = new (memory) Batch;
  runner->code_file_ = shared_file("silicon-code", kCodeBytes);
  runner->data_file_ = shared_file("silicon-data", kDataBytes);
  if (runner->code_file_ < 0 || runner->data_file_ < 0)
    return Error{"cannot create memory files for the native runner"};
  memory = mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, runner->code_file_, 0);
  if (memory == MAP_FAILED) return Error{"cannot map the code of the native runner"};
  runner->code_alias_ = static_cast<u8*>(memory);
  if (const Status status = runner->start_child(); !status) return status.error();
  return runner;
}

NativeRunner::~NativeRunner() {
  stop_child();
  if (code_alias_) munmap(code_alias_, kCodeBytes);
  if (batch_) munmap(static_cast<void*>(batch_), sizeof(Batch));
  if (code_file_ >= 0) close(code_file_);
  if (data_file_ >= 0) close(data_file_);
}

Status NativeRunner::start_child() {
  int down[2], up[2];
  if (pipe(down) != 0 || pipe(up) != 0) return Error{"cannot create pipes for the native runner"};
  std::fflush(nullptr);
  child_ = fork();
  if (child_ < 0) return Error{"cannot fork the native runner"};
  if (child_ == 0) {
    close(down[1]);
    close(up[0]);
    native_child(*batch_, code_file_, data_file_, down[0], up[1]);
  }
  close(down[0]);
  close(up[1]);
  to_child_ = down[1];
  from_child_ = up[0];
  if (answered(from_child_)) return success();
  stop_child();
  return Error{"the native runner cannot map its fixed addresses or confine itself"};
}

void NativeRunner::stop_child() {
  if (child_ <= 0) return;
  close(to_child_);
  close(from_child_);
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = -1;
}

void NativeRunner::run() {
  // A wild store in a child that then died must not leak into what the next one executes: the code is written anew each
  // time.
  std::memcpy(code_alias_, batch_->code.data(), kCodeBytes);
  for (u32 i = 0; i < batch_->case_count; ++i) batch_->outcomes[i].ran = 0;
  __atomic_store_n(&batch_->current, 0u, __ATOMIC_SEQ_CST);
  while (batch_->current < batch_->case_count) {
    if (child_ > 0 && write(to_child_, &kChildGo, 1) == 1 && answered(from_child_)) continue;
    stop_child();
    ++lost_;
    ++batch_->current;  // the one that did it
    if (!start_child()) return;
  }
}

}  // namespace rondo::silicon

#else

namespace rondo::silicon {
HostCpu NativeRunner::host_cpu() { return {"none", 0, 0, "not an x86-64 Linux host"}; }
Result<std::unique_ptr<NativeRunner>> NativeRunner::create() {
  return Error{"the host is not x86-64 Linux: nothing to compare with"};
}
NativeRunner::~NativeRunner() = default;
Status NativeRunner::start_child() { return success(); }
void NativeRunner::stop_child() {}
void NativeRunner::run() {}
}  // namespace rondo::silicon

#endif

namespace rondo::silicon {
std::string HostCpu::describe() const {
  char text[160];
  std::snprintf(text, sizeof text, "%s family %xh model %xh: %s", vendor.c_str(), family, model, brand.c_str());
  return text;
}
}  // namespace rondo::silicon
