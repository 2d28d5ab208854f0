#include "tests/sim/process.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/ring/gate.h"
#include "engine/shard/lane_survey.h"
#include "resolver_cache/cache.h"
#include "tests/sim/tls.h"

namespace sluice::sim {
namespace {

// A drain in limbo ends within so many turns, or something never ends.
constexpr uint64_t kTearDownTurns = 1'000'000;

Task<> keep(Task<Status> task, Status& out, bool& done) {
  out = co_await std::move(task);
  done = true;
}

LoopOptions loop_options(const Limits& limits) {
  return {.frame_bytes_max = limits.frame_bytes_per_shard,
          .mailbox_entries = limits.mailbox_entries,
          .turn_budget = limits.turn_budget};
}

}  // namespace

// What one thread of the engine owns, in the order of its making.
struct Process::Member {
  std::unique_ptr<SimIo> io;
  std::unique_ptr<Loop> loop;
  Gate gate;
  std::unique_ptr<SimLookup> lookup;
  SimTlsFactory tls;
  std::unique_ptr<Shard> shard;
  Status status;  // of the task under way
  bool done = false;
  bool failed = false;  // could not start

  bool is_over() const { return failed || shard->stopped(); }
  ~Member() {
    {
      const Executor::Scope scope(loop->executor());
      shard.reset();
      lookup.reset();
    }
    loop.reset();
  }
};

Process::Process(World& world, Network& network, const Zones& zones, std::shared_ptr<Disk> disk,
                 const Configuration& config, const Limits& limits, Duration turn_cost)
    : world_(&world),
      network_(&network),
      zones_(zones),
      disk_(std::move(disk)),
      turn_cost_(turn_cost),
      order_(world.random().next()),
      peers_(config, limits, std::max(config.engine.shards, 1U), world.now()),
      cache_(std::make_unique<resolver_cache::Cache>(
          cache_options_of(peers_.config, world.random().next()))),
      limbo_(world.random().next()),
      nowhere_(limbo_) {
  make_member();
}

Process::~Process() {
  tear_down();
  const Executor::Scope scope(members_[0]->loop->executor());
  intake_.reset();
}

void Process::make_member() {
  const auto number = static_cast<uint32_t>(members_.size());
  members_.push_back(std::make_unique<Member>());
  Member& member = *members_.back();
  member.io = std::make_unique<SimIo>(*world_, *network_, disk_, order_.next());
  member.io->turn_cost = turn_cost_;
  member.loop = std::make_unique<Loop>(*member.io, loop_options(peers_.limits));
  const Executor::Scope scope(member.loop->executor());
  member.lookup = std::make_unique<SimLookup>(*member.loop, *world_, zones_);
  member.shard =
      std::make_unique<Shard>(peers_, *member.loop, *member.lookup, member.tls, *cache_, number);
  if (number == 0) {
    intake_ = std::make_unique<Intake>(*member.shard);
    status_ = intake_->prepare();
    CHECK(status_.ok());
  }
  begin(member, member.shard->start());
}

void Process::begin(Member& member, Task<Status> task) {
  member.done = false;
  member.gate.spawn(keep(std::move(task), member.status, member.done));
}

// Takes the next step of starting when the one under way has ended.
void Process::go_on() {
  Member& last = phase_ == Phase::kStarting ? *members_.back() : *members_.front();
  if (phase_ == Phase::kStarting && last.done) {
    if (!last.status.ok()) {
      status_ = last.status;
      last.failed = true;
      phase_ = Phase::kFailed;
      return;
    }
    if (members_.size() < peers_.shard_count) return make_member();
    phase_ = Phase::kRecovering;
    const Executor::Scope scope(members_[0]->loop->executor());
    begin(*members_[0], intake_->recover());
  } else if (phase_ == Phase::kRecovering && last.done) {
    status_ = last.status;
    phase_ = Phase::kRunning;
    const Executor::Scope scope(members_[0]->loop->executor());
    if (status_.ok()) last.shard->services().spawn(intake_->watch());
  } else if (phase_ == Phase::kRunning || phase_ == Phase::kFailed) {
    const bool all =
        std::all_of(members_.begin(), members_.end(), [](const auto& m) { return m->is_over(); });
    if (!all) return;
    if (phase_ == Phase::kFailed) {
      phase_ = Phase::kStopped;
      return;
    }
    phase_ = Phase::kSaving;
    const Executor::Scope scope(members_[0]->loop->executor());
    begin(*members_[0], intake_->save_limits());
  } else if (phase_ == Phase::kSaving && members_[0]->done) {
    phase_ = Phase::kStopped;
  }
}

bool Process::can_run(const Member& member) const {
  return member.io->ready() || member.loop->executor().has_ready() ||
         !member.loop->mailbox().empty() || member.loop->timers().next_wake() <= world_->now();
}

bool Process::step() {
  std::vector<Member*> able;
  for (const auto& member : members_) {
    if (can_run(*member)) able.push_back(member.get());
  }
  if (able.empty()) return false;
  Member& member = *able[order_.below(able.size())];
  ++turns_;
  member.shard->turn();
  if (member.shard->number() == 0 && member.shard->draining()) {
    const Executor::Scope scope(member.loop->executor());
    intake_->stop();
  }
  // A thread that blocks has told the cache so.
  if (!can_run(member)) member.shard->before_wait();
  go_on();
  return true;
}

Instant Process::next_wake() const {
  Instant wake = kForever;
  for (const auto& member : members_) wake = std::min(wake, member->loop->timers().next_wake());
  return wake;
}

void Process::drain(Duration timeout) {
  for (const auto& member : members_) {
    if (member->failed) continue;
    const Executor::Scope scope(member->loop->executor());
    member->shard->drain(world_->now() + timeout);
  }
  go_on();
}

void Process::reload(const ShapingRules& shaping, const Configuration::Retry& retry) {
  for (const auto& member : members_) {
    if (member->failed) continue;
    const Executor::Scope scope(member->loop->executor());
    member->shard->reload(shaping, retry);
  }
}

std::vector<JobStatus> Process::jobs() const {
  return intake_ && phase_ == Phase::kRunning ? intake_->status() : std::vector<JobStatus>();
}

void Process::command(const std::string& name, JobEvent event) {
  const Executor::Scope scope(members_[0]->loop->executor());
  for (const JobStatus& job : jobs()) {
    if (job.name != name) continue;
    intake_->command(job.id, event, [this](const Status& status) {
      if (!status.ok()) world_->note("refused: " + message_of(status));
    });
  }
}

std::vector<LaneStatus> Process::lanes() const {
  std::vector<LaneStatus> out;
  for (const auto& member : members_) {
    if (member->failed) continue;
    LaneSurvey survey(*member->shard);
    while (survey.next()) continue;
    for (LaneStatus& lane : survey.take()) out.push_back(std::move(lane));
  }
  return out;
}

void Process::tear_down() {
  if (phase_ != Phase::kStopped) {
    limbo_.advance_to(world_->now());
    for (const auto& member : members_) member->io->sever(limbo_, nowhere_);
    world_ = &limbo_;
    network_ = &nowhere_;
  }
  bool asked = false;
  for (uint64_t turn = 0; phase_ != Phase::kStopped; ++turn) {
    CHECK(turn < kTearDownTurns);
    const bool is_made = phase_ == Phase::kRunning || phase_ == Phase::kFailed;
    if (is_made && !std::exchange(asked, true)) drain(Duration{});
    if (phase_ == Phase::kStopped) break;
    if (step() || limbo_.run_due()) continue;
    const Instant next = std::min(limbo_.next_event(), next_wake());
    CHECK(next != kForever);
    limbo_.advance_to(next);
  }
  // Lets the last frames go.
  while (step()) {
  }
}

}  // namespace sluice::sim
