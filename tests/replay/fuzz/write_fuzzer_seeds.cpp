// Writes good inputs for the fuzzers of this folder: DIR/NAME/... for NAME_fuzzer.
#include <cstdio>

#include "replay/format/index.h"
#include "replay/pack.h"
#include "tests/replay/format/recordings.h"

namespace rondo::replay::test {
namespace {

std::vector<u8> with_first_byte(u64 first, std::span<const u8> rest) {
  std::vector<u8> bytes = {static_cast<u8>(first)};
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return bytes;
}

void write_seeds(const std::string& out) {
  const auto put = [&](const std::string& fuzzer, const std::string& name, const std::vector<u8>& bytes) {
    std::filesystem::create_directories(out + "/" + fuzzer);
    spit(out + "/" + fuzzer + "/" + name, bytes);
  };
  TemporaryFolder folder;
  const std::vector<u8> kernel(1000, 'k');
  const NewImage images[] = {{"kernel", "vmlinuz", kernel}};
  write_sample(folder / "r", 6, true, sample_manifest(), images);
  std::filesystem::create_directory(folder / "r/checkpoints");
  spit(folder / "r/checkpoints/1.ckpt", std::vector<u8>(50, 42));
  if (!pack_recording(folder / "r", folder / "pack")) return;

  for (const std::string& name : {std::string("manifest"), std::string("index")}) {
    const std::vector<u8> file = slurp(folder / ("r/" + name));
    put(name, "whole", file);
    put(name, "payload", {file.begin() + kEnvelopeBytes, file.end()});
  }
  const u64 recording = recording_digest(sample_manifest().recording_id);
  const std::vector<u8> log = slurp(folder / "r/events.log");
  const auto index = decode_index(slurp(folder / "r/index"), recording);
  for (const ChunkPosition& position : index->chunks) {
    const std::span<const u8> chunk = std::span(log).subspan(position.offset);
    const auto header = decode_chunk_header(chunk, recording);
    const std::vector<u8> raw = unpack_chunk(*header, chunk.subspan(kChunkHeaderBytes, header->payload_bytes));
    put("chunk", std::to_string(position.first_event), with_first_byte(header->events, raw));
  }
  for (const u8 repaired : {0, 1}) {
    put("log", std::to_string(repaired), with_first_byte(repaired, log));
    put("pack", std::to_string(repaired), with_first_byte(repaired, slurp(folder / "pack")));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder / "r/blobs")) {
    put("blob", "packed", slurp(entry.path().string()));
  }
}

}  // namespace
}  // namespace rondo::replay::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_fuzzer_seeds DIR\n");
    return 2;
  }
  rondo::replay::test::write_seeds(argv[1]);
  return 0;
}
