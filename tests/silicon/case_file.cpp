#include "tests/silicon/case_file.h"

#include <fmt/format.h>

#include <cstddef>
#include <fstream>
#include <ostream>
#include <sstream>

namespace rondo::silicon {
namespace {

// A named value of Registers.
struct Field {
  std::string name;
  std::size_t offset;
  std::size_t bytes;
  u64 get(const Registers& r) const {
    u64 value = 0;
    std::memcpy(&value, reinterpret_cast<const u8*>(&r) + offset, bytes);
    return value;
  }
  void set(Registers& r, u64 value) const { std::memcpy(reinterpret_cast<u8*>(&r) + offset, &value, bytes); }
};

const std::vector<Field>& fields() {
  static const std::vector<Field> list = [] {
    std::vector<Field> f;
    const char* names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                           "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < 16; ++i) f.push_back({names[i], offsetof(Registers, gpr) + 8 * i, 8});
    constexpr std::size_t kFx = offsetof(Registers, fx);
    f.push_back({"rip", offsetof(Registers, rip), 8});
    f.push_back({"rflags", offsetof(Registers, rflags), 8});
    f.push_back({"fcw", kFx + offsetof(FxImage, control), 2});
    f.push_back({"fsw", kFx + offsetof(FxImage, status), 2});
    f.push_back({"valid", kFx + offsetof(FxImage, valid), 1});
    f.push_back({"fop", kFx + offsetof(FxImage, opcode), 2});
    f.push_back({"fip", kFx + offsetof(FxImage, instruction_pointer), 8});
    f.push_back({"fdp", kFx + offsetof(FxImage, data_pointer), 8});
    f.push_back({"mxcsr", kFx + offsetof(FxImage, mxcsr), 4});
    for (unsigned i = 0; i < 8; ++i) {
      f.push_back({fmt::format("st{}.exponent", i), kFx + offsetof(FxImage, st) + 16 * i + 8, 2});
      f.push_back({fmt::format("st{}.significand", i), kFx + offsetof(FxImage, st) + 16 * i, 8});
    }
    for (unsigned i = 0; i < 16; ++i) {
      f.push_back({fmt::format("xmm{}.high", i), kFx + offsetof(FxImage, xmm) + 16 * i + 8, 8});
      f.push_back({fmt::format("xmm{}.low", i), kFx + offsetof(FxImage, xmm) + 16 * i, 8});
    }
    return f;
  }();
  return list;
}

void write_fields(std::ostream& out, const char* word, const Registers& now, const Registers& before) {
  for (const Field& field : fields())
    if (field.get(now) != field.get(before)) out << fmt::format("{} {} {:x}\n", word, field.name, field.get(now));
}

Registers after_the_end(const Registers& initial) {
  Registers r = initial;
  r.rip = kExit;
  return r;
}

void set_word(DataImage& data, u64 address, u64 value) {
  if (in_data(address) && in_data(address + 7)) std::memcpy(data.data() + (address - kDataBase), &value, 8);
}

// One line into the case under construction. False: not understood.
bool read_line(std::istringstream& line, const std::string& word, StoredCase& c, DataImage& final_data) {
  std::string name;
  u64 a = 0, b = 0;
  const auto field = [&](Registers& r) {
    for (const Field& f : fields()) {
      if (f.name != name) continue;
      f.set(r, a);
      return true;
    }
    return false;
  };
  line >> std::hex;
  if (word == "host") return static_cast<bool>(std::getline(line >> std::ws, c.host));
  if (word == "set") return line >> name >> a && field(c.scenario.test.initial);
  if (word == "memory") {
    if (!(line >> a >> b)) return false;
    set_word(c.scenario.data, a, b);
    return true;
  }
  if (word == "code") {
    std::string digits;
    if (!(line >> digits)) return false;
    const u64 start = c.scenario.test.initial.rip - kCodeBase;
    if (start >= kCodeBytes) return false;
    c.scenario.test.code_length = static_cast<u16>(digits.size() / 2);
    for (u64 i = 0; i < digits.size() / 2 && start + i < kCodeBytes; ++i)
      c.scenario.code[start + i] = static_cast<u8>(std::stoul(digits.substr(2 * i, 2), nullptr, 16));
    return true;
  }
  if (word == "ignore") return static_cast<bool>(line >> name >> c.tolerance.ignored_flags);
  if (word == "image") return c.tolerance.image = true;
  if (word == "approximate") return c.tolerance.approximate = true;
  if (word == "fault") {
    line >> std::dec >> c.expected.vector >> std::hex >> c.expected.error_code;
    return static_cast<bool>(line >> c.expected.fault_address);
  }
  if (word == "expect") return line >> name >> a && field(c.expected.final);
  if (word == "stored") {
    if (!(line >> a >> b)) return false;
    set_word(final_data, a, b);
    return true;
  }
  if (word == "stored-hash") return static_cast<bool>(line >> c.expected.change_count >> c.expected.change_hash);
  return false;
}

}  // namespace

void write_case(std::ostream& out, const StoredCase& stored) {
  const Registers& initial = stored.scenario.test.initial;
  const Outcome& expected = stored.expected;
  out << "case " << stored.title << "\nhost " << stored.host << "\n";
  write_fields(out, "set", initial, Registers{});
  out << "code ";
  const u64 start = initial.rip - kCodeBase;
  for (u64 i = 0; i < stored.scenario.test.code_length && start + i < kCodeBytes; ++i)
    out << fmt::format("{:02x}", stored.scenario.code[start + i]);
  out << "\n";
  for (u64 at = 0; at < kDataBytes; at += 8) {
    u64 word;
    std::memcpy(&word, stored.scenario.data.data() + at, 8);
    if (word) out << fmt::format("memory {:x} {:x}\n", kDataBase + at, word);
  }
  if (stored.tolerance.ignored_flags) out << fmt::format("ignore rflags {:x}\n", stored.tolerance.ignored_flags);
  if (stored.tolerance.image) out << "image\n";
  if (stored.tolerance.approximate) out << "approximate\n";
  if (expected.vector != kNoFault)
    out << fmt::format("fault {} {:x} {:x}\n", expected.vector, expected.error_code, expected.fault_address);
  write_fields(out, "expect", expected.final, after_the_end(initial));
  if (expected.change_count <= kMaxChanges) {
    for (u32 i = 0; i < expected.change_count; ++i)
      out << fmt::format("stored {:x} {:x}\n", expected.changes[i].address, expected.changes[i].value);
  } else {
    out << fmt::format("stored-hash {:x} {:x}\n", expected.change_count, expected.change_hash);
  }
  out << "end\n\n";
}

Result<std::vector<std::unique_ptr<StoredCase>>> read_cases(const std::string& path) {
  std::ifstream in(path);
  if (!in) return Error{fmt::format("cannot read {}", path)};
  std::vector<std::unique_ptr<StoredCase>> cases;
  std::unique_ptr<StoredCase> current;
  auto final_data = std::make_unique<DataImage>();
  bool expecting = false;
  std::string text;
  for (unsigned number = 1; std::getline(in, text); ++number) {
    std::istringstream line(text);
    std::string word;
    if (!(line >> word) || word[0] == '#') continue;
    const auto bad = [&] { return Error{fmt::format("{}:{}: not understood: {}", path, number, text)}; };
    if (word == "case") {
      current = std::make_unique<StoredCase>();
      std::getline(line >> std::ws, current->title);
      current->expected.ran = 1;
      expecting = false;
      continue;
    }
    if (!current) return bad();
    const bool expectation =
        word == "fault" || word == "expect" || word == "stored" || word == "stored-hash" || word == "end";
    if (expectation && !expecting) {  // everything before is known now
      expecting = true;
      current->expected.final = after_the_end(current->scenario.test.initial);
      *final_data = current->scenario.data;
    }
    if (word != "end") {
      if (!read_line(line, word, *current, *final_data)) return bad();
      continue;
    }
    StoredCase& c = *current;
    put_terminator(c.scenario.code, c.scenario.test.initial.rip + c.scenario.test.code_length);
    if (c.expected.change_count == 0) {
      for (unsigned page = 0; page < kDataPages.size(); ++page) {
        const u64 offset = page * kPageSize;
        if (kDataPages[page] == PageKind::writable)
          collect_changes(final_data->data() + offset, c.scenario.data.data() + offset, kDataBase + offset, c.expected);
      }
    }
    cases.push_back(std::move(current));
  }
  return cases;
}

}  // namespace rondo::silicon
