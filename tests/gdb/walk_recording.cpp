// gdb_walk RECORDING [MOMENTS [MOVES [SEED]]]: random walks on a recording; then a machine that never went back says
// whether the states are right.
#include <cstdio>
#include <cstdlib>

#include "harness/recordings/playback.h"
#include "tests/gdb/walk.h"

int main(int argc, char** argv) {
  using namespace rondo;
  if (argc < 2) return 2;
  auto playback = recordings::Playback::open(argv[1], nullptr);
  auto plain = recordings::Playback::open(argv[1], nullptr);
  if (!playback || !plain)
    return std::fprintf(stderr, "%s\n", playback ? plain.error().message.c_str() : playback.error().message.c_str()), 2;
  replay::RecordingReader& reader = (*playback)->reader();
  const u64 events = reader.check().events;
  reader.seek_event(events - 1);
  const u64 end = reader.next()->moment.count.value;
  reader.seek_event(0);

  gdb::RecordedInput input(**playback);
  gdb::TimeTravel travel((*playback)->machine(), input);
  gdb::WalkOptions options;
  options.last_count = end;
  if (argc > 2) options.moments = static_cast<unsigned>(std::atoi(argv[2]));
  if (argc > 3) options.moves = static_cast<unsigned>(std::atoi(argv[3]));
  if (argc > 4) options.seed = static_cast<u64>(std::atoll(argv[4]));
  gdb::Walk walk(travel, options);
  const auto wrong = walk.run();
  for (const std::string& line : wrong) std::printf("%s\n", line.c_str());

  unsigned different = 0, compared = 0;
  gdb::RecordedInput plain_input(**plain);
  plain_input.moved(0);
  for (const auto& [count, state] : walk.plain_states()) {
    Machine& machine = (*plain)->machine();
    const RunResult result = machine.run({.instructions = InstrCount{count}, .virtual_time = {}}, &plain_input);
    if (machine.clock().count().value != count || result.reason != ExitReason::instruction_limit) continue;
    ++compared;
    // The input of this very count comes on arrival.
    if (plain_input.next_visit(machine.clock().count()) == machine.clock().count()) plain_input.visit(std::nullopt);
    machine.clock().fire_due();
    if (machine.state_hash() == state) continue;
    if (++different <= 10)
      std::printf("at %llu a machine that never went back is in another state\n",
                  static_cast<unsigned long long>(count));
  }
  std::printf("%u moments of %u moves, %u hits, %u deliveries, %u states compared: %zu wrong, %u different\n",
              options.moments, options.moves, walk.hits(), walk.deliveries(), compared, wrong.size(), different);
  return wrong.empty() && different == 0 ? 0 : 1;
}
