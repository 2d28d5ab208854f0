#include "engine/schedule/eta.h"

#include <algorithm>
#include <tuple>

#include "engine/base/check.h"

namespace sluice {
namespace {

// Nobody plans farther ahead; keeps a Duration from overflowing.
constexpr double kSecondsMax = 3.0e9;

Duration seconds(double count) {
  return Duration(static_cast<int64_t>(std::clamp(count, 0.0, kSecondsMax) * 1e9));
}

double per_second(int64_t count, Duration span) {
  return span <= Duration(0) || count <= 0 ? 0 : static_cast<double>(count) / to_seconds(span);
}

std::optional<Duration> less(std::optional<Duration> at, Duration age) {
  if (at) at = std::max(*at - age, Duration(0));
  return at;
}

// Sets `latest` to `more` when that is later.
void extend(std::optional<Duration>& latest, std::optional<Duration> more) {
  if (more && (!latest || *more > *latest)) latest = more;
}

// How many of the lane's deferred rows are due within `seconds`, as if they were spread evenly.
double due_within(const LaneRest& lane, double seconds) {
  if (lane.deferred == 0 || !lane.last_due) return 0;
  const double first = to_seconds(lane.first_due.value_or(Duration(0)));
  const double span = to_seconds(*lane.last_due) - first;
  const double share = span > 0 ? (seconds - first) / span : seconds >= first ? 1 : 0;
  return static_cast<double>(lane.deferred) * std::clamp(share, 0.0, 1.0);
}

// When the lane is through with the job's rows that need not wait to be due. Those that become due
// meanwhile take turns with them.
std::optional<Duration> first_attempts_in(const LaneRest& lane, double rate) {
  if (lane.waiting == 0) return std::nullopt;
  const uint64_t ahead = lane.ahead > lane.deferred ? lane.ahead - lane.deferred : lane.waiting;
  const auto rows = static_cast<double>(ahead);
  double took = rows / rate;
  // Longer means that more are due: twice is near enough.
  for (int i = 0; i < 2; ++i) took = (rows + std::min(rows, due_within(lane, took))) / rate;
  return less(seconds(took), lane.age);
}

// When the lane is through with all of them; nothing when that is not known.
std::optional<Duration> ends_in(const LaneRest& lane) {
  std::optional<Duration> end;
  if (lane.deferred > 0) end = less(lane.last_due, lane.age);
  const double rate = lane.limit_rate > 0 ? lane.limit_rate : lane.rate;
  if (rate <= 0) return end;
  extend(end, first_attempts_in(lane, rate));
  if (lane.limit_rate <= 0 || lane.deferred == 0) return end;
  // What is due at once is sent one after the other all the same.
  const Duration from = lane.waiting == 0 ? lane.first_due.value_or(Duration(0)) : Duration(0);
  const uint64_t rows = lane.waiting == 0 ? lane.deferred : lane.ahead;
  extend(end, less(from + seconds(static_cast<double>(rows) / rate), lane.age));
  return end;
}

}  // namespace

// --- measurements --------------------------------------------------------------------------------

void RateMeter::roll(Instant now) {
  if (now - began_ < kWindow) return;
  if (now - began_ < 2 * kWindow) {
    before_ = rows_;
    began_ += kWindow;
    if (first_ < began_ - kWindow) first_ = began_ - kWindow;
  } else {
    any_ = false;
  }
  rows_ = 0;
}

void RateMeter::add(Instant now, uint32_t rows) {
  roll(now);
  if (!any_) {
    // What comes first begins the time that is measured: it does not count itself.
    any_ = true;
    began_ = first_ = now;
    rows_ = before_ = 0;
    return;
  }
  rows_ += rows;
}

double RateMeter::per_second(Instant now) const {
  RateMeter upto = *this;
  upto.roll(now);
  if (!upto.any_) return 0;
  return sluice::per_second(static_cast<int64_t>(upto.rows_ + upto.before_), now - upto.first_);
}

void ShareMeter::add(Instant now, Duration spent_so_far) {
  samples_.push_back({now, spent_so_far});
  while (samples_.size() > 2 && now - samples_[1].at >= kWindow) samples_.pop_front();
}

double ShareMeter::share() const {
  if (samples_.size() < 2) return -1;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  if (last.at <= first.at) return -1;
  return std::clamp(to_seconds(last.spent - first.spent) / to_seconds(last.at - first.at), 0.0,
                    1.0);
}

PaceSample sample_of(const Counts& counts, Instant at) {
  PaceSample sample;
  sample.at = at;
  sample.finished = counts[State::kDelivered] + counts[State::kBounced];
  sample.begun = sample.finished + counts[State::kDeferred] + counts[State::kExpired];
  sample.attempts = counts.attempts;
  return sample;
}

void Pace::add(const PaceSample& sample) {
  // A job that has done nothing yet has no pace: its time begins with the first result.
  const bool idle = sample.begun <= 0 && sample.attempts <= 0;
  if (idle) samples_.clear();
  const size_t count = samples_.size();
  if (count >= 2 && samples_[count - 1].at - samples_[count - 2].at < kStep) samples_.pop_back();
  if (!idle) samples_.push_back(sample);
  while (samples_.size() > 2 &&
         (samples_.size() > kSamplesMax || sample.at - samples_[1].at >= kWindow)) {
    samples_.pop_front();
  }
}

PaceFigures Pace::figures() const {
  PaceFigures figures;
  if (samples_.size() < 2) return figures;
  const PaceSample& first = samples_.front();
  const PaceSample& last = samples_.back();
  const Duration span = last.at - first.at;
  const int64_t finished = last.finished - first.finished;
  figures.begun = per_second(last.begun - first.begun, span);
  figures.finished = per_second(finished, span);
  figures.deferred = per_second(last.attempts - first.attempts - finished, span);
  return figures;
}

// --- the estimate --------------------------------------------------------------------------------

uint64_t rows_ahead(std::span<const LaneShare> shares, size_t of) {
  CHECK(of < shares.size());
  const LaneShare& own = shares[of];
  uint64_t rows = 0;
  for (const LaneShare& share : shares) {
    if (share.priority < own.priority) rows += share.rows;
    if (share.priority == own.priority) rows += std::min(share.rows, own.rows);
  }
  return rows;
}

Eta estimate(const JobRest& rest) {
  Eta eta;
  uint64_t held_waiting = 0;
  std::optional<Duration> first_attempts;  // when all rows have been tried that wait now
  std::optional<Duration> end;
  std::tuple<Duration, uint64_t> last{Duration(-1), 0};
  for (size_t i = 0; i < rest.lanes.size(); ++i) {
    const LaneRest& lane = rest.lanes[i];
    if (lane.waiting + lane.deferred == 0) continue;
    if (lane.held) {
      eta.held += lane.waiting + lane.deferred;
      held_waiting += lane.waiting;
      continue;
    }
    const std::optional<Duration> lane_end = ends_in(lane);
    extend(end, lane_end);
    const double rate = lane.limit_rate > 0 ? lane.limit_rate : lane.rate;
    const std::optional<Duration> last_due = less(lane.last_due, lane.age);
    if (lane.deferred > 0) extend(eta.last_due, last_due);
    if (const auto tried = rate > 0 ? first_attempts_in(lane, rate) : std::nullopt) {
      extend(first_attempts, tried);
      // What is deferred at the end of these is due as much later as the last one is now.
      if (rest.pace.deferred > 0 && lane.deferred > 0 && last_due) {
        extend(end, *tried + *last_due);
      }
    }
    const std::tuple<Duration, uint64_t> key{lane_end.value_or(Duration(-1)),
                                             lane.waiting + lane.deferred};
    if (!eta.last_lane || key > last) {
      eta.last_lane = i;
      last = key;
    }
  }

  const bool list_ended = rest.list_read && *rest.list_read >= 1;
  double to_come = 0;
  if (!list_ended && rest.list_read && *rest.list_read > 0) {
    to_come = static_cast<double>(rest.taken) * (1 / *rest.list_read - 1);
  }
  const double waiting =
      to_come + static_cast<double>(rest.waiting > held_waiting ? rest.waiting - held_waiting : 0);
  double pace = rest.pace.begun;
  if (rest.job_rate > 0 && (pace <= 0 || rest.job_rate < pace)) pace = rest.job_rate;
  const double to_answer = waiting + static_cast<double>(rest.in_flight);
  if (to_answer > 0 && pace > 0) extend(first_attempts, seconds(to_answer / pace));
  // Nothing tells how fast they go.
  if (waiting > 0 && !first_attempts) return eta;
  extend(end, first_attempts);
  if (waiting <= 0 && eta.held == 0 && rest.deferred == 0) extend(end, Duration(0));
  const bool list_known = list_ended || (rest.list_read && *rest.list_read > 0);
  if (list_known) eta.in = end;
  return eta;
}

}  // namespace sluice
