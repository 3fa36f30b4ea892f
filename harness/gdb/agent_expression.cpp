#include "harness/gdb/agent_expression.h"

#include <array>
#include <vector>

namespace rondo::gdb {
namespace {

// Appendix F.2.
enum Opcode : u8 {
  kAdd = 0x02,
  kSub,
  kMul,
  kDivSigned,
  kDivUnsigned,
  kRemSigned,
  kRemUnsigned,
  kLsh,
  kRshSigned,
  kRshUnsigned,
  kLogNot = 0x0e,
  kBitAnd,
  kBitOr,
  kBitXor,
  kBitNot,
  kEqual,
  kLessSigned,
  kLessUnsigned,
  kExt,
  kRef8 = 0x17,
  kRef16,
  kRef32,
  kRef64,
  kIfGoto = 0x20,
  kGoto,
  kConst8,
  kConst16,
  kConst32,
  kConst64,
  kReg,
  kEnd,
  kDup,
  kPop,
  kZeroExt,
  kSwap,
  kPick = 0x32,
  kRot = 0x33
};

constexpr unsigned kMostSteps = 10'000;
constexpr std::size_t kDeepest = 256;

class Interpreter {
 public:
  Interpreter(std::span<const u8> code, const AgentContext& context) : code_(code), context_(context) {}

  std::optional<u64> run() {
    for (unsigned step = 0; step < kMostSteps; ++step) {
      const u64 opcode = operand(1);
      if (!ok_) return std::nullopt;
      if (opcode == kEnd) {
        if (stack_.empty()) return std::nullopt;
        return stack_.back();
      }
      execute(static_cast<u8>(opcode));
      if (!ok_ || stack_.size() > kDeepest) return std::nullopt;
    }
    return std::nullopt;
  }

 private:
  // Operands in the code are big-endian.
  u64 operand(unsigned size) {
    if (code_.size() - at_ < size) {
      ok_ = false;
      return 0;
    }
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value = value << 8 | code_[at_++];
    return value;
  }
  u64 pop() {
    if (stack_.empty()) {
      ok_ = false;
      return 0;
    }
    const u64 value = stack_.back();
    stack_.pop_back();
    return value;
  }
  void push(u64 value) { stack_.push_back(value); }
  void jump(u64 target) {
    if (target >= code_.size())
      ok_ = false;
    else
      at_ = target;
  }
  void load(unsigned size) {
    std::array<u8, 8> bytes{};
    if (!context_.memory(pop(), std::span(bytes).first(size))) ok_ = false;
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{bytes[i]} << (8 * i);
    push(value);
  }
  static u64 extend(u64 value, u64 bits, bool sign) {
    if (bits == 0 || bits >= 64) return value;
    const unsigned unused = static_cast<unsigned>(64 - bits);
    return sign ? static_cast<u64>(static_cast<i64>(value << unused) >> unused) : value << unused >> unused;
  }
  void divide(bool sign, bool remainder) {
    const u64 b = pop(), a = pop();
    // The one signed quotient that does not fit counts as a division by zero.
    if (b == 0 || (sign && a == u64{1} << 63 && b == ~u64{0})) {
      ok_ = false;
      return;
    }
    const i64 sa = static_cast<i64>(a), sb = static_cast<i64>(b);
    if (sign)
      push(static_cast<u64>(remainder ? sa % sb : sa / sb));
    else
      push(remainder ? a % b : a / b);
  }
  template <class F>
  void binary(F f) {
    const u64 b = pop(), a = pop();
    push(f(a, b));
  }

  void execute(u8 opcode) {
    switch (opcode) {
      case kAdd:
        return binary([](u64 a, u64 b) { return a + b; });
      case kSub:
        return binary([](u64 a, u64 b) { return a - b; });
      case kMul:
        return binary([](u64 a, u64 b) { return a * b; });
      case kDivSigned:
        return divide(true, false);
      case kDivUnsigned:
        return divide(false, false);
      case kRemSigned:
        return divide(true, true);
      case kRemUnsigned:
        return divide(false, true);
      case kLsh:
        return binary([](u64 a, u64 b) { return b < 64 ? a << b : 0; });
      case kRshSigned:
        return binary([](u64 a, u64 b) { return static_cast<u64>(static_cast<i64>(a) >> (b < 63 ? b : 63)); });
      case kRshUnsigned:
        return binary([](u64 a, u64 b) { return b < 64 ? a >> b : 0; });
      case kLogNot:
        return push(pop() == 0);
      case kBitAnd:
        return binary([](u64 a, u64 b) { return a & b; });
      case kBitOr:
        return binary([](u64 a, u64 b) { return a | b; });
      case kBitXor:
        return binary([](u64 a, u64 b) { return a ^ b; });
      case kBitNot:
        return push(~pop());
      case kEqual:
        return binary([](u64 a, u64 b) { return u64{a == b}; });
      case kLessSigned:
        return binary([](u64 a, u64 b) { return u64{static_cast<i64>(a) < static_cast<i64>(b)}; });
      case kLessUnsigned:
        return binary([](u64 a, u64 b) { return u64{a < b}; });
      case kExt: {
        const u64 bits = operand(1);
        return push(extend(pop(), bits, true));
      }
      case kZeroExt: {
        const u64 bits = operand(1);
        return push(extend(pop(), bits, false));
      }
      case kRef8:
        return load(1);
      case kRef16:
        return load(2);
      case kRef32:
        return load(4);
      case kRef64:
        return load(8);
      case kIfGoto: {
        const u64 target = operand(2);
        if (pop() != 0) jump(target);
        return;
      }
      case kGoto:
        return jump(operand(2));
      case kConst8:
        return push(operand(1));
      case kConst16:
        return push(operand(2));
      case kConst32:
        return push(operand(4));
      case kConst64:
        return push(operand(8));
      case kReg: {
        const auto value = context_.reg(static_cast<unsigned>(operand(2)));
        if (!value) ok_ = false;
        return push(value.value_or(0));
      }
      case kDup: {
        const u64 value = pop();
        push(value);
        return push(value);
      }
      case kPop:
        pop();
        return;
      case kSwap: {
        const u64 b = pop(), a = pop();
        push(b);
        return push(a);
      }
      case kPick: {
        const u64 depth = operand(1);
        if (depth >= stack_.size())
          ok_ = false;
        else
          push(stack_[stack_.size() - 1 - depth]);
        return;
      }
      case kRot: {  // a b c -> c a b, c being the top
        const u64 c = pop(), b = pop(), a = pop();
        push(c);
        push(a);
        return push(b);
      }
      default:  // floating point, tracing, printf: not for conditions
        ok_ = false;
    }
  }

  std::span<const u8> code_;
  const AgentContext& context_;
  std::size_t at_ = 0;
  std::vector<u64> stack_;
  bool ok_ = true;
};

}  // namespace

std::optional<u64> evaluate(std::span<const u8> expression, const AgentContext& context) {
  return Interpreter(expression, context).run();
}

}  // namespace rondo::gdb
