// Whatever a receiver says is recorded and read back octet for octet, and told as one line of valid
// JSON.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/record/encoder.h"
#include "engine/record/event.h"
#include "engine/record/holes.h"
#include "engine/record/json_text.h"
#include "engine/record/parser.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

std::string_view cut(std::string_view text, size_t octets) { return text.substr(0, octets); }

// Octets that are no UTF-8 become the code points of their numbers, so a text of such octets only
// comes back as well.
void check_json_text(std::string_view text) {
  std::string out;
  append_json_text(out, text);
  CHECK(out.find('\n') == std::string::npos && is_utf8(out));
  const nlohmann::json parsed = nlohmann::json::parse(out, nullptr, false);
  CHECK(parsed.is_string());
  if (is_utf8(text)) CHECK(parsed.get<std::string>() == text);
}

void check_holes(std::string_view text, Words words) {
  std::string pattern;
  std::string holes;
  split_holes(text, words, pattern, holes);
  ByteReader reader(holes);
  std::string joined;
  CHECK(join_holes(pattern, reader, joined));
  CHECK(joined == text && reader.at_end());
}

void check_any_holes(std::string_view pattern, std::string_view holes) {
  ByteReader reader(holes);
  std::string joined;
  (void)join_holes(pattern, reader, joined);
  CHECK(joined.size() <= pattern.size() + 2 * holes.size());
}

void check_event(const JournalEntry& entry, std::string_view strange) {
  EventContext context;
  context.row = 42;
  context.recipient = strange;
  context.queue = entry.site;
  context.pool = entry.source;
  context.node_id = strange;
  std::string line;
  append_event(line, entry, context);
  CHECK(line.ends_with('\n') && line.find('\n') == line.size() - 1 && is_utf8(line));
  CHECK(line == event_json(entry, context) + "\n");
  const nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
  CHECK(event.is_object());
  CHECK(event["type"] == std::string(event_type(entry.state)));
  CHECK(event["response"]["code"] == entry.code);
  CHECK(event["event_time"].get<std::string>().size() == 27);
  if (is_utf8(entry.text)) CHECK(event["response"]["content"] == std::string(entry.text));
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::fuzz;
  Input input(data, size);
  Verdict verdict;
  constexpr State kStatesGiven[] = {State::kDeferred, State::kDelivered, State::kBounced,
                                    State::kExpired, State::kCancelled};
  verdict.state = kStatesGiven[input.below(5)];
  verdict.scope = static_cast<Scope>(input.below(6));
  verdict.reply.code = static_cast<uint16_t>(input.number());
  if (input.flag()) verdict.reply.enhanced = {5, input.choice(), input.choice()};
  verdict.maybe_delivered = input.flag();
  verdict.command = input.flag() ? "RCPT" : ".";
  Attempt attempt;
  attempt.number = static_cast<uint32_t>(input.number());
  // Within what a clock can show, in whole microseconds: nanoseconds are not kept.
  const auto at = [&input] {
    return from_unix_seconds(static_cast<int64_t>(input.number() % 5'000'000'000)) +
           std::chrono::microseconds(input.choice());
  };
  attempt.at = at();
  attempt.first_at = at();
  attempt.next_at = at();
  attempt.size = input.number();
  attempt.session = input.number();
  attempt.dns_stale = attempt.session % 2 == 1;
  if (input.flag()) attempt.peer = {{Family::kIpv6, {0x20, 1, input.choice()}}, 25};
  verdict.reply.text = input.field();
  attempt.sender = input.field();
  attempt.site = input.field();
  attempt.exchanger = input.field();
  attempt.source = input.field();
  const std::string_view strange = input.rest();

  // Its tables are large to make; begin_file() empties them.
  static JournalEncoder encoder;
  const WallTime created = from_unix_seconds(1'700'000'000);
  encoder.begin_file(created);
  const RowId row = {7, 3, 300};
  std::string records;
  encoder.verdict(records, "job", row, verdict, attempt);
  encoder.verdict(records, "job", row, verdict, attempt);
  std::string file = encode(JournalFileHeader{3, 17, created});
  std::string header(kFrameHeaderBytes, '\0');
  put_frame_header(header.data(), records, seed_of(file), file.size());
  JournalParser parser("003-00000017.jnl");
  parser.feed(file + header + records);
  parser.end();
  for (int twice = 0; twice < 2; ++twice) {
    JournalEntry entry;
    CHECK(parser.next(entry) == JournalParser::Step::kEntry);
    CHECK(entry.job == "job" && entry.segment == row.segment && entry.row == row.row);
    CHECK(entry.state == verdict.state && entry.scope == verdict.scope);
    CHECK(entry.maybe_delivered == verdict.maybe_delivered);
    CHECK(entry.dns_stale == attempt.dns_stale);
    CHECK(entry.code == verdict.reply.code && entry.enhanced == verdict.reply.enhanced);
    CHECK(entry.text == cut(verdict.reply.text, kTextBytesMax));
    CHECK(entry.command == verdict.command && entry.attempts == attempt.number);
    CHECK(entry.at == attempt.at && entry.first_at == attempt.first_at);
    CHECK(verdict.state != State::kDeferred || entry.next_at == attempt.next_at);
    CHECK(entry.size == attempt.size && entry.session == attempt.session);
    CHECK(entry.peer == attempt.peer && entry.site == cut(attempt.site, kNameBytesMax));
    CHECK(entry.exchanger == cut(attempt.exchanger, kNameBytesMax));
    CHECK(entry.source == cut(attempt.source, kNameBytesMax));
    CHECK(entry.sender == cut(attempt.sender, kNameBytesMax));
    if (twice == 0) check_event(entry, strange);
  }
  JournalEntry none;
  CHECK(parser.next(none) == JournalParser::Step::kEnd && !parser.torn());

  check_json_text(strange);
  check_holes(strange, Words::kAddressesAreHoles);
  check_holes(strange, Words::kAddressesStay);
  check_any_holes(attempt.sender, strange);
  return 0;
}
