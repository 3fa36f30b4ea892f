// The decoder never looks past the bytes it is given: they end at an inaccessible page.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "decoder/decoder.h"

namespace rondo::decoder {
namespace {

constexpr std::size_t kHostPage = 4096;

class GuardedPage {
 public:
  GuardedPage() {
    void* at = mmap(nullptr, 2 * kHostPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || mprotect(static_cast<std::uint8_t*>(at) + kHostPage, kHostPage, PROT_NONE) != 0) return;
    page_ = static_cast<std::uint8_t*>(at);
  }
  ~GuardedPage() {
    if (page_ != nullptr) munmap(page_, 2 * kHostPage);
  }
  GuardedPage(const GuardedPage&) = delete;
  GuardedPage& operator=(const GuardedPage&) = delete;

  bool is_mapped() const { return page_ != nullptr; }
  std::uint8_t* end() { return page_ + kHostPage; }

 private:
  std::uint8_t* page_ = nullptr;
};

TEST(Bounds, NoReadPastTheEnd) {
  GuardedPage page;
  ASSERT_TRUE(page.is_mapped());
  Decoder decoder;
  std::uint64_t state = 88172645463325252U;
  for (unsigned i = 0; i < 300000; ++i) {
    const std::size_t size = i % (kMaxInstructionBytes + 2);
    std::uint8_t* bytes = page.end() - size;
    for (std::size_t at = 0; at < size; ++at) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;  // xorshift64
      bytes[at] = at == 0 && i % 3 == 0 ? 0x0f : static_cast<std::uint8_t>(state >> 32);
    }
    Instruction inst;
    const auto status = decoder.decode({bytes, size}, static_cast<CodeMode>(i / 17 % 3), inst);
    ASSERT_TRUE(status != DecodeStatus::ok || inst.length <= size);
    ASSERT_TRUE(size < kMaxInstructionBytes || status != DecodeStatus::truncated);
  }
}

}  // namespace
}  // namespace rondo::decoder
