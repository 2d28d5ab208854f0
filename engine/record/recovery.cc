#include "engine/record/recovery.h"

#include <algorithm>

namespace sluice {

bool SegmentRecovery::mark_final(SegmentRow row) {
  if (is_final(row)) return false;
  if (final_.size() <= row / 64) final_.resize(size_t{row} / 64 + 1);
  final_[row / 64] |= uint64_t{1} << (row % 64);
  ++final_count_;
  return true;
}

void SegmentRecovery::defer(const JournalEntry& entry) {
  if (is_final(entry.row)) return;
  deferred_.push_back({entry.row, entry.attempts, entry.first_at, entry.next_at});
  if (deferred_.size() >= 2 * tidied_ + 64) tidy();
}

// Keeps of each row the entry that holds, and of final rows none.
void SegmentRecovery::tidy() {
  std::erase_if(deferred_, [this](const DeferredRow& due) { return is_final(due.row); });
  std::sort(deferred_.begin(), deferred_.end(), [](const DeferredRow& a, const DeferredRow& b) {
    if (a.row != b.row) return a.row < b.row;
    if (a.attempts != b.attempts) return a.attempts > b.attempts;
    return a.next_at > b.next_at;
  });
  const auto end =
      std::unique(deferred_.begin(), deferred_.end(),
                  [](const DeferredRow& a, const DeferredRow& b) { return a.row == b.row; });
  deferred_.erase(end, deferred_.end());
  tidied_ = deferred_.size();
}

const SegmentRecovery* JobRecovery::segment(SegmentNumber number) const {
  const auto found = segments.find(number);
  return found == segments.end() ? nullptr : &found->second;
}

Recovery::Recovery(const std::vector<std::string>& live_jobs) {
  for (const std::string& job : live_jobs) jobs_.try_emplace(job);
}

Status Recovery::add(const JournalEntry& entry) {
  const auto found = jobs_.find(entry.job);
  if (found == jobs_.end()) return absl::OkStatus();
  JobRecovery& job = found->second;
  if (entry.kind == JournalEntry::Kind::kJobEvent) {
    add_job_event(job, entry);
    return absl::OkStatus();
  }
  if (entry.row >= kSegmentRowsEnd) {
    return io_error("journal: job " + std::string(entry.job) + ", segment " +
                    std::to_string(entry.segment) + ": there can be no row " +
                    std::to_string(entry.row));
  }
  if (entry.session != 0) ++job.attempts;
  if (entry.maybe_delivered) ++job.maybe_delivered;
  if (entry.dns_stale) ++job.stale;
  SegmentRecovery& segment = job.segments[entry.segment];
  if (!is_final(entry.state)) {
    segment.defer(entry);
  } else if (segment.mark_final(entry.row)) {
    ++job.states[static_cast<size_t>(entry.state)];
    if (entry.state == State::kDelivered) job.bytes += static_cast<int64_t>(entry.size);
  } else {
    ++job.final_twice;
  }
  return absl::OkStatus();
}

void Recovery::add_job_event(JobRecovery& job, const JournalEntry& entry) {
  switch (entry.event) {
    case JobEvent::kCancelled:
      job.cancelled = true;
      break;
    case JobEvent::kFinished:
      job.finished = true;
      break;
    case JobEvent::kPaused:
    case JobEvent::kResumed:
      if (entry.at < job.paused_or_resumed_at_) break;
      job.paused_or_resumed_at_ = entry.at;
      job.paused = entry.event == JobEvent::kPaused;
      break;
  }
}

void Recovery::finish() {
  for (auto& [name, job] : jobs_) {
    int64_t deferred = 0;
    for (auto& [number, segment] : job.segments) {
      segment.tidy();
      segment.deferred_.shrink_to_fit();
      deferred += static_cast<int64_t>(segment.deferred_.size());
    }
    job.states[static_cast<size_t>(State::kDeferred)] = deferred;
  }
}

const JobRecovery* Recovery::job(std::string_view job_id) const {
  const auto found = jobs_.find(job_id);
  return found == jobs_.end() ? nullptr : &found->second;
}

}  // namespace sluice
