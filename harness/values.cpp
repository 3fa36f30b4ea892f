#include "harness/values.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>

namespace rondo {
namespace {

struct Unit {
  std::string_view suffix;
  u64 factor;
};

Error bad(const std::string& text, const std::string& example) {
  return Error{"'" + text + "' is not valid: use a value such as " + example};
}

// A decimal number with an optional fraction, times the factor of its suffix; nothing on overflow or anything
// unexpected.
template <std::size_t N>
bool parse_scaled(std::string_view text, const std::array<Unit, N>& units, u64 plain_factor, u64& value) {
  const char* const end = text.data() + text.size();
  u64 whole = 0;
  auto [rest, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{} || rest == text.data()) return false;
  u64 fraction = 0, fraction_scale = 1;
  if (rest != end && *rest == '.') {
    const char* digits = ++rest;
    for (; rest != end && *rest >= '0' && *rest <= '9' && rest - digits < 9; ++rest) {
      fraction = fraction * 10 + static_cast<u64>(*rest - '0');
      fraction_scale *= 10;
    }
    if (rest == digits) return false;
  }
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  u64 factor = suffix.empty() ? plain_factor : 0;
  for (const Unit& unit : units) {
    if (suffix == unit.suffix) factor = unit.factor;
  }
  if (factor == 0) return false;
  u64 product = 0, sum = 0;
  if (__builtin_mul_overflow(whole, factor, &product)) return false;
  const u64 part = static_cast<u64>(u128{fraction} * factor / fraction_scale);
  if (__builtin_add_overflow(product, part, &sum)) return false;
  value = sum;
  return true;
}

constexpr std::array<Unit, 6> kCounts{
    {{"k", 1'000}, {"K", 1'000}, {"M", 1'000'000}, {"m", 1'000'000}, {"G", 1'000'000'000}, {"g", 1'000'000'000}}};
constexpr std::array<Unit, 8> kSizes{{{"K", u64{1} << 10},
                                      {"M", u64{1} << 20},
                                      {"G", u64{1} << 30},
                                      {"T", u64{1} << 40},
                                      {"KiB", u64{1} << 10},
                                      {"MiB", u64{1} << 20},
                                      {"GiB", u64{1} << 30},
                                      {"TiB", u64{1} << 40}}};
constexpr std::array<Unit, 6> kDurations{{{"ns", 1},
                                          {"us", 1'000},
                                          {"ms", 1'000'000},
                                          {"s", 1'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"h", 3'600'000'000'000}}};

}  // namespace

Result<u64> parse_count(const std::string& text) {
  u64 value = 0;
  if (!parse_scaled(text, kCounts, 1, value)) return bad(text, "1000000, 500k, 20M or 1.5G");
  return value;
}

Result<u64> parse_size(const std::string& text) {
  u64 value = 0;
  if (!parse_scaled(text, kSizes, 1, value)) return bad(text, "256M or 1G");
  return value;
}

Result<u64> parse_duration(const std::string& text) {
  u64 value = 0;
  if (!parse_scaled(text, kDurations, 1'000'000'000, value)) return bad(text, "60s, 250ms or 2m");
  return value;
}

Result<i64> parse_time(const std::string& text) {
  i64 seconds = 0;
  const char* const end = text.data() + text.size();
  if (const auto [rest, error] = std::from_chars(text.data(), end, seconds); error == std::errc{} && rest == end)
    return seconds;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  const bool with_time =
      std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) == 6;
  if (!with_time) {
    hour = minute = second = used = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3) used = -1;
  }
  const bool utc_mark = used >= 0 && text.substr(static_cast<std::size_t>(used)) == "Z";
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (used < 0 || !(utc_mark || static_cast<std::size_t>(used) == text.size()) || !date.ok() || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 59) {
    return bad(text, "1700000000, 2024-02-29 or 2024-02-29T12:30:00 (UTC)");
  }
  const i64 days = std::chrono::sys_days{date}.time_since_epoch().count();
  return days * 86'400 + hour * 3'600 + minute * 60 + second;
}

Result<TraceRange> parse_trace_range(const std::string& text) {
  const std::string wanted = "1000..2000 or 20M..20.001M=FILE";
  const auto equals = text.find('=');
  const std::string range = text.substr(0, equals);
  const auto dots = range.find("..");
  if (dots == std::string::npos) return bad(text, wanted);
  // "1.5M..2M": the separator is the last pair of dots.
  const auto separator = range.rfind("..");
  const Result<u64> from = parse_count(range.substr(0, separator)), to = parse_count(range.substr(separator + 2));
  if (!from || !to) return bad(text, wanted);
  if (*from > *to) return Error{"'" + text + "' ends before it begins"};
  TraceRange result{InstrCount{*from}, InstrCount{*to}, {}};
  if (equals != std::string::npos) {
    result.path = text.substr(equals + 1);
    if (result.path.empty()) return bad(text, wanted);
  }
  return result;
}

}  // namespace rondo
