// A journal file's octets into entries: the reading half of the format.
//
//   JournalParser parser(path);
//   while (read some octets) { parser.feed(octets); while (parser.next(entry) == kEntry)
//   use(entry); } parser.end();  while (parser.next(entry) == kEntry) use(entry); then next() has
//   said kEnd (parser.torn(): the tail was cut) or kCorrupt (parser.status()).
//
// Ownership: copies what is fed; an entry's views live until next() is called again.
// Thread: any, one at a time. Pure: no I/O.
// Errors: a file whose last frame is incomplete or damaged is what a power cut leaves: its entries
//   up to there are given, then kEnd. Damage with a whole frame behind it cannot come from a power
//   cut, for a frame is begun only after the one before is durable: kCorrupt, with the file's name
//   and the offset. Nothing of a damaged frame is ever given.
// Limits: memory is one frame (1 MiB), what was fed and not yet asked for, and the dictionaries
//   (16 MiB at most; usually far below one).
// BUGS: a last frame that was durable and rotted since looks like a torn tail: its rows are sent
//   again.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/record/entry.h"
#include "engine/record/format.h"

namespace sluice {

class JournalParser {
 public:
  enum class Step : uint8_t {
    kEntry,
    kMore,     // feed() or end() first
    kEnd,      // all entries were given
    kCorrupt,  // status() says what; no entry follows
  };

  // `file` is for messages.
  explicit JournalParser(std::string file);

  // Gives only the job's entries, and of its verdicts only those on segments [first, end): the
  // others are walked over, which costs a tenth. Before the first feed().
  void only(std::string job, SegmentNumber first, SegmentNumber end);
  // After only(): the segments on which the job has verdicts; none while first > last.
  struct Span {
    SegmentNumber first = UINT32_MAX;
    SegmentNumber last = 0;
  };
  const Span& span() const { return span_; }
  // Names each job once that the file defines. Before the first feed(); `jobs` outlives the parser.
  void name_jobs(std::set<std::string>* jobs) { jobs_ = jobs; }

  void feed(std::string_view octets);
  // The file has no more octets.
  void end() { ended_ = true; }
  Step next(JournalEntry& entry);

  const Status& status() const { return status_; }
  // Valid once an entry was given.
  const JournalFileHeader& header() const { return header_; }
  // After kEnd: whether something behind the last whole frame was cut off.
  bool torn() const { return torn_; }
  // Octets up to the end of the last whole frame.
  uint64_t whole_bytes() const { return whole_bytes_; }
  // The same of the last frame whose entries were all given: a file cut there has no damage. 0: not
  // even the file header is sound.
  uint64_t sound_bytes() const { return sound_bytes_; }

 private:
  enum class Phase : uint8_t { kHeader, kFrames, kRecords, kDamaged, kEnd, kCorrupt };

  std::string_view pending() const { return std::string_view(buffer_).substr(begin_); }
  void consume(size_t count);
  bool read_file_header();
  bool read_frame();
  bool search_frame_behind_damage();
  bool read_record(JournalEntry& entry);
  bool define(std::string_view body);
  bool read_verdict(std::string_view body, JournalEntry& entry);
  bool read_job_event(std::string_view body, JournalEntry& entry);
  bool is_wanted(std::string_view job, SegmentNumber segment);
  bool read_shape(std::string_view shape, JournalEntry& entry, std::string_view& pattern);
  bool look_up(Table table, uint64_t slot, std::string_view& value);
  bool corrupt(std::string_view what);
  void cut_tail();

  const std::string file_;
  std::string buffer_;
  size_t begin_ = 0;     // what stands before it in buffer_ is used up
  uint64_t offset_ = 0;  // of begin_ in the file
  uint64_t damage_offset_ = 0;
  uint64_t whole_bytes_ = 0;
  uint64_t sound_bytes_ = 0;
  bool ended_ = false;
  bool torn_ = false;
  Phase phase_ = Phase::kHeader;
  Status status_;
  JournalFileHeader header_;
  uint32_t seed_ = 0;
  std::string frame_;
  size_t frame_begin_ = 0;
  struct Definition {
    bool present = false;
    std::string octets;
  };
  std::array<std::vector<Definition>, kTables> tables_;
  int64_t last_at_us_ = 0;
  std::string text_;
  std::string sender_;
  std::optional<std::string> only_job_;
  SegmentNumber first_segment_ = 0;
  SegmentNumber segments_end_ = 0;
  Span span_;
  std::set<std::string>* jobs_ = nullptr;
};

}  // namespace sluice
