// The part of Suppressor that is asked, by each shard for its own rows.
#include <utility>

#include "engine/base/log.h"
#include "engine/shard/read_ahead.h"
#include "engine/shard/shard.h"
#include "engine/shard/suppressor.h"

namespace sluice {
namespace {

constexpr Duration kLookAgain = std::chrono::seconds(1);
// A run that is not there has been replaced by a set that is on its way here.
constexpr Duration kSetComes = std::chrono::milliseconds(20);
constexpr uint32_t kSetComesWithin = 50;
constexpr size_t kClearMax = 1UL << 16;

}  // namespace

Task<StatusOr<bool>> runs_hold(HashRunFiles& files, SuppressionSetPtr set,
                               SuppressionSet::Keys keys) {
  for (const HashRunPtr& run : set->runs()) {
    for (const Hash128& key : keys.all()) {
      const StatusOr<bool> there = co_await files.contains(run, key);
      if (!there.ok() || *there) co_return there;
    }
  }
  co_return false;
}

// What outlives the lane's next row.
struct Suppressor::Row {
  Row(Loop& loop, const TakenRow& taken)
      : segment(taken.segment),
        number(taken.number),
        attempts(taken.attempts),
        first_at(taken.first_at),
        address(taken.row.address),
        domain(taken.row.domain),
        files(loop),
        pause(loop) {}

  OpenSegment* segment;
  SegmentRow number;
  uint32_t attempts;
  WallTime first_at;
  Lane* lane = nullptr;
  Instant taken_at{};
  std::string address;
  std::string domain;
  HashRunFiles files;
  Pause pause;
};

SuppressionSet::Answer Suppressor::ask(uint32_t shard, std::string_view address,
                                       std::string_view domain) {
  const View& view = views_[shard];
  const SuppressionSet::Keys keys = view.set->keys_of(address, domain);
  if (keys.count == 0) return SuppressionSet::Answer::kClear;
  SuppressionSet::Keys unsure;
  const SuppressionSet::Answer answer = view.set->ask(keys, unsure);
  if (answer != SuppressionSet::Answer::kUnsure) return answer;
  if (view.clear.contains(suppress_key_of_address(address))) return SuppressionSet::Answer::kClear;
  return answer;
}

Verdict suppressed_verdict() {
  Verdict verdict;
  verdict.state = State::kSuppressed;
  verdict.reply.text = "on a suppression list";
  return verdict;
}

void Suppressor::distrust_runs() {
  (void)home_.peers().post(0, [this] {
    for (const auto& [name, file] : lists_) {
      if (file->run() != nullptr) file->distrust();
    }
  });
}

void Suppressor::look_up(Shard& shard, Lane& lane, const TakenRow& taken) {
  auto row = std::make_unique<Row>(shard.loop(), taken);
  row->lane = &lane;
  row->taken_at = shard.now();
  ++views_[shard.number()].looking;
  lane.expect_record();  // it stays while its row is away
  shard.services().spawn(look_up_row(shard, std::move(row)));
}

Task<> Suppressor::look_up_row(Shard& shard, std::unique_ptr<Row> row) {
  View& view = views_[shard.number()];
  bool is_suppressed = false;
  uint32_t absent = 0;
  while (!shard.draining()) {
    const SuppressionSetPtr set = view.set;
    const SuppressionSet::Keys keys = set->keys_of(row->address, row->domain);
    SuppressionSet::Keys unsure;
    const SuppressionSet::Answer answer = set->ask(keys, unsure);
    is_suppressed = answer == SuppressionSet::Answer::kSuppressed;
    if (answer != SuppressionSet::Answer::kUnsure) break;
    const StatusOr<bool> there = co_await runs_hold(row->files, set, unsure);
    if (there.ok()) {
      is_suppressed = *there;
      if (view.set == set && !*there) {
        if (view.clear.size() >= kClearMax) view.clear.clear();
        view.clear.insert(suppress_key_of_address(row->address));
      }
      if (view.set == set || *there) break;
      continue;
    }
    if (view.set != set) continue;  // its runs are gone with it
    if (absl::IsNotFound(there.status()) && ++absent < kSetComesWithin) {
      co_await row->pause.lasting(kSetComes);
      continue;
    }
    log(LogLevel::kError, "rows wait, for it is not known whether they are suppressed: " +
                              message_of(there.status()) + "; the lists are read anew");
    distrust_runs();
    co_await row->pause.lasting(kLookAgain);
  }
  Verdict verdict;  // kWaiting: it goes back
  Attempt attempt;
  uint32_t attempts = row->attempts + 1;
  if (is_suppressed) {
    verdict = suppressed_verdict();
    attempt.site = row->lane->site().name;
    attempts = row->attempts;
  }
  shard.recorder().record({.segment = row->segment,
                           .number = row->number,
                           .lane = row->lane,
                           .attempts = attempts,
                           .first_at = row->first_at,
                           .taken_at = row->taken_at,
                           .in_flight = true},
                          std::move(verdict), attempt);
  --view.looking;
  row->lane->on_recorded();
  row->lane->nudge();
}

}  // namespace sluice
