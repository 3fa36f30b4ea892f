#include "harness/recordings/moment.h"

#include <algorithm>

#include "harness/values.h"

namespace rondo::recordings {
namespace {

// A duration has a unit that ends in s (s, ms, us, ns); everything else is a count.
bool names_time(const std::string& text) { return !text.empty() && text.back() == 's'; }

}  // namespace

Result<MomentName> parse_moment(const std::string& text) {
  static constexpr char kEvent[] = "event:";
  static constexpr char kEnd[] = "end";
  const Error bad{
      "'" + text +
      "' is not a Moment: use a count such as 1500000 or 1.5G, a virtual time such as 2.5s, event:12, end or end-1000"};
  const auto rest_after = [&](const std::string& prefix) { return text.substr(prefix.size()); };
  MomentName moment;
  std::string number = text;
  if (text.rfind(kEvent, 0) == 0) {
    moment.kind = MomentName::Kind::event;
    number = rest_after(kEvent);
    if (number.empty() || !std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return bad;
  } else if (text.rfind(kEnd, 0) == 0) {
    moment.kind = MomentName::Kind::end;
    if (text == kEnd) return moment;
    if (text[3] != '-') return bad;
    number = text.substr(4);
    moment.before_in_ns = names_time(number);
  } else if (names_time(text)) {
    moment.kind = MomentName::Kind::time;
  }
  const Result<u64> value = names_time(number) ? parse_duration(number) : parse_count(number);
  if (!value) return bad;
  moment.value = *value;
  return moment;
}

}  // namespace rondo::recordings
