// One core's share of the engine: owns everything of that core.
//
// PURPOSE. Puts the rooms together: loop, resolver, journal, the sites that this shard owns with
// their lanes and connections, the segments that it reads.
// HOW IT RUNS. Made on its thread; start(); then turn() until stopped(). In the simulation several
// shards live on one thread and take turns.
// OWNERSHIP. Loop, Lookup, cache and Peers outlive it.
// THREAD. Its own; others reach it through Peers::post().
// ERRORS. start() says what the spool or the machine lacks. Later trouble becomes verdicts, log
// lines, or halts sending.
// LIMITS. Limits; connections: its share of [engine] max_connections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/slab.h"
#include "engine/base/strings.h"
#include "engine/record/journal.h"
#include "engine/resolve/resolver.h"
#include "engine/ring/crowd.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/shard/delivery.h"
#include "engine/shard/event_follower.h"
#include "engine/shard/job.h"
#include "engine/shard/lane.h"
#include "engine/shard/peers.h"
#include "engine/shard/placement.h"
#include "engine/shard/recorder.h"

namespace sluice {

class Shard final : public WaitObserver {
 public:
  Shard(Peers& peers, Loop& loop, Lookup& lookup, resolver_cache::Cache& cache, uint32_t number);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  // REQUIRES: stopped(), or start() failed.
  ~Shard() override;

  // Opens the journal and starts the services. Awaited once, before the first segment comes.
  Task<Status> start();
  // One turn; waits at most until `until`.
  void turn(Instant until = kForever) { loop_.turn(until); }

  uint32_t number() const { return number_; }
  Peers& peers() { return peers_; }
  // As it was at the start; what a reload may change is in shaping() and retry().
  const Configuration& config() const { return peers_.config; }
  const ShapingRules& shaping() const { return shaping_; }
  const Configuration::Retry& retry() const { return retry_; }
  // Puts other rules in force, once their domains' sites are known. Takes copies.
  void reload(ShapingRules shaping, Configuration::Retry retry);
  const Limits& limits() const { return peers_.limits; }
  Loop& loop() { return loop_; }
  Io& io() { return loop_.io(); }
  Instant now() const { return loop_.now(); }
  WallTime wall_now() { return loop_.io().wall_now(); }
  Resolver& resolver() { return resolver_; }
  Journal& journal() { return journal_; }
  Recorder& recorder() { return recorder_; }
  Gate& services() { return services_; }

  // --- what other shards send
  void register_job(const JobPtr& job);
  void forget_job(JobIndex job);
  // A segment was published: resolve the domains that are at home here.
  void publish(const SegmentPtr& segment);
  // A domain whose site is owned here: its rows may be sent. With `deferred`, its rows are counted
  // as deferred already.
  void receive_domain(const SegmentPtr& segment, uint32_t domain, const RoutePtr& route,
                      bool deferred);

  // The sites of the shaping rules' domains are known, or it has taken too long.
  Task<> wait_for_rules();

  // --- what the operator says
  // REQUIRES: registered and not forgotten.
  Job& job(JobIndex index) { return *jobs_[index]; }
  Job* find_job(JobIndex index) { return index < jobs_.size() ? jobs_[index].get() : nullptr; }
  // All lanes act on the job's flags, which are set already.
  void apply_job_flags(JobIndex job);
  void pause_site(std::string_view site, bool paused);
  // Rows of `segment` that are held here, counted in `from`, are cancelled.
  void cancel_rows(OpenSegment& segment, State from, int64_t count);
  // Rows of a domain that no lane has yet.
  void cancel_domain(const SegmentPtr& segment, uint32_t domain, bool deferred);

  // --- segments
  OpenSegment& open_segment(const SegmentPtr& segment);
  OpenSegment* find_segment(uint32_t ref);
  // Before and after each read: its file stays open between them. ResourceExhausted when no
  // descriptor is left, or too many reads are on their way.
  Status begin_read(OpenSegment& segment);
  void end_read(OpenSegment& segment);
  // A row of it is final and durable: releases it.
  void row_done(OpenSegment& segment);
  // Keeps the segment open here; the last release closes and forgets it.
  void hold(OpenSegment& segment, int64_t count) { segment.holds += count; }
  void release(OpenSegment& segment);
  // Asks for the site's route anew; the old one serves until the answer is there.
  void refresh_route(Site& site);

  // --- connections
  // Null when the shard's share of connections is used up.
  Connection* make_connection(SlabHandle* handle);
  // Starts the story of a connection.
  void spawn_delivery(Lane& lane, SlabHandle handle);
  // Some lane waits for one: a connection without mail ends at once.
  bool connections_wanted() const { return connections_wanted_; }
  std::unique_ptr<MessageBuffer> take_buffer();
  void return_buffer(std::unique_ptr<MessageBuffer> buffer);
  uint64_t next_session() { return ++sessions_ << 8 | number_; }

  // --- the end
  // Takes nothing new; connections end after what is in flight, at `deadline` at the latest.
  void drain(Instant deadline);
  bool draining() const { return draining_; }
  // The drain's deadline has passed: give up what is in flight.
  bool cutting() const { return cutting_; }
  bool stopped() const { return stopped_; }
  // Nothing is sent any more: the journal cannot be written.
  bool halted() const { return peers_.halted.load(std::memory_order_relaxed); }
  void halt();

  void nudge_lanes();

  void before_wait() override;
  void after_wait() override;

  // --- for status
  struct SiteStatus {
    std::string site;
    std::string source;
    uint64_t rows_waiting = 0;
    uint32_t connections = 0;
    std::string last_failure;
  };
  std::vector<SiteStatus> site_status() const;
  // Rows of a job that are in flight, or answered and not yet synced: those that would be sent
  // again if the process were killed now.
  std::vector<RowPlace> in_flight_rows(std::string_view job_id);

 private:
  struct SiteEntry {
    Site site;
    std::vector<std::unique_ptr<Lane>> lanes;  // by source; null until it has mail
  };
  SiteEntry& site_of(const RoutePtr& route, std::string_view domain);
  Lane& lane_of(SiteEntry& entry, uint32_t source);
  void apply_rules(SiteEntry& entry);
  void close_file(OpenSegment& segment);
  void add_recovered(SiteEntry& entry, OpenSegment& open, uint32_t domain);
  void wake_connections();
  Task<> learn_rule_sites();
  Task<> reload_story(ShapingRules shaping, Configuration::Retry retry);
  Task<> run_delivery(Lane& lane, SlabHandle handle);
  Task<> cut_at_deadline();
  Task<> refresh_story(Site& site);
  Task<> drain_story();
  void start_followers();

  Peers& peers_;
  const uint32_t number_;
  Loop& loop_;
  Resolver resolver_;
  Recorder recorder_;
  Journal journal_;
  Placement placement_;
  ShapingRules shaping_;
  Configuration::Retry retry_;
  uint32_t reloads_ = 0;
  std::vector<std::string> rule_sites_;  // of each shaping rule's domain; empty: not known
  Crowd rules_known_;
  bool rules_learnt_ = false;
  std::vector<std::string> paused_sites_;
  std::vector<JobPtr> jobs_;  // by JobIndex; null where this process does not know it yet
  absl::flat_hash_map<uint32_t, std::unique_ptr<OpenSegment>> segments_;
  uint32_t segment_files_ = 0;  // open
  uint32_t reads_ = 0;          // of all segments, on their way
  StringMap<std::unique_ptr<SiteEntry>> sites_;
  std::vector<SiteEntry*> site_list_;  // in the order of their making
  Slab<Connection> connections_;
  bool connections_wanted_ = false;  // a lane asked in vain
  size_t nudge_from_ = 0;            // the site that is nudged first
  std::vector<std::unique_ptr<MessageBuffer>> spare_buffers_;
  uint64_t sessions_ = 0;
  Gate services_;
  Gate deliveries_;
  Gate stories_;
  std::vector<std::unique_ptr<EventFollower>> followers_;
  Gate followings_;
  Pause drain_pause_;
  Instant drain_deadline_{};
  bool draining_ = false;
  bool cutting_ = false;
  bool stopped_ = false;
};

}  // namespace sluice
