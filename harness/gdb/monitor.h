// The commands behind gdb's `monitor`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/gdb/debuggee.h"
#include "harness/gdb/recording_search.h"
#include "harness/recordings/moment.h"

namespace rondo::gdb {

class Monitor {
 public:
  // What `event:N` and `end` mean here. Errors are one line.
  using Resolve = std::function<Result<Position>(const recordings::MomentName& moment)>;
  Monitor(Debuggee& debuggee, Resolve resolve) : debuggee_(debuggee), resolve_(std::move(resolve)) {}

  // Long searches on a recording go on all processors. Outlives this.
  void search_with(RecordingSearch& search) { recording_search_ = &search; }
  // Runs a command line. Returns what there is to say at its end.
  std::string run(const std::string& line);
  // The user leaves the place where the machine stands.
  void leaving();

 private:
  using Words = std::vector<std::string>;
  std::string when();
  std::string seek(const Words& words);
  std::string checkpoint(const Words& words);
  std::string restart(const Words& words);
  std::string events(const Words& words);
  std::string last_write(const Words& words);
  std::string first_execution(const Words& words);
  std::string history(const Words& words);
  std::string branch(const Words& words);
  std::string physical(const Words& words);
  std::string hash();

  std::string arrive(const Stop& stop);
  std::string move(Position target);
  std::string search(DebugPoints points, Direction direction, bool go, const std::string& what);
  Stop find(DebugPoints points, Direction direction, Position here);
  std::optional<u64> address(const std::string& word) const;
  std::string describe(Position position) const;

  Debuggee& debuggee_;
  Resolve resolve_;
  RecordingSearch* recording_search_ = nullptr;
  std::map<unsigned, Position> checkpoints_;
  unsigned next_checkpoint_ = 1;
  std::vector<Position> back_, forward_;  // the places the user was at
};

}  // namespace rondo::gdb
