// When a job will be done, and the measurements that this rests on.
//
// The ETA is the latest of: what the job still has to send at the job's own pace of the last half
// minute; for each lane what is ahead of the job's last row there at the lane's pace or, while a
// rate limit holds it back, at that; when the last deferred row is due. As long as rows are being
// deferred, those that are yet to go are taken to be deferred as long.
//
// Pure; one thread. LIMITS. Rows that defer once more, and jobs that are yet to come, are not
// foreseen. A lane of which nothing is known (no row has gone, no limit) counts only in the job's
// own pace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/progress.h"

namespace sluice {

// Rows a second over the last 15 to 30 seconds, or since the first when that is less. 40 octets;
// add() costs a comparison.
class RateMeter {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(15);

  void add(Instant now, uint32_t rows = 1);
  double per_second(Instant now) const;

 private:
  void roll(Instant now);

  Instant began_{};  // the present window
  Instant first_{};  // the first row since the last time of rest
  uint64_t rows_ = 0;
  uint64_t before_ = 0;  // in the window before
  bool any_ = false;
};

// The share of the last ten seconds that a counter of nanoseconds grew by.
class ShareMeter {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(10);

  void add(Instant now, Duration spent_so_far);
  // 0 to 1; negative as long as it is not known.
  double share() const;

 private:
  struct Sample {
    Instant at;
    Duration spent;
  };
  std::deque<Sample> samples_;
};

// How a job went lately; 0 where that is not known yet.
struct PaceFigures {
  double begun = 0;     // rows a second whose first attempt was answered
  double finished = 0;  // that came to their final state by an attempt
  double deferred = 0;  // attempts a second that ended in a deferral
};

// What Pace looks at.
struct PaceSample {
  Instant at{};
  int64_t begun = 0;     // rows of which an attempt was answered, or that have expired
  int64_t finished = 0;  // delivered or bounced
  int64_t attempts = 0;
};
PaceSample sample_of(const Counts& counts, Instant at);

// A job's samples of the last half minute: at most kSamplesMax, 32 octets each.
class Pace {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(30);
  static constexpr Duration kStep = std::chrono::seconds(1);
  static constexpr size_t kSamplesMax = 34;

  // Less than kStep after the one before the last: takes the last one's place.
  void add(const PaceSample& sample);
  PaceFigures figures() const;

 private:
  std::deque<PaceSample> samples_;
};

// What a lane holds of one job, for rows_ahead().
struct LaneShare {
  uint8_t priority = 5;
  uint64_t rows = 0;
};

// How many rows of all jobs a lane sends until the last one of `shares[of]`: all of a better
// priority; of the same one, in turn, as many as that job has.
uint64_t rows_ahead(std::span<const LaneShare> shares, size_t of);

// What a lane means to a job.
struct LaneRest {
  uint64_t waiting = 0;   // rows of the job
  uint64_t deferred = 0;  // due later
  uint64_t ahead = 0;     // rows_ahead(), the deferred ones among them
  double rate = 0;        // rows a second lately; 0: not known
  double limit_rate = 0;  // while a rate limit holds the lane back; else 0
  std::optional<Duration> first_due;
  std::optional<Duration> last_due;
  Duration age{};     // all this was so long ago
  bool held = false;  // cannot be reached, or is paused: its rows go nobody knows when
};

struct JobRest {
  uint64_t waiting = 0;  // as status counts them
  uint64_t in_flight = 0;
  uint64_t deferred = 0;
  uint64_t taken = 0;  // rows of the list so far
  // The share of the list that was read, 0 to 1; nothing: not known, and not read to its end.
  std::optional<double> list_read;
  double job_rate = 0;  // the job's own limit in rows a second; 0: none
  PaceFigures pace;
  std::vector<LaneRest> lanes;
};

struct Eta {
  std::optional<Duration> in;        // from now; nothing: not known
  std::optional<Duration> last_due;  // of the deferred rows that can be sent then
  uint64_t held = 0;                 // rows of lanes that are held: not in the ETA
  // The lane that ends last, as far as that is known, else the one with most rows.
  std::optional<size_t> last_lane;
};

Eta estimate(const JobRest& rest);

}  // namespace sluice
