// Journal files made in memory, verdicts as receivers give them, and reading back: for tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/record/encoder.h"
#include "engine/record/format.h"
#include "engine/record/parser.h"

namespace sluice {

inline const WallTime kStart = from_unix_seconds(1'700'000'000);

// A JournalEntry that owns its texts.
struct OwnedEntry {
  JournalEntry entry;
  std::string job, text, command, site, exchanger, source, sender;

  explicit OwnedEntry(const JournalEntry& e)
      : entry(e),
        job(e.job),
        text(e.text),
        command(e.command),
        site(e.site),
        exchanger(e.exchanger),
        source(e.source),
        sender(e.sender) {}

  bool operator==(const OwnedEntry& o) const {
    const JournalEntry& a = entry;
    const JournalEntry& b = o.entry;
    return job == o.job && text == o.text && command == o.command && site == o.site &&
           exchanger == o.exchanger && source == o.source && sender == o.sender &&
           a.kind == b.kind && a.event == b.event && a.segment == b.segment && a.row == b.row &&
           a.state == b.state && a.scope == b.scope && a.maybe_delivered == b.maybe_delivered &&
           a.dns_stale == b.dns_stale && a.code == b.code && a.enhanced == b.enhanced &&
           a.attempts == b.attempts && a.at == b.at && a.first_at == b.first_at &&
           a.next_at == b.next_at && a.size == b.size && a.peer == b.peer && a.session == b.session;
  }
};

struct ReadBack {
  std::vector<OwnedEntry> entries;
  JournalParser::Step end = JournalParser::Step::kMore;
  bool torn = false;
  uint64_t whole_bytes = 0;
  Status status;
};

inline ReadBack read_back(std::string_view file, size_t chunk = SIZE_MAX) {
  using Step = JournalParser::Step;
  ReadBack result;
  JournalParser parser("journal/000-00000001.jnl");
  JournalEntry entry;
  Step step = Step::kMore;
  while (!file.empty() && (step == Step::kMore)) {
    parser.feed(file.substr(0, chunk));
    file.remove_prefix(std::min(chunk, file.size()));
    while ((step = parser.next(entry)) == Step::kEntry) result.entries.emplace_back(entry);
  }
  parser.end();
  while ((step = parser.next(entry)) == Step::kEntry) result.entries.emplace_back(entry);
  result.end = step;
  result.torn = parser.torn();
  result.whole_bytes = parser.whole_bytes();
  result.status = parser.status();
  return result;
}

class JournalBuilder {
 public:
  JournalBuilder() {
    encoder_.begin_file(kStart);
    file_ = encode(JournalFileHeader{3, 17, kStart});
    seed_ = seed_of(file_);
  }

  JournalBuilder& add(const RowId& row, const Verdict& verdict, const Attempt& attempt) {
    encoder_.verdict(records_, "job" + std::to_string(row.job), row, verdict, attempt);
    return *this;
  }
  JournalBuilder& event(JobIndex job, JobEvent event, WallTime at) {
    encoder_.job_event(records_, "job" + std::to_string(job), job, event, at);
    return *this;
  }
  JournalBuilder& raw(std::string_view octets) {
    records_.append(octets);
    return *this;
  }
  JournalBuilder& frame() {
    std::string header(kFrameHeaderBytes, '\0');
    put_frame_header(header.data(), records_, seed_, file_.size());
    file_ += header + records_;
    records_.clear();
    ends_.push_back(file_.size());
    return *this;
  }
  const std::string& file() const { return file_; }
  const std::vector<size_t>& frame_ends() const { return ends_; }

 private:
  JournalEncoder encoder_;
  std::string records_;
  std::string file_;
  uint32_t seed_ = 0;
  std::vector<size_t> ends_;
};

inline Verdict delivered(std::string text = "OK queued") {
  Verdict v;
  v.state = State::kDelivered;
  v.reply = {250, {2, 0, 0}, std::move(text)};
  v.command = ".";
  return v;
}

inline Verdict deferred(std::string text = "Try again later") {
  Verdict v;
  v.state = State::kDeferred;
  v.scope = Scope::kSite;
  v.reply = {451, {4, 7, 1}, std::move(text)};
  v.command = "RCPT";
  return v;
}

inline Attempt attempt_at(Duration since_start, uint32_t number = 1) {
  Attempt a;
  a.number = number;
  a.at = kStart + since_start;
  a.first_at = a.at - 120ms;
  a.next_at = a.at + 20min;
  a.size = 10'345;
  a.site = "gmail-smtp-in.l.google.com";
  a.exchanger = "gmail-smtp-in.l.google.com";
  a.peer = {*parse_ip("192.0.2.7"), 25};
  a.source = "s1";
  a.sender = "bounce@example.com";
  a.session = 42;
  return a;
}

}  // namespace sluice
