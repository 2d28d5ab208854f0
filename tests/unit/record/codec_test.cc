// The encoder and the parser against each other.
#include <gtest/gtest.h>

#include <cstdio>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"
#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

using Step = JournalParser::Step;

TEST(JournalCodec, EveryFieldRoundTrips) {
  Verdict v = deferred("Greylisted, see <a@example.com> or call 555-1234");
  v.maybe_delivered = true;
  Attempt a = attempt_at(3s + 17us, 7);
  a.dns_stale = true;
  a.peer = {*parse_ip("2001:db8::1"), 2525};
  a.sender = "bounce+abc234def@example.com";
  const std::string file = JournalBuilder().add({2, 5, 99}, v, a).frame().file();
  const ReadBack back = read_back(file);
  ASSERT_EQ(back.end, Step::kEnd) << back.status;
  EXPECT_FALSE(back.torn);
  ASSERT_EQ(back.entries.size(), 1u);
  const OwnedEntry& o = back.entries[0];
  EXPECT_EQ(o.entry.kind, JournalEntry::Kind::kVerdict);
  EXPECT_EQ(o.job, "job2");
  EXPECT_EQ(o.entry.segment, 5u);
  EXPECT_EQ(o.entry.row, 99u);
  EXPECT_EQ(o.entry.state, State::kDeferred);
  EXPECT_EQ(o.entry.scope, Scope::kSite);
  EXPECT_TRUE(o.entry.maybe_delivered);
  EXPECT_TRUE(o.entry.dns_stale);
  EXPECT_EQ(o.entry.code, 451);
  EXPECT_EQ(o.entry.enhanced, (EnhancedCode{4, 7, 1}));
  EXPECT_EQ(o.text, v.reply.text);
  EXPECT_EQ(o.command, "RCPT");
  EXPECT_EQ(o.entry.attempts, 7u);
  EXPECT_EQ(o.entry.at, a.at);
  EXPECT_EQ(o.entry.first_at, a.first_at);
  EXPECT_EQ(o.entry.next_at, a.next_at);
  EXPECT_EQ(o.entry.size, a.size);
  EXPECT_EQ(o.site, a.site);
  EXPECT_EQ(o.exchanger, a.exchanger);
  EXPECT_EQ(o.entry.peer, a.peer);
  EXPECT_EQ(o.source, a.source);
  EXPECT_EQ(o.sender, a.sender);
  EXPECT_EQ(o.entry.session, 42u);
}

TEST(JournalCodec, FlagsStandApart) {
  for (const bool maybe : {false, true}) {
    for (const bool stale : {false, true}) {
      Verdict v = deferred("later");
      v.maybe_delivered = maybe;
      Attempt a = attempt_at(1s, 1);
      a.dns_stale = stale;
      const ReadBack back = read_back(JournalBuilder().add({0, 0, 0}, v, a).frame().file());
      ASSERT_EQ(back.entries.size(), 1u) << back.status;
      EXPECT_EQ(back.entries[0].entry.maybe_delivered, maybe);
      EXPECT_EQ(back.entries[0].entry.dns_stale, stale);
    }
  }
}

TEST(JournalCodec, AVerdictWithoutAReceiverRoundTrips) {
  Verdict v;
  v.state = State::kCancelled;
  const std::string file = JournalBuilder().add({0, 0, 0}, v, Attempt{}).frame().file();
  const ReadBack back = read_back(file);
  ASSERT_EQ(back.entries.size(), 1u) << back.status;
  EXPECT_EQ(back.entries[0].entry.state, State::kCancelled);
  EXPECT_EQ(back.entries[0].entry.code, 0);
  EXPECT_EQ(back.entries[0].entry.peer.port, 0);
  EXPECT_EQ(back.entries[0].entry.at, WallTime{});
  EXPECT_EQ(back.entries[0].text, "");
}

TEST(JournalCodec, JobEventsRoundTrip) {
  const std::string file = JournalBuilder()
                               .event(4, JobEvent::kPaused, kStart + 1s)
                               .event(4, JobEvent::kFinished, kStart + 2s)
                               .frame()
                               .file();
  const ReadBack back = read_back(file);
  ASSERT_EQ(back.entries.size(), 2u) << back.status;
  EXPECT_EQ(back.entries[1].entry.kind, JournalEntry::Kind::kJobEvent);
  EXPECT_EQ(back.entries[1].entry.event, JobEvent::kFinished);
  EXPECT_EQ(back.entries[1].job, "job4");
  EXPECT_EQ(back.entries[1].entry.at, kStart + 2s);
}

TEST(JournalCodec, OverlongTextsAndNamesAreCut) {
  Attempt a = attempt_at(1s);
  const std::string name(5'000, 'n');
  a.site = a.exchanger = a.source = a.sender = name;
  const std::string file =
      JournalBuilder().add({0, 0, 0}, delivered(std::string(9'000, '1')), a).frame().file();
  const ReadBack back = read_back(file);
  ASSERT_EQ(back.entries.size(), 1u) << back.status;
  EXPECT_EQ(back.entries[0].text, std::string(kTextBytesMax, '1'));
  EXPECT_EQ(back.entries[0].site, name.substr(0, kNameBytesMax));
  EXPECT_EQ(back.entries[0].sender, name.substr(0, kNameBytesMax));
}

TEST(JournalCodec, UnknownKindsOfRecordsAreSkipped) {
  const std::string file = JournalBuilder()
                               .add({0, 0, 1}, delivered(), attempt_at(1s))
                               .raw(std::string_view("\x63\x05hello", 7))
                               .add({0, 0, 2}, delivered(), attempt_at(2s))
                               .frame()
                               .file();
  const ReadBack back = read_back(file);
  EXPECT_EQ(back.end, Step::kEnd);
  EXPECT_EQ(back.entries.size(), 2u);
}

TEST(JournalCodec, BrokenRecordsUnderAGoodChecksumAreCorruption) {
  for (const std::string_view bad :
       {std::string_view("\0", 1), std::string_view("\x02\x05hel", 5),
        std::string_view("\x02\x01\x01", 3), std::string_view("\x01\x02\x09\x01", 4),
        std::string_view("\x03\x03\x00\x07\x00", 5)}) {
    const ReadBack back = read_back(JournalBuilder().raw(bad).frame().file());
    EXPECT_EQ(back.end, Step::kCorrupt);
    EXPECT_NE(message_of(back.status).find("journal/000-00000001.jnl: offset 32"),
              std::string::npos)
        << back.status;
  }
}

TEST(JournalCodec, DictionariesAreBoundedAndForgetWithoutLoss) {
  JournalBuilder builder;
  std::vector<std::string> texts;
  Random random(5);
  for (uint32_t i = 0; i < 30'000; ++i) {
    std::string word = "w";
    for (uint64_t n = random.below(6'000); n > 0; n /= 26) {
      word.push_back(static_cast<char>('a' + n % 26));
    }
    texts.push_back(word);
    Attempt a = attempt_at(i * 1ms);
    a.site = a.exchanger = a.source = a.sender = texts.back();
    builder.add({i % 3'000, i, i}, delivered(word), a);
    if (i % 1'000 == 999) builder.frame();
  }
  const ReadBack back = read_back(builder.file(), 4'096);
  ASSERT_EQ(back.end, Step::kEnd) << back.status;
  ASSERT_EQ(back.entries.size(), 30'000u);
  for (uint32_t i = 0; i < 30'000; ++i) {
    ASSERT_EQ(back.entries[i].text, texts[i]);
    ASSERT_EQ(back.entries[i].site, texts[i]);
    ASSERT_EQ(back.entries[i].sender, texts[i]);
    ASSERT_EQ(back.entries[i].job, "job" + std::to_string(i % 3'000));
  }
}

// Three frames with a few entries each.
JournalBuilder three_frames() {
  JournalBuilder builder;
  for (uint32_t i = 0; i < 9; ++i) {
    const std::string id = "OK 16999" + std::to_string(i) + " a1-2002 gsmtp";
    builder.add({0, 1, i}, i % 4 == 3 ? deferred() : delivered(id), attempt_at(i * 1s));
    if (i % 3 == 2) builder.frame();
  }
  return builder;
}

void expect_prefix(const std::vector<OwnedEntry>& part, const std::vector<OwnedEntry>& whole) {
  ASSERT_LE(part.size(), whole.size());
  for (size_t i = 0; i < part.size(); ++i) ASSERT_TRUE(part[i] == whole[i]) << i;
}

TEST(JournalCodec, ATornTailIsCutAtEveryByte) {
  const JournalBuilder builder = three_frames();
  const std::string& file = builder.file();
  const std::vector<OwnedEntry> all = read_back(file).entries;
  ASSERT_EQ(all.size(), 9u);
  for (size_t size = 0; size <= file.size(); ++size) {
    size_t frames = 0;
    bool boundary = size == kFileHeaderBytes;
    uint64_t whole = size >= kFileHeaderBytes ? kFileHeaderBytes : 0;
    for (const size_t end : builder.frame_ends()) {
      frames += end <= size ? 1 : 0;
      boundary |= end == size;
      if (end <= size) whole = end;
    }
    for (const size_t chunk : {size_t{1}, size_t{50}, SIZE_MAX}) {
      const ReadBack back = read_back(std::string_view(file).substr(0, size), chunk);
      ASSERT_EQ(back.end, Step::kEnd) << size << back.status;
      ASSERT_EQ(back.entries.size(), 3 * frames) << size;
      expect_prefix(back.entries, all);
      ASSERT_EQ(back.torn, !boundary && size > 0) << size;
      ASSERT_EQ(back.whole_bytes, whole) << size;
    }
  }
}

TEST(JournalCodec, ATailOfZeroesOrRubbishIsCut) {
  const JournalBuilder builder = three_frames();
  const std::string& file = builder.file();
  for (size_t size = builder.frame_ends()[1]; size < file.size(); ++size) {
    for (const char fill : {'\0', '\xF7'}) {
      std::string torn = file.substr(0, size) + std::string(file.size() - size + 700, fill);
      const ReadBack back = read_back(torn, 33);
      ASSERT_EQ(back.end, Step::kEnd) << size << back.status;
      ASSERT_TRUE(back.torn);
      ASSERT_EQ(back.entries.size(), 6u);
    }
  }
}

TEST(JournalCodec, AFlippedBitIsFoundOrCostsTheLastFrameOnly) {
  const JournalBuilder builder = three_frames();
  const std::vector<OwnedEntry> all = read_back(builder.file()).entries;
  const size_t last_begins = builder.frame_ends()[1];
  for (size_t bit = 0; bit < builder.file().size() * 8; ++bit) {
    std::string bad = builder.file();
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const ReadBack back = read_back(bad, bit % 2 == 0 ? SIZE_MAX : 64);
    expect_prefix(back.entries, all);
    if (bit / 8 < last_begins) {
      ASSERT_EQ(back.end, Step::kCorrupt) << bit / 8;
      ASSERT_FALSE(back.status.ok());
    } else {
      ASSERT_EQ(back.end, Step::kEnd) << bit / 8;
      ASSERT_TRUE(back.torn) << bit / 8;
      ASSERT_EQ(back.entries.size(), 6u);
    }
  }
}

TEST(JournalCodec, AMissingFrameIsFound) {
  const JournalBuilder builder = three_frames();
  std::string file = builder.file();
  file.erase(builder.frame_ends()[0], builder.frame_ends()[1] - builder.frame_ends()[0]);
  // What follows the gap is a frame of another place: as a last frame it is cut, not believed.
  const ReadBack back = read_back(file);
  EXPECT_EQ(back.entries.size(), 3u);
  EXPECT_TRUE(back.torn || back.end == Step::kCorrupt);
}

// When this fails, files written before are read wrongly: the format needs a new version.
TEST(JournalCodec, TheFormatStaysWhatItIs) {
  Attempt six = attempt_at(2s, 3);
  six.peer = {*parse_ip("2001:db8::1"), 25};
  const std::string file =
      JournalBuilder()
          .add({0, 0, 300}, delivered("Ok: queued as 4F1A9C03D2"), attempt_at(1s))
          .add({0, 1, 2}, deferred("try <a@example.com> later"), six)
          .event(0, JobEvent::kFinished, kStart + 9s)
          .frame()
          .file();
  EXPECT_EQ(file.size(), 361u);
  EXPECT_EQ(crc32c(file), 1'656'353'755u);
}

TEST(JournalCodec, OtherFilesAreRefused) {
  EXPECT_EQ(read_back(std::string(100, 'x')).end, Step::kCorrupt);
  EXPECT_EQ(read_back("").end, Step::kEnd);
  EXPECT_FALSE(read_back("").torn);
  // Cut before its header was durable.
  EXPECT_EQ(read_back(std::string(kFileHeaderBytes, '\0')).end, Step::kEnd);
}

TEST(JournalCodec, RandomPayloadsNeverCrash) {
  Random random(11);
  for (int i = 0; i < 5'000; ++i) {
    std::string records(1 + random.below(60), '\0');
    for (char& c : records) {
      c = static_cast<char>(random.below(2) == 0 ? random.below(5) : random.below(256));
    }
    JournalBuilder builder;
    builder.add({0, 0, 0}, delivered("id 12"), attempt_at(1s));
    read_back(builder.raw(records).frame().file());
  }
}

// 10,000 verdicts over 50 connections to 20 exchangers, in commits of 100.
double octets_per_verdict(bool gmail_like) {
  Random random(23);
  JournalBuilder builder;
  std::vector<std::string> hosts;
  for (int i = 0; i < 20; ++i) hosts.push_back("mx" + std::to_string(i) + ".provider.example");
  for (uint32_t i = 0; i < 10'000; ++i) {
    char id[96];
    if (gmail_like) {
      std::snprintf(
          id, sizeof id, "OK  %llu a%u-20020a05%016llx%08llxsi%llu%c%c%c.%u - gsmtp",
          1'699'999'999ULL + i / 50, i % 10, static_cast<unsigned long long>(random.next()),
          static_cast<unsigned long long>(random.next() & 0xFFFFFFFF),
          100'000ULL + static_cast<unsigned long long>(random.below(900'000)),
          static_cast<char>('a' + random.below(26)), static_cast<char>('a' + random.below(26)),
          static_cast<char>('a' + random.below(26)), i % 40);
    } else {
      std::snprintf(id, sizeof id, "Ok: queued as %010llX",
                    static_cast<unsigned long long>(random.next() & 0xFFFFFFFFFF));
    }
    Attempt a = attempt_at(i * 53us);
    const size_t host = random.below(hosts.size());
    a.site = a.exchanger = hosts[host];
    a.peer.ip.octets[3] = static_cast<uint8_t>(host);
    a.session = 1'000 + random.below(50);
    a.size = 10'000 + random.below(2'000);
    a.first_at = a.at - std::chrono::milliseconds(50 + random.below(100));
    builder.add({0, i / 65'536, static_cast<uint32_t>(random.below(65'536))}, delivered(id), a);
    if (i % 100 == 99) builder.frame();
  }
  const ReadBack back = read_back(builder.file());
  EXPECT_EQ(back.entries.size(), 10'000u);
  return static_cast<double>(builder.file().size()) / 10'000;
}

TEST(JournalCodec, AVerdictTakesFewOctets) {
  const double with_short_replies = octets_per_verdict(false);
  const double with_long_replies = octets_per_verdict(true);
  std::printf("octets a verdict: %.1f with 24-octet replies, %.1f with 70-octet replies\n",
              with_short_replies, with_long_replies);
  EXPECT_LE(with_short_replies, 64.0);
  EXPECT_LE(with_long_replies, 80.0);
}

}  // namespace
}  // namespace sluice
