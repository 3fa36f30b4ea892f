// Build-time generator: reads operations.txt, enumerates LLVM's X86 opcodes and writes the files that the decoder
// includes:
//   operations.inc    RONDO_OPERATION(name) per operation
//   opcode_forms.inc  the distinct OpcodeForms and the map from LLVM opcode to form
//   registers.inc     LLVM register number -> Operand
//   coverage.inc      what becomes of every LLVM opcode, for the coverage report
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const std::string& message) {
  std::cerr << "operations.txt: " << message << "\n";
  std::exit(1);
}

enum class RowStatus { implemented, ud, never };

struct Row {
  RowStatus status = RowStatus::implemented;
  std::string name;  // or the reason
  std::string feature, size, memory;
  std::vector<std::string> patterns;
};

// A pattern as written, split into its parts.
struct Pattern {
  std::string text;
  int memory_bytes = -1;
  int operand_bytes = -1;
  std::optional<std::string> operands;
};

struct Match {
  const Row* row = nullptr;
  const Pattern* pattern = nullptr;
  unsigned literals = 0;
  unsigned number = 0;  // what # matched
};

std::vector<Row> read_table(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail("cannot read " + path);
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Row row;
    words >> row.name;
    if (row.name == "ud" || row.name == "never") {
      row.status = row.name == "ud" ? RowStatus::ud : RowStatus::never;
      const auto open = line.find('"'), close = line.rfind('"');
      if (open == std::string::npos || close == open) fail("no reason in: " + line);
      row.name = line.substr(open + 1, close - open - 1);
      if (row.name.find_first_of("\"\\") != std::string::npos) fail("the reason must not need quoting: " + line);
      words = std::istringstream(line.substr(close + 1));
    } else {
      words >> row.feature >> row.size >> row.memory;
    }
    for (std::string pattern; words >> pattern;) row.patterns.push_back(pattern);
    if (row.patterns.empty()) fail("no pattern in: " + line);
    rows.push_back(std::move(row));
  }
  return rows;
}

Pattern split_pattern(std::string text) {
  Pattern pattern;
  if (const auto at = text.find('='); at != std::string::npos) {
    pattern.operands = text.substr(at + 1);
    text.resize(at);
  }
  if (const auto at = text.find('@'); at != std::string::npos) {
    pattern.operand_bytes = std::stoi(text.substr(at + 1));
    text.resize(at);
  }
  if (const auto at = text.find(':'); at != std::string::npos) {
    pattern.memory_bytes = std::stoi(text.substr(at + 1));
    text.resize(at);
  }
  pattern.text = text;
  return pattern;
}

void expand_braces(const std::string& text, std::vector<std::string>& out) {
  const auto open = text.find('{');
  if (open == std::string::npos) {
    out.push_back(text);
    return;
  }
  const auto close = text.find('}', open);
  if (close == std::string::npos) fail("no } in " + text);
  std::istringstream list(text.substr(open + 1, close - open - 1) + ",");
  for (std::string word; std::getline(list, word, ',');) {
    expand_braces(text.substr(0, open) + word + text.substr(close + 1), out);
  }
}

// Does `name` match? On success `number` is what # matched. Recursion depth is the pattern's length.
bool glob(const char* pattern, const char* name, unsigned& number) {
  if (*pattern == '\0') return *name == '\0';
  if (*pattern == '*') {
    for (const char* rest = name;; ++rest) {
      if (glob(pattern + 1, rest, number)) return true;
      if (*rest == '\0') return false;
    }
  }
  if (*pattern == '#') {
    for (const unsigned bits : {8U, 16U, 32U, 64U}) {
      const std::string digits = std::to_string(bits);
      if (std::string(name).compare(0, digits.size(), digits) == 0 && glob(pattern + 1, name + digits.size(), number)) {
        number = bits;
        return true;
      }
    }
    return false;
  }
  return *pattern == *name && glob(pattern + 1, name + 1, number);
}

// LLVM's explicit operands, without the repeated (tied) ones, as steps.
std::vector<std::string> llvm_steps(const llvm::MCInstrDesc& desc, const std::string& name, bool has_condition) {
  std::vector<std::string> steps;
  const auto step = [&](const char* kind, unsigned at) {
    steps.push_back("{StepKind::" + std::string(kind) + ", " + std::to_string(at) + "}");
  };
  const unsigned count = desc.getNumOperands();
  const auto type = [&](unsigned at) { return desc.operands().begin()[at].OperandType; };
  const auto is_memory = [&](unsigned at) {
    return at < count && (type(at) == llvm::MCOI::OPERAND_MEMORY || type(at) == llvm::MCOI::OPERAND_UNKNOWN);
  };
  for (unsigned at = 0; at < count; ++at) {
    if (desc.getOperandConstraint(at, llvm::MCOI::TIED_TO) != -1) continue;
    if (is_memory(at)) {
      unsigned length = 0;
      while (is_memory(at + length)) ++length;
      if (length != 5 && length != 2) fail(name + ": unexpected memory operand");
      step(length == 5 ? "memory" : "offset", at);
      at += length - 1;
    } else if (type(at) == llvm::MCOI::OPERAND_REGISTER) {
      step("reg", at);
    } else if (type(at) == llvm::MCOI::OPERAND_PCREL) {
      step("relative", at);
    } else if (has_condition && at + 1 == count) {
      step("condition", at);
    } else {
      step("immediate", at);
    }
  }
  return steps;
}

class Generator {
 public:
  Generator(const std::string& table, const std::string& output) : rows_(read_table(table)), output_(output) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    std::string error;
    const auto* target = llvm::TargetRegistry::lookupTarget("x86_64-unknown-unknown", error);
    if (target == nullptr) fail("LLVM has no X86 target: " + error);
    instructions_.reset(target->createMCInstrInfo());
    registers_.reset(target->createMCRegInfo("x86_64-unknown-unknown"));
  }

  void run() {
    match_opcodes();
    write_operations();
    write_forms();
    write_registers();
    write_coverage();
  }

 private:
  void match_opcodes() {
    std::vector<std::string> names;
    for (unsigned i = 0; i < instructions_->getNumOpcodes(); ++i) names.push_back(instructions_->getName(i).str());
    matches_.resize(names.size());
    for (const Row& row : rows_) {
      for (const std::string& text : row.patterns) {
        if (text == "hand") continue;
        patterns_.push_back(std::make_unique<Pattern>(split_pattern(text)));
        const Pattern& pattern = *patterns_.back();
        std::vector<std::string> globs;
        expand_braces(pattern.text, globs);
        bool used = false;
        for (const std::string& one : globs) used |= claim(row, pattern, one, names);
        if (!used) fail("matches no LLVM opcode: " + text);
      }
    }
  }

  bool claim(const Row& row, const Pattern& pattern, const std::string& text, const std::vector<std::string>& names) {
    const std::string prefix = text.substr(0, text.find_first_of("*#"));
    const auto literals = static_cast<unsigned>(text.size());
    bool used = false;
    for (unsigned opcode = 0; opcode < names.size(); ++opcode) {
      Match match{&row, &pattern, literals, 0};
      if (names[opcode].compare(0, prefix.size(), prefix) != 0) continue;
      if (is_pseudo(opcode) || !glob(text.c_str(), names[opcode].c_str(), match.number)) continue;
      used = true;
      Match& old = matches_[opcode];
      if (old.row != nullptr && old.literals == literals) {
        fail(names[opcode] + " is claimed by " + old.pattern->text + " and " + pattern.text);
      }
      if (old.row == nullptr || old.literals < literals) old = match;
    }
    return used;
  }

  // Code-generation pseudos have the format number 0 in the low bits of TSFlags; MCInstrDesc::isPseudo knows only some.
  bool is_pseudo(unsigned opcode) const {
    const auto& desc = instructions_->get(opcode);
    return desc.isPseudo() || (desc.TSFlags & 0x7f) == 0;
  }

  std::string steps_of(unsigned opcode, const Match& match) const {
    const auto& desc = instructions_->get(opcode);
    const std::string name = instructions_->getName(opcode).str();
    const bool has_condition = match.row->name.ends_with("CC");
    const std::string list = match.pattern->operands.value_or("*");
    std::vector<std::string> steps;
    std::istringstream words(list + ",");
    for (std::string word; std::getline(words, word, ',');) {
      if (word == "-") continue;
      if (word == "*" || word == "~") {
        auto given = llvm_steps(desc, name, has_condition);
        if (match.row->name == "CALL_FAR" || match.row->name == "JMP_FAR") {
          if (given.size() == 2) given = {"{StepKind::far_pointer, 0}"};
        }
        if (word == "~") given = {given.rbegin(), given.rend()};
        steps.insert(steps.end(), given.begin(), given.end());
        continue;
      }
      static const std::map<std::string, std::string> kFixed = {{"A", "accumulator, 0"},    {"1", "one, 0"},
                                                                {"CL", "fixed_cl, 0"},      {"DX", "fixed_dx, 0"},
                                                                {"AX", "fixed_ax, 0"},      {"ST0", "fixed_st0, 0"},
                                                                {"XMM0", "fixed_xmm0, 0"},  {"ES", "fixed_segment, 0"},
                                                                {"CS", "fixed_segment, 1"}, {"SS", "fixed_segment, 2"},
                                                                {"DS", "fixed_segment, 3"}, {"FS", "fixed_segment, 4"},
                                                                {"GS", "fixed_segment, 5"}};
      const auto found = kFixed.find(word);
      if (found == kFixed.end()) fail("unknown operand " + word + " in " + match.pattern->text);
      steps.push_back("{StepKind::" + found->second + "}");
    }
    const std::size_t operands = steps.size() - (has_condition && !steps.empty() ? 1 : 0);
    if (operands > 4) fail(name + ": more than four operands");
    std::string text = "{";
    for (const auto& step : steps) text += step + ", ";
    return text + "}";
  }

  std::string form_of(unsigned opcode, const Match& match) const {
    const Row& row = *match.row;
    const std::string name = instructions_->getName(opcode).str();
    static const std::map<std::string, std::string> kRules = {
        {"e", "prefixes"}, {"s", "stack"}, {"n", "near_branch"}, {"m", "mode"}};
    const auto rule = kRules.find(row.size);
    if (rule == kRules.end()) fail("unknown size " + row.size + " of " + row.name);
    std::string size = "SizeRule::" + rule->second + ", 0";
    int bytes = match.pattern->operand_bytes;
    if (bytes < 0 && match.number != 0) bytes = static_cast<int>(match.number / 8);
    if (bytes >= 0) size = "SizeRule::fixed, " + std::to_string(bytes);
    return "{Operation::" + row.name + ", " + size + ", " + memory_of(name, match) + ", " + steps_of(opcode, match) +
           "}";
  }

  std::string memory_of(const std::string& name, const Match& match) const {
    if (match.pattern->memory_bytes >= 0) return std::to_string(match.pattern->memory_bytes);
    const std::string& column = match.row->memory;
    if (column == "-") return "0";
    if (column == "w") return "kMemoryIsOperandSize";
    if (column == "v") return name.rfind("MMX_", 0) == 0 ? "8" : "16";
    if (column == "f") {
      if (name.back() != 'm') return "0";
      const auto end = name.find_last_of("0123456789");
      if (end == std::string::npos) fail(name + ": no size in the name");
      const auto start = name.find_last_not_of("0123456789", end);
      return std::to_string(std::stoi(name.substr(start + 1, end - start)) / 8);
    }
    return std::to_string(std::stoi(column));
  }

  std::ofstream open(const char* file) const {
    std::ofstream out(output_ + "/" + file);
    if (!out) fail("cannot write to " + output_);
    out << "// Generated from operations.txt by generate_operations.cpp.\n";
    return out;
  }

  void write_operations() const {
    auto out = open("operations.inc");
    std::set<std::string> seen;
    for (const Row& row : rows_) {
      if (row.status != RowStatus::implemented) continue;
      if (!seen.insert(row.name).second) fail("two rows for " + row.name);
      out << "RONDO_OPERATION(" << row.name << ")\n";
    }
  }

  void write_forms() const {
    auto out = open("opcode_forms.inc");
    std::map<std::string, unsigned> numbers;
    std::vector<std::string> forms = {"{}"};
    std::string map;
    for (unsigned opcode = 0; opcode < matches_.size(); ++opcode) {
      unsigned number = 0;
      if (const Match& match = matches_[opcode]; match.row != nullptr && match.row->status == RowStatus::implemented) {
        const std::string form = form_of(opcode, match);
        const auto [at, is_new] = numbers.emplace(form, static_cast<unsigned>(forms.size()));
        if (is_new) forms.push_back(form);
        number = at->second;
      }
      map += std::to_string(number) + (opcode % 32 == 31 ? ",\n" : ",");
    }
    out << "constexpr OpcodeForm kForms[] = {\n";
    for (const auto& form : forms) out << "    " << form << ",\n";
    out << "};\nconstexpr std::uint16_t kFormOfOpcode[] = {\n" << map << "};\n";
  }

  std::string operand_of(const std::string& name) const {
    static const char* const kWords[] = {"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"};
    static const char* const kSegments[] = {"ES", "CS", "SS", "DS", "FS", "GS"};
    const auto operand = [](const char* kind, unsigned reg, unsigned bytes, bool high = false) {
      return "{OperandKind::" + std::string(kind) + ", " + std::to_string(reg) + ", " + std::to_string(bytes) +
             (high ? ", true}" : ", false}");
    };
    for (unsigned i = 0; i < 8; ++i) {
      const std::string word = kWords[i];
      if (name == word) return operand("gpr", i, 2);
      if (name == "E" + word) return operand("gpr", i, 4);
      if (name == "R" + word) return operand("gpr", i, 8);
      if (name == (i < 4 ? word.substr(0, 1) + "L" : word + "L")) return operand("gpr", i, 1);
      if (i < 4 && name == word.substr(0, 1) + "H") return operand("gpr", i, 1, true);
    }
    for (unsigned i = 0; i < 6; ++i) {
      if (name == kSegments[i]) return operand("segment", i, 2);
    }
    if (name == "RIP" || name == "EIP") return "{OperandKind::gpr, kRipRegister, 8, false}";
    const auto digits = name.find_first_of("0123456789");
    if (digits == std::string::npos) return "{}";
    const std::string stem = name.substr(0, digits);
    const auto end = name.find_first_not_of("0123456789", digits);
    const unsigned number = static_cast<unsigned>(std::stoul(name.substr(digits)));
    const std::string suffix = end == std::string::npos ? "" : name.substr(end);
    if (stem == "R" && number >= 8 && number < 16) {
      if (suffix.empty()) return operand("gpr", number, 8);
      if (suffix == "D") return operand("gpr", number, 4);
      if (suffix == "W") return operand("gpr", number, 2);
      if (suffix == "B") return operand("gpr", number, 1);
    }
    if (!suffix.empty()) return "{}";
    if (stem == "CR" && number < 16) return operand("control", number, 0);
    if (stem == "DR" && number < 16) return operand("debug", number, 0);
    if (stem == "MM" && number < 8) return operand("mmx", number, 8);
    if (stem == "XMM" && number < 16) return operand("xmm", number, 16);
    if (stem == "ST" && number < 8) return operand("st", number, 10);
    return "{}";
  }

  void write_registers() const {
    auto out = open("registers.inc");
    out << "constexpr Operand kRegisters[] = {\n";
    for (unsigned i = 0; i < registers_->getNumRegs(); ++i) {
      const std::string name = registers_->getName(i);
      out << "    " << operand_of(name) << ",  // " << name << "\n";
    }
    out << "};\n";
  }

  void write_coverage() const {
    auto out = open("coverage.inc");
    out << "constexpr CoverageRow kCoverage[] = {\n";
    for (unsigned opcode = 0; opcode < matches_.size(); ++opcode) {
      if (is_pseudo(opcode)) continue;
      const Row* row = matches_[opcode].row;
      const char* status = "CoverageStatus::invalid";
      if (row != nullptr && row->status == RowStatus::implemented) status = "CoverageStatus::implemented";
      if (row != nullptr && row->status == RowStatus::never) status = "CoverageStatus::never";
      // A literal with sv has its length without a search: 17,000 of them would be too many steps for Clang's
      // constexpr.
      out << "    {\"" << instructions_->getName(opcode).str() << "\"sv, " << status << ", \""
          << (row != nullptr ? row->name : "not in the model") << "\"sv, \"" << (row != nullptr ? row->feature : "")
          << "\"sv},\n";
    }
    out << "};\n";
  }

  std::vector<Row> rows_;
  std::string output_;
  std::unique_ptr<llvm::MCInstrInfo> instructions_;
  std::unique_ptr<llvm::MCRegisterInfo> registers_;
  std::vector<std::unique_ptr<Pattern>> patterns_;
  std::vector<Match> matches_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) fail("usage: generate_operations operations.txt OUTPUT-DIRECTORY");
  Generator(argv[1], argv[2]).run();
  return 0;
}
