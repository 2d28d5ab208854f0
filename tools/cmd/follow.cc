#include "tools/cmd/follow.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <optional>
#include <utility>

#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "engine/control/documents.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(200);
constexpr Duration kLineInterval = std::chrono::seconds(5);
constexpr Duration kRateWindow = std::chrono::seconds(3);

void pause(Loop& loop, Duration duration) {
  loop.turn(loop.now());
  const Instant until = loop.now() + duration;
  while (loop.now() < until) loop.turn(until);
}

size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// What daemon or spool know of it now; nothing when neither does.
std::optional<JobReport> look(const Places& places, const std::string& id) {
  const StatusOr<std::string> document = admin_get(places.socket, "/api/v1/jobs/" + id);
  if (document.ok()) {
    StatusOr<JobReport> job = parse_job_document(*document);
    if (job.ok()) return std::move(*job);
  }
  const SpoolPaths spool(places.spool);
  for (const Place place : {Place::kDone, Place::kFailed}) {
    const FoundJob found{id, place};
    StatusOr<JobStatus> job = status_from_spool(spool, found);
    if (!job.ok() || job->phase == "stopped") continue;
    JobReport report;
    static_cast<JobStatus&>(report) = std::move(*job);
    return report;
  }
  return std::nullopt;
}

int64_t final_rows(const Counts& counts) { return counts.total() - counts.open(); }

// Rows a second over the last seconds.
class RateMeter {
 public:
  double add(Instant now, int64_t rows) {
    samples_.push_back({now, rows});
    while (samples_.size() > 2 && now - samples_.front().at > kRateWindow) samples_.pop_front();
    const double seconds = to_seconds(now - samples_.front().at);
    if (seconds <= 0) return 0;
    return static_cast<double>(rows - samples_.front().rows) / seconds;
  }

 private:
  struct Sample {
    Instant at;
    int64_t rows;
  };
  std::deque<Sample> samples_;
};

// The line on standard error: rewritten on a terminal, else a new one every few seconds.
class ProgressPrinter {
 public:
  ProgressPrinter() : terminal_(is_terminal(stderr)) {}
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;
  ~ProgressPrinter() {
    if (shown_) std::fputs("\n", stderr);
  }

  void show(Instant now, const JobReport& job) {
    const double rate = meter_.add(now, final_rows(job.counts));
    if (terminal_) {
      const std::string line = progress_line(job, rate, terminal_width() - 1, job.forecast.eta_in);
      std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
      std::fflush(stderr);
      shown_ = true;
    } else if (now >= next_line_) {
      next_line_ = now + kLineInterval;
      std::fprintf(stderr, "sluice: %s\n",
                   progress_line(job, rate, SIZE_MAX, job.forecast.eta_in).c_str());
    }
  }

 private:
  const bool terminal_;
  bool shown_ = false;
  Instant next_line_{};
  RateMeter meter_;
};

}  // namespace

std::string progress_line(const JobStatus& job, double rate, size_t width,
                          std::optional<Duration> eta_in) {
  constexpr int64_t kBar = 20;
  const int64_t total = job.counts.total();
  const int64_t done = final_rows(job.counts);
  std::string line;
  // While the list is taken nobody knows how long it is.
  const bool total_known = job.phase == "sending" || job.phase == "done";
  if (total_known && total > 0) {
    const auto filled = static_cast<size_t>(kBar * done / total);
    line = "[" + std::string(filled, '#') + std::string(kBar - filled, '-') + "] ";
    char share[16];
    std::snprintf(share, sizeof share, "%3d%%  ", static_cast<int>(100 * done / total));
    line += share;
  } else {
    line = job.phase + "  ";
  }
  line += state_words(job.counts);
  if (rate > 0) {
    line += "  " + grouped(static_cast<uint64_t>(rate)) + "/s";
    if (!eta_in && total_known && done < total) {
      const double seconds = std::min(static_cast<double>(total - done) / rate, 1e9);
      eta_in = Duration(static_cast<int64_t>(seconds * 1e9));
    }
  }
  if (eta_in && job.phase != "done") line += "  ETA " + duration_words(*eta_in);
  if (line.size() > width) line.resize(width);
  return line;
}

bool all_delivered(const Counts& counts) {
  return counts[State::kBounced] == 0 && counts[State::kExpired] == 0 &&
         counts[State::kCancelled] == 0 && counts[State::kRejected] == 0;
}

StatusOr<JobStatus> follow_job(Loop& loop, const Places& places, const std::string& id) {
  ProgressPrinter printer;
  bool taken = false;
  pause(loop, Duration(0));
  Instant patience = loop.now() + kTakeTime;
  while (true) {
    std::optional<JobReport> job = look(places, id);
    const Instant now = loop.now();
    if (job) {
      taken = true;
      patience = now + kTakeTime;
      if (job->phase == "failed") return invalid("job " + id + " was refused: " + job->error);
      printer.show(now, *job);
      if (job->phase == "done") return static_cast<JobStatus&&>(*job);
    } else if (now >= patience) {
      const StatusOr<std::string> health = admin_get(places.socket, "/healthz");
      return unavailable(
          "job " + id +
          (taken ? " is in the spool, but nothing is heard of it"
                 : " lies in " + SpoolPaths(places.spool).incoming + ", but nobody takes it") +
          (health.ok() ? "; does the sluice on " + places.socket + " use this spool?"
                       : ": " + message_of(health.status())));
    }
    pause(loop, kLookInterval);
  }
}

}  // namespace sluice::tools
