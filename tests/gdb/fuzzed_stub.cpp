#include "tests/gdb/fuzzed_stub.h"

#include <fmt/format.h>

#include <array>
#include <random>

namespace rondo::gdb {
namespace {

// org 0x100000: a multiboot header, then
//   mov esp, 0x200000; xor ecx, ecx
//   again: inc ecx; mov [0x100050], ecx; mov edi, 0x180000; push ecx; mov ecx, 100; rep stosb; pop ecx; cmp ecx, 200;
//   jne again; hlt
constexpr std::array<u8, 84> kGuest{0x02, 0xb0, 0xad, 0x1b, 0x03, 0x00, 0x01, 0x00, 0xfb, 0x4f, 0x51, 0xe4, 0x00, 0x00,
                                    0x10, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                    0x20, 0x00, 0x10, 0x00, 0xbc, 0x00, 0x00, 0x20, 0x00, 0x31, 0xc9, 0x90, 0x90, 0x90,
                                    0x41, 0x89, 0x0d, 0x50, 0x00, 0x10, 0x00, 0xbf, 0x00, 0x00, 0x18, 0x00, 0x51, 0xb9,
                                    0x64, 0x00, 0x00, 0x00, 0xf3, 0xaa, 0x59, 0x81, 0xf9, 0xc8, 0x00, 0x00, 0x00, 0x75,
                                    0xe3, 0xf4, 0xf4, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

}  // namespace

FuzzedStub::FuzzedStub() {
  BoardConfig config;
  config.memory_bytes = u64{4} << 20;
  config.kernel = Image::of("fuzzed guest", {kGuest.begin(), kGuest.end()});
  board_ = std::move(Board::create(config)).value();
  input_ = std::make_unique<LiveInput>(*board_, LiveInput::Exchange{});
  travel_ = std::make_unique<TimeTravel>(board_->machine(), *input_);
  debuggee_ = std::make_unique<Debuggee>(*travel_, symbols_);
  monitor_ = std::make_unique<Monitor>(
      *debuggee_, [](const recordings::MomentName&) -> Result<Position> { return Error{"no recording"}; });
  stub_ = std::make_unique<Stub>(*debuggee_, *monitor_, Architecture::x86_64);
  stub_->on_text([this](std::string_view text) { text_ = text; });
  // A guest that was changed may run for ever.
  travel_->on_poll([] { return false; }, 3'000);
  travel_->on_rewind([this] { stub_->rewound(); });
  stub_->connected();
}

unsigned FuzzedStub::feed(std::span<const u8> bytes) {
  unsigned answered = 0;
  reader_.feed(bytes);
  while (const auto message = reader_.next()) {
    if (message->kind != Received::Kind::packet) continue;
    const std::string reply = frame(stub_->handle(message->payload));
    ++answered;
    if (stub_->after() != Stub::After::go_on) stub_->connected();
  }
  return answered;
}

std::string random_packet(u64 seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](u64 below) { return random() % below; };
  const auto number = [&]() -> u64 {
    switch (draw(6)) {
      case 0:
        return draw(70);
      case 1:
        return 0x100020 + draw(60);
      case 2:
        return 0x100050;
      case 3:
        return random();
      case 4:
        return ~u64{0} - draw(16);
      default:
        return 0x1ffff0 + draw(32);
    }
  };
  const auto hex = [&](u64 most) {
    std::string digits;
    for (u64 n = draw(most); n > 0; --n) digits += "0123456789abcdef"[draw(16)];
    return digits;
  };
  const auto command = [&]() -> std::string {
    static constexpr std::array kCommands{"when",
                                          "help",
                                          "seek +3",
                                          "seek -5",
                                          "seek start",
                                          "seek 700",
                                          "seek 1us",
                                          "seek end",
                                          "checkpoint",
                                          "restart 1",
                                          "events",
                                          "last-write 0x100050 4",
                                          "last-write 0x100050 4 go",
                                          "first-execution 0x10002b",
                                          "history",
                                          "history back",
                                          "history forward",
                                          "branch",
                                          "branch leave",
                                          "physical on",
                                          "physical off",
                                          "hash",
                                          "checkpoint list",
                                          "bogus"};
    return kCommands[draw(kCommands.size())];
  };
  std::string packet;
  switch (draw(24)) {
    case 0:
      packet = "g";
      break;
    case 1:
      packet = "G" + hex(2000);
      break;
    case 2:
      packet = fmt::format("p{:x}", number());
      break;
    case 3:
      packet = fmt::format("P{:x}={}", draw(70), hex(40));
      break;
    case 4:
      packet = fmt::format("m{:x},{:x}", number(), draw(5) ? draw(300) : random());
      break;
    case 5:
      packet = fmt::format("M{:x},{:x}:{}", number(), draw(8), hex(20));
      break;
    case 6:
      packet = fmt::format("X{:x},{:x}:{}", number(), draw(4), std::string(draw(4), static_cast<char>(random())));
      break;
    case 7:
    case 8:
      packet = fmt::format("Z{},{:x},{:x}", draw(6), number(), draw(9) ? 1 + draw(8) : random());
      break;
    case 9:
      packet = fmt::format("z{},{:x},{:x}", draw(6), number(), 1 + draw(8));
      break;
    case 10: {
      const std::string code = hex(40);
      packet = fmt::format("Z0,{:x},1;X{:x},{}", 0x100020 + draw(40), draw(4) ? code.size() / 2 : draw(40), code);
      break;
    }
    case 11:
      packet = draw(2) ? "c" : "vCont;c:p1.-1";
      break;
    case 12:
      packet = draw(2) ? "s" : "vCont;s:1;c";
      break;
    case 13:
      packet = draw(2) ? "bs" : "bc";
      break;
    case 14:
      packet = fmt::format("vCont;r{:x},{:x}:1", 0x100020 + draw(40), 0x100020 + draw(40));
      break;
    case 15:
      packet = "qRcmd," + to_hex(command());
      break;
    case 16:
      packet = fmt::format("qXfer:features:read:target.xml:{:x},{:x}", draw(20000), draw(5000));
      break;
    case 17:
      packet = fmt::format("c{:x}", number());
      break;
    case 18:
      packet = draw(2) ? "qSupported:swbreak+" : "qfThreadInfo";
      break;
    case 19:
      packet = "H" + hex(6);
      break;
    case 20:
      packet = "D";
      break;
    case 21:
      packet = "k";
      break;
    case 22:
      packet = "v" + hex(12);
      break;
    default:
      packet = "?";
      break;
  }
  // Now and then a byte that does not belong there.
  if (draw(8) == 0 && !packet.empty()) packet[draw(packet.size())] = static_cast<char>(random());
  if (draw(16) == 0) packet.resize(draw(packet.size() + 1));
  return packet;
}

}  // namespace rondo::gdb
