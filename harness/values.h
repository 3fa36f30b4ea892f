// Values on the command line: sizes, durations, counts and ranges of counts.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/base/types.h"

namespace rondo {

Result<u64> parse_count(const std::string& text);  // "1000000", "20M", "1.5G": decimal suffixes k, M, G
Result<u64> parse_size(const std::string& text);   // bytes: "4096", "256M", "1G": binary suffixes K, M, G, T
Result<u64> parse_duration(
    const std::string& text);  // nanoseconds: "60s", "250ms", "10us", "5ns", "2m"; no suffix: seconds
Result<i64> parse_time(
    const std::string& text);  // seconds since 1970: a number, "2024-02-29" or "2024-02-29T12:30:00" (UTC)

struct TraceRange {
  InstrCount from, to;
  std::string path;  // empty: standard error
};
Result<TraceRange> parse_trace_range(const std::string& text);  // FROM..TO[=FILE]

}  // namespace rondo
