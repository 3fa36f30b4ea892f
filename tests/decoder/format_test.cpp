#include "decoder/format.h"

#include <gtest/gtest.h>

#include <vector>

#include "decoder/decoder.h"

namespace rondo::decoder {
namespace {

std::string text(const std::vector<std::uint8_t>& bytes, CodeMode mode = CodeMode::bits64,
                 std::uint64_t address = 0x1000) {
  Decoder decoder;
  Instruction inst;
  decoder.decode(bytes, mode, inst);
  return format(inst, address);
}

TEST(Format, Operands) {
  EXPECT_EQ(text({0x48, 0x89, 0x4c, 0x98, 0x10}), "mov qword ptr [rax+rbx*4+0x10], rcx");
  EXPECT_EQ(text({0x8b, 0x43, 0xf8}), "mov eax, dword ptr [rbx-0x8]");
  EXPECT_EQ(text({0x41, 0x8a, 0xc4}), "mov al, r12b");
  EXPECT_EQ(text({0x83, 0xc0, 0xff}), "add eax, 0xffffffff");
  EXPECT_EQ(text({0x65, 0x48, 0x8b, 0x04, 0x25, 0x40, 0, 0, 0}), "mov rax, qword ptr gs:[0x40]");
  EXPECT_EQ(text({0x0f, 0x22, 0xd8}), "mov cr3, rax");
  EXPECT_EQ(text({0x66, 0x0f, 0x6f, 0xca}), "movdqa xmm1, xmm2");
  EXPECT_EQ(text({0xdc, 0xf9}), "fdiv st(1), st(0)");
  EXPECT_EQ(text({0x0f, 0x01, 0x38}), "invlpg [rax]");
  EXPECT_EQ(text({0xc8, 0x10, 0x00, 0x01}), "enter 0x10, 0x1");
}

TEST(Format, TargetsAreResolved) {
  EXPECT_EQ(text({0xe8, 0xfb, 0xff, 0xff, 0xff}), "call 0x1000");
  EXPECT_EQ(text({0x75, 0x02}), "jne 0x1004");
  EXPECT_EQ(text({0x48, 0x8b, 0x05, 0x10, 0, 0, 0}), "mov rax, qword ptr [rel 0x1017]");
  EXPECT_EQ(text({0xeb, 0xfe}, CodeMode::bits16, 0xffff0), "jmp 0xfff0");
  EXPECT_EQ(text({0xea, 0x5b, 0xe0, 0x00, 0xf0}, CodeMode::bits16), "jmp far 0xf000:0xe05b");
}

TEST(Format, MnemonicsBySize) {
  EXPECT_EQ(text({0xf3, 0x48, 0xa5}), "rep movsq");
  EXPECT_EQ(text({0xf2, 0xae}), "repne scasb");
  EXPECT_EQ(text({0x48, 0x98}), "cdqe");
  EXPECT_EQ(text({0x48, 0xcf}), "iretq");
  EXPECT_EQ(text({0x9c}), "pushfq");
  EXPECT_EQ(text({0x0f, 0x9f, 0xc0}), "setg al");
  EXPECT_EQ(text({0xf0, 0x48, 0x0f, 0xb1, 0x0f}), "lock cmpxchg qword ptr [rdi], rcx");
  EXPECT_EQ(text({0x0f, 0x04}), "(bad)");
}

}  // namespace
}  // namespace rondo::decoder
