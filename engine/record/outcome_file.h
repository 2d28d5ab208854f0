// The file `outcomes` of a finished job: what became of each row, in the order of the list.
//
// PURPOSE. OutcomeWriter makes its octets, OutcomeReader turns them into rows again; FORMAT.md
//   tells the whole. Both stream: neither ever holds more than a stretch of the file.
// OWNERSHIP. A reader copies what is fed; a row's views live until next() is called again.
// THREAD. Any, one at a time. Pure: no I/O.
// ERRORS. Reader: kCorrupt with what is wrong; rows of frames that were whole before it were given.
//   Writer: none.
// LIMITS. Memory of each: about 4 MiB for the compression, and a frame's shapes (1 MiB).
// BUGS. A row is found only by reading all before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/record/outcomes.h"

namespace sluice {

inline constexpr uint16_t kOutcomeFileVersion = 1;
// Whether a file may be one, by its first octets (eight).
bool is_outcome_file(std::string_view octets);

// Rows of the list that have no outcome of their own here, and what is missing of the others.
struct OutcomeTotals {
  uint64_t rows = 0;  // those of the file
  uint64_t rejected = 0;
  uint64_t suppressed = 0;
  uint64_t duplicate = 0;
  uint64_t texts_left_out = 0;  // replies that would not fit into memory
  friend bool operator==(const OutcomeTotals&, const OutcomeTotals&) = default;
};

class OutcomeWriter {
 public:
  explicit OutcomeWriter(std::string_view job_id);
  OutcomeWriter(const OutcomeWriter&) = delete;
  OutcomeWriter& operator=(const OutcomeWriter&) = delete;
  ~OutcomeWriter();

  // The outcomes that follow are of another Outcomes: their shapes are numbered anew.
  void begin_shapes() { slots_.clear(); }
  // REQUIRES: `number` above those before.
  void add(uint64_t number, std::string_view address, const PackedOutcome& outcome);
  // Ends the file. `totals.rows` is filled in here.
  void finish(OutcomeTotals totals);

  // What is ready to be written; the caller empties it.
  std::string& octets() { return octets_; }
  uint64_t rows() const { return rows_; }

 private:
  uint32_t slot_of(const PackedOutcome& outcome);
  void record(uint8_t kind);
  void compress(bool end_of_frame);

  struct Zstd;
  std::unique_ptr<Zstd> zstd_;
  std::string octets_;
  std::string plain_;         // not compressed yet
  std::string body_;          // scratch: of a record
  size_t frame_octets_ = 0;   // of the open frame, before compression
  uint32_t frame_slots_ = 0;  // shapes defined in it
  absl::flat_hash_map<uint64_t, uint32_t> slots_;
  uint64_t last_number_ = 0;
  int64_t last_first_ms_ = 0;
  uint64_t rows_ = 0;
};

struct OutcomeRow {
  uint64_t number = 0;
  std::string_view address;
  Outcome outcome;  // its views too live until the next row
};

class OutcomeReader {
 public:
  enum class Step : uint8_t {
    kRow,
    kMore,     // feed() or end() first
    kEnd,      // all rows were given: totals() are known
    kCorrupt,  // status() says what
  };

  // `file` is for messages.
  explicit OutcomeReader(std::string file);
  OutcomeReader(const OutcomeReader&) = delete;
  OutcomeReader& operator=(const OutcomeReader&) = delete;
  ~OutcomeReader();

  void feed(std::string_view octets);
  // The file has no more octets.
  void end() { ended_ = true; }
  Step next(OutcomeRow& row);

  const Status& status() const { return status_; }
  // Known once a row was given.
  const std::string& job() const { return job_; }
  const OutcomeTotals& totals() const { return totals_; }

 private:
  enum class Phase : uint8_t { kHeader, kFrames, kEnd, kCorrupt };
  enum class Unpacked : uint8_t { kSome, kNeedMore, kFailed };
  struct Shape {
    Outcome outcome;  // without text, names, attempts and times
    bool has_times = false;
    std::string exchanger;
    std::string source;
    std::string site;
    std::string pattern;
  };

  bool read_header();
  Unpacked unpack();
  bool begin_frame();
  // A whole record of what is unpacked: false when there is none, or it is broken (kCorrupt).
  bool read_record(OutcomeRow& row, bool& is_row);
  bool read_shape(std::string_view body);
  bool read_row(std::string_view body, OutcomeRow& row);
  bool read_end(std::string_view body);
  bool corrupt(std::string_view what);

  const std::string file_;
  struct Zstd;
  std::unique_ptr<Zstd> zstd_;
  std::string packed_;
  size_t packed_begin_ = 0;  // what stands before it is used up
  uint64_t offset_ = 0;      // of packed_begin_ in the file
  std::string plain_;
  size_t plain_begin_ = 0;
  bool ended_ = false;
  bool frame_whole_ = true;  // all of the frame is unpacked
  bool seen_end_ = false;
  Phase phase_ = Phase::kHeader;
  Status status_;
  std::string job_;
  OutcomeTotals totals_;
  std::vector<Shape> shapes_;
  uint64_t rows_ = 0;
  uint64_t last_number_ = 0;
  int64_t last_first_ms_ = 0;
};

}  // namespace sluice
