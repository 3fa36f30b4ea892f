// Handlers go on by sibling calls: however many run in a row, the host's stack does not grow (ops/handler.h). The
// compilers do not promise that (g++ 12 has no attribute for it), so every handler that the decoder can produce for
// ordinary instructions is run many times in a row here.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/software/debug_index.h"
#include "core/software/lowering.h"
#include "core/software/ops/likely.h"
#include "core/software/paging.h"
#include "decoder/decoder.h"

namespace rondo::software {
namespace {

using decoder::CodeMode;

constexpr unsigned kRepetitions = 64;
constexpr u64 kAllowedGrowth = 256;  // less than one word per repetition

// A vCPU with one page of memory, mapped where the host has it. Every other access is a page fault: the tables are
// empty.
class Probe {
 public:
  Probe() : page_(memory_->host(GuestPhys{0x100000})) {
    std::memset(page_, 1, kPageSize);
    const u64 linear = reinterpret_cast<u64>(page_);
    TlbEntry& entry = tlb_.at(linear);
    entry.read_tag = entry.write_tag = linear;  // context 0
    entry.host_delta = 0;
    cpu_.tlb = &tlb_;
    cpu_.memory = memory_.get();
    cpu_.mmu = &mmu_;
    cpu_.debug = &debug_;
    cpu_.clock = &clock_;
    cpu_.arch.cr0 = cr0::PE | cr0::PG | cr0::NE | cr0::MP;
    cpu_.arch.cr4 = cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT;
    cpu_.arch.efer = efer::LMA | efer::LME;
    cpu_.arch.segment[CS].l = true;
    for (unsigned n = 0; n < 16; ++n) cpu_.gpr(n) = linear + kPageSize / 2;
    cpu_.gpr(RAX) = 0x3fff;
    cpu_.gpr(RCX) = 2;
    cpu_.gpr(RDX) = 0;
    start_ = cpu_.slots;
  }

  // How deep the stack is after kRepetitions of `path`, against after one; nothing if the block was left on the way.
  std::optional<u64> growth(std::span<const Op> path) {
    const std::optional<u64> base = depth_after(path, 1), deep = depth_after(path, kRepetitions);
    if (!base || !deep) return std::nullopt;
    return *base > *deep ? *base - *deep : *deep - *base;
  }

 private:
  // Before each repetition: the registers as at the start, so that addresses stay good.
  static const Op* restore(Vcpu& cpu, const Op* op) {
    cpu.slots = *reinterpret_cast<const decltype(cpu.slots)*>(op->imm);
    return next(cpu, op);
  }
  // Leaves word in a field that no ordinary instruction uses.
  static const Op* arrive(Vcpu& cpu, const Op*) {
    cpu.stop_count = reinterpret_cast<u64>(__builtin_frame_address(0));
    return nullptr;
  }

  std::optional<u64> depth_after(std::span<const Op> path, unsigned repetitions) {
    std::vector<Op> ops;
    Op restorer{};
    restorer.handler = &restore;
    restorer.imm = reinterpret_cast<u64>(&start_);
    for (unsigned i = 0; i < repetitions; ++i) {
      ops.push_back(restorer);
      ops.insert(ops.end(), path.begin(), path.end());
    }
    ops.emplace_back().handler = &arrive;
    cpu_.rflags_rest = flags::FIXED1;
    cpu_.attention = false;
    cpu_.stop_count = 0;
    cpu_.arch.fpu = FpuState{};
    trampoline(cpu_, ops.data());
    if (cpu_.stop_count == 0) return std::nullopt;
    return cpu_.stop_count;
  }

  Tlb tlb_;
  std::unique_ptr<PhysicalMemory> memory_ = std::move(PhysicalMemory::create(kMinimumRam)).value();
  Mmu mmu_{*memory_, tlb_};
  u8* page_;
  Clock clock_;
  DebugIndex debug_;
  Vcpu cpu_;
  std::array<u64, kSlotCount> start_{};
};

// Instructions that need more of a machine than Probe has, or do not go on in their block.
bool is_ordinary(Operation operation) {
  static const std::set<std::string_view> kOthers{
      "INT",     "INT1",     "INT3",     "INTO",     "IRET",     "IN",      "OUT",     "INS",     "OUTS",   "HLT",
      "CLI",     "STI",      "RDTSC",    "RDTSCP",   "RDPMC",    "CPUID",   "XGETBV",  "RDMSR",   "WRMSR",   "MOV_CR", "MOV_DR",
      "LGDT",    "LIDT",     "LLDT",     "LTR",      "LMSW",     "CLTS",    "INVD",    "WBINVD",  "INVLPG", "INVPCID",
      "SWAPGS",  "STAC",     "CLAC",     "MWAIT",    "MONITOR",  "MOV_SEG", "POP_SEG", "LDS",     "LES",    "LFS",
      "LGS",     "LSS",      "LAR",      "LSL",      "VERR",     "VERW",    "POPF",    "SYSCALL", "SYSRET", "SYSENTER",
      "SYSEXIT", "WRFSBASE", "WRGSBASE", "RDFSBASE", "RDGSBASE", "ENTER"};
  return !kOthers.contains(decoder::operation_name(operation));
}

TEST(TailCalls, NoHandlerGrowsTheStack) {
  if (!RONDO_TAIL_CALLS) GTEST_SKIP() << "this build returns to a trampoline after each handler";
  Probe probe;
  decoder::Decoder decoder;
  std::set<Handler> seen;
  std::vector<Op> plain;  // one of each handler
  unsigned tested = 0, left = 0;
  const std::vector<std::vector<u8>> prefixes{{},           {0x66},       {0x48},       {0xf2}, {0xf3},
                                              {0xf2, 0x48}, {0xf3, 0x48}, {0x66, 0x48}, {0x64}};
  const std::vector<std::vector<u8>> maps{{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
  // Register form; [rbx]; [rbx + rcx * 2 + 8].
  const auto try_one = [&](std::vector<u8> bytes) {
    bytes.resize(decoder::kMaxInstructionBytes, 0);
    Instruction instruction;
    if (decoder.decode(bytes, CodeMode::bits64, instruction) != decoder::DecodeStatus::ok) return;
    if (!is_ordinary(instruction.operation)) return;
    Op op;
    LowerContext context;
    lower_instruction(instruction, 0, op, context);
    op.left = 1;
    if (context.ends_block || context.wants_links || (op.ea & kEaAbsolute64) || !seen.insert(op.handler).second) return;
    const std::optional<u64> growth = probe.growth({&op, 1});
    plain.push_back(op);
    if (!growth) {
      ++left;
      return;
    }
    ++tested;
    EXPECT_LE(*growth, kAllowedGrowth) << decoder::operation_name(instruction.operation) << ", "
                                       << unsigned{instruction.operand_bytes} << " bytes";
  };
  for (const auto& map : maps) {
    for (const auto& prefix : prefixes) {
      for (unsigned opcode = 0; opcode < 256; ++opcode) {
        for (u8 reg = 0; reg < 8; ++reg) {
          std::vector<u8> start = prefix;
          start.insert(start.end(), map.begin(), map.end());
          start.push_back(static_cast<u8>(opcode));
          const u8 field = static_cast<u8>(reg << 3);
          for (const std::vector<u8>& operands : {std::vector<u8>{static_cast<u8>(0xc3 | field), 1},
                                                  {static_cast<u8>(0x03 | field), 1},
                                                  {static_cast<u8>(0x44 | field), 0x4b, 8, 1}}) {
            std::vector<u8> bytes = start;
            bytes.insert(bytes.end(), operands.begin(), operands.end());
            try_one(bytes);
          }
        }
      }
    }
  }
  EXPECT_GT(tested, 1000u);
  // The editions that know what follows (ops/likely.h), in front of it and of something else.
  std::vector<Op> seconds = plain;
  for (unsigned i = 0; i < seconds.size(); ++i) {
    const Op second = seconds[i];
    for (Op first : plain) {
      const Handler handler = first.handler;
      first.handler = led_edition(handler, second.handler);
      if (first.handler == handler) continue;
      const Op both[] = {first, second};
      for (const std::size_t length : {2, 1}) EXPECT_LE(probe.growth({both, length}).value_or(0), kAllowedGrowth);
      if (seen.insert(first.handler).second) seconds.push_back(first);
    }
  }
  EXPECT_GT(seconds.size(), plain.size() + 10);
  RecordProperty("handlers_tested", static_cast<int>(tested));
  RecordProperty("handlers_that_left", static_cast<int>(left));
  std::printf("%u handlers, %u left their block\n", tested, left);
}

}  // namespace
}  // namespace rondo::software
