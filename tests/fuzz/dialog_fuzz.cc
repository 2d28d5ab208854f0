// A receiver that says anything at any moment. The dialog must give each message one verdict, call
// delivered only what a 2xx to its end of data delivered, write nothing but well-formed SMTP, and
// not care how the stream of replies was cut.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "tests/fuzz/dialog_watch.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

constexpr std::string_view kEhloReply =
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
    "250 ENHANCEDSTATUSCODES\r\n";
constexpr std::string_view kReplies[] = {
    "220 mx.example ESMTP\r\n",
    kEhloReply,
    "250-mx.example\r\n250 LIMITS RCPTMAX=1 MAILMAX=3 RCPTDOMAINMAX=1\r\n",
    "250 mx.example\r\n",
    "250-mx.example\r\n250-SIZE 10\r\n250 PIPELINING\r\n",
    "250 2.0.0 OK\r\n",
    "354 go on\r\n",
    "421 4.3.2 closing\r\n",
    "451 4.7.1 later\r\n",
    "452 4.5.3 too many\r\n",
    "500 what?\r\n",
    "501 5.5.4 parameters\r\n",
    "503 5.5.1 sequence\r\n",
    "530 5.7.0 STARTTLS first\r\n",
    "550 5.1.1 unknown\r\n",
    "550 5.7.1 blocked\r\n",
    "552 5.3.4 too large\r\n",
    "554 5.6.0 no\r\n",
    "555 5.5.4 SIZE?\r\n",
    "221 2.0.0 bye\r\n",
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 CHUNKING\r\n",
    "250 2.1.0 sender\r\n",
    "250 2.1.5 recipient\r\n",
};
constexpr size_t kMessagesMax = 24;

// What a good receiver says to what is due.
std::string_view fitting_reply(std::string_view waiting_for) {
  if (waiting_for == "banner") return kReplies[0];
  if (waiting_for == "EHLO") return kReplies[1];
  if (waiting_for == "DATA") return kReplies[6];
  if (waiting_for == "QUIT") return kReplies[19];
  return kReplies[5];
}

DialogOptions options_from(Input& input) {
  DialogOptions options;
  options.hello = "me.example";
  options.enable_pipelining = !input.flag();
  options.in_flight_max = 1 + static_cast<uint32_t>(input.below(4));
  options.deliveries_max = static_cast<uint32_t>(input.below(6));
  if (input.flag()) options.reply_limits = {40, 100};
  options.verdict_text_bytes_max = input.flag() ? 8 : 1'024;
  return options;
}

enum class Act : uint8_t {
  kFittingReply,
  kReply,
  kRawReply,
  kPendReply,
  kDeliver,
  kWork,
  kGather,
  kSent,
  kCutShort,
  kTake,
  kTakeOdd,
  kQuit,
  kFail,
  kDepth,
  kEnd,
};

// Runs the script; the result is all that the dialog did, as text.
std::string run(Input input, Feed feed) {
  DialogWatch watch(options_from(input), feed);
  const bool diligent = !input.flag();
  std::string pending;
  size_t messages = 0;
  while (!input.empty()) {
    const auto act = static_cast<Act>(input.octet() % static_cast<uint8_t>(Act::kEnd));
    switch (act) {
      case Act::kFittingReply:
        watch.receive(fitting_reply(watch.dialog().waiting_for()));
        break;
      case Act::kReply:
        watch.receive(kReplies[input.octet() % std::size(kReplies)]);
        break;
      case Act::kRawReply:
        watch.receive(std::string(input.field('\n')) + "\n");
        break;
      case Act::kPendReply:
        pending += kReplies[input.octet() % std::size(kReplies)];
        break;
      case Act::kDeliver: {
        const size_t count = std::min<size_t>(input.octet(), pending.size());
        watch.receive(pending.substr(0, count));
        pending.erase(0, count);
        break;
      }
      case Act::kWork:
        watch.work();
        break;
      case Act::kGather:
        watch.gather(1 + input.octet() % 3);
        break;
      case Act::kSent:
        watch.sent(input.octet());
        break;
      case Act::kCutShort:
        watch.not_sent();
        watch.fail(Fault::kReset);
        break;
      case Act::kTake:
        if (messages < kMessagesMax && watch.take({})) ++messages;
        break;
      case Act::kTakeOdd: {
        const uint8_t how = input.octet();
        const std::string_view text = input.field();
        if (messages < kMessagesMax && watch.take({how, text})) ++messages;
        break;
      }
      case Act::kQuit:
        watch.quit();
        break;
      case Act::kFail:
        watch.fail(static_cast<Fault>(input.octet() % 7));
        break;
      case Act::kDepth:
        watch.set_depth(input.octet());
        break;
      case Act::kEnd:
        break;
    }
    if (diligent) watch.work();
  }
  return watch.end();
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  const Input input(data, size);
  const std::string watched = run(input, Feed::kOctets);
  CHECK(watched == run(input, Feed::kWhole));
  return 0;
}
