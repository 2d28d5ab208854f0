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
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/slab.h"
#include "engine/base/strings.h"
#include "engine/connect/tls.h"
#include "engine/record/journal.h"
#include "engine/resolve/resolver.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/shard/delivery.h"
#include "engine/shard/event_follower.h"
#include "engine/shard/job.h"
#include "engine/shard/lane.h"
#include "engine/shard/peers.h"
#include "engine/shard/placement.h"
#include "engine/shard/recorder.h"
#include "engine/shard/rules.h"
#include "engine/shard/segment_indexes.h"
#include "engine/shard/signing_queue.h"
#include "engine/shard/spread.h"
#include "engine/shard/tls_terms.h"
#include "engine/shard/turns.h"

namespace sluice {

class Shard final : public WaitObserver {
 public:
  Shard(Peers& peers, Loop& loop, Lookup& lookup, TlsFactory& tls, resolver_cache::Cache& cache,
        uint32_t number);
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
  // As it was at the start; what a reload may change is in rules() and retry().
  const Configuration& config() const { return peers_.config; }
  Rules& rules() { return rules_; }
  // How many other sets of rules have been in force before.
  uint64_t rules_in_force() const { return rules_in_force_; }
  // The route as it is used for mail: a domain with rules of its own alone is a site of its own.
  RoutePtr placed(std::string_view domain, RoutePtr route) const;
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
  Turns& turns() { return turns_; }
  SigningQueue& signing_queue() { return signing_queue_; }
  Spread& spread() { return spread_; }

  // --- what other shards send
  void register_job(const JobPtr& job);
  void forget_job(JobIndex job);
  // A segment was published: resolve the domains that are at home here.
  void publish(const SegmentPtr& segment, const IndexPtr& index);
  // A domain whose site is owned here: its rows may be sent. With `deferred`, its rows are counted
  // as deferred already.
  void receive_domain(const SegmentPtr& segment, const IndexPtr& index, uint32_t domain,
                      const RoutePtr& route, bool deferred);

  // Rows that the shard of the lane's site gave away.
  void receive_rows(Lane& lane, const GivenRows& given);

  // The sites of the shaping rules' domains are known, or it has taken too long.
  Task<> wait_for_rules() { return rules_.wait(); }

  // --- what the operator says
  // REQUIRES: registered and not forgotten.
  Job& job(JobIndex index) { return *jobs_[index]; }
  const Job* find_job_by_id(std::string_view id) const;
  Job* find_job(JobIndex index) { return index < jobs_.size() ? jobs_[index].get() : nullptr; }
  // All lanes act on the job's flags, which are set already.
  void apply_job_flags(JobIndex job);
  void pause_site(std::string_view site, bool paused);
  // Rows of `segment` that are held here, counted in `from`, are cancelled.
  void cancel_rows(OpenSegment& segment, State from, int64_t count);
  // Rows of a domain that no lane has yet.
  void cancel_domain(const SegmentPtr& segment, const SegmentIndex& index, uint32_t domain,
                     bool deferred);

  // --- segments
  OpenSegment& open_segment(const SegmentPtr& segment);
  OpenSegment* find_segment(uint32_t ref);
  SegmentIndexes& indexes() { return indexes_; }
  // Its index or a block cannot be read: says so, the first time.
  void complain_of(OpenSegment& segment, const Status& why);
  // Before and after each read: its file stays open between them. ResourceExhausted when no
  // descriptor is left, or too many reads are on their way.
  Status begin_read(OpenSegment& segment);
  void end_read(OpenSegment& segment);
  // A row of it is final and durable: releases it.
  void row_done(OpenSegment& segment);
  // Keeps the segment open here; the last release closes and forgets it.
  void hold(OpenSegment& segment, int64_t count) {
    segment.holds += count;
    holds_ += count;
  }
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
  // A lane of the site has no mail left.
  void on_rest(Site& site);
  // Null when there is none.
  Lane* find_lane(std::string_view site, uint32_t source, const LaneTerms& terms);
  Lane& lane_for(const RoutePtr& route, std::string_view domain, uint32_t source,
                 const LaneTerms& terms);
  // Asks for the MTA-STS policy of the lane's domain anew; the lane is told, if it is still there.
  void refresh_terms(const std::string& site, uint32_t source, const LaneTerms& terms);
  TlsFactory& tls() { return tls_; }
  TlsCounts& tls_counts() { return tls_counts_; }
  template <typename Visitor>
  void for_each_lane(Visitor visit) const {
    for (size_t site = 0; site < site_list_.size(); ++site) for_each_lane_at(site, visit);
  }
  // Sites by their place; the place of one stays while sites are held.
  size_t site_count() const { return site_list_.size(); }
  template <typename Visitor>
  void for_each_lane_at(size_t site, Visitor visit) const {
    for (const auto& lane : site_list_[site]->lanes) {
      if (lane) visit(*lane);
    }
  }
  // On the way to the lanes of `site`: what the sites behind it will need is fetched.
  void fetch_sites_behind(size_t site) const;
  // From hold to release no site is forgotten.
  void hold_sites() { ++sites_held_; }
  void release_sites() { --sites_held_; }

  void before_wait() override;
  void after_wait() override;

  // --- for status and resolve
  // What was learnt of the servers of a site that is owned here.
  std::vector<DepthNote> depth_notes(std::string_view site) const;
  // Where TLS did not work lately, in words.
  std::vector<std::string> broken_tls(std::string_view site) const;
  // Rows of a job that are in flight, or answered and not yet synced: those that would be sent
  // again if the process were killed now.
  std::vector<RowPlace> in_flight_rows(std::string_view job_id);

 private:
  struct SiteEntry {
    Site site;
    size_t place = 0;  // in site_list_
    // Those with plain terms by source, null until it has mail; behind them the others.
    std::vector<std::unique_ptr<Lane>> lanes;
  };
  SiteEntry& site_of(const RoutePtr& route, std::string_view domain);
  static Lane* find_lane_of(const SiteEntry& entry, size_t sources, uint32_t source,
                            const LaneTerms& terms);
  Lane& lane_of(SiteEntry& entry, uint32_t source, const LaneTerms& terms);
  Shaped shaped(const Site& site, uint32_t source) const;
  void apply_rules(std::string_view site);
  void forget_rested();
  void close_file(OpenSegment& segment);
  void add_recovered(SiteEntry& entry, OpenSegment& open, const SegmentIndex& index,
                     uint32_t domain, const LaneTerms& terms);
  void wake_connections();
  Task<> run_delivery(Lane& lane, SlabHandle handle);
  Task<> cut_at_deadline();
  Task<> refresh_story(Site& site);
  Task<> refresh_terms_story(std::string site, uint32_t source, LaneTerms terms);
  Task<> drain_story();
  void start_followers();

  Peers& peers_;
  const uint32_t number_;
  Loop& loop_;
  TlsFactory& tls_;
  TlsCounts tls_counts_;
  Resolver resolver_;
  Recorder recorder_;
  Journal journal_;
  Placement placement_;
  Turns turns_;
  SigningQueue signing_queue_;
  Spread spread_;
  Rules rules_;
  uint64_t rules_in_force_ = 0;
  Configuration::Retry retry_;
  std::vector<std::string> paused_sites_;
  std::vector<JobPtr> jobs_;  // by JobIndex; null where this process does not know it yet
  absl::flat_hash_map<uint32_t, std::unique_ptr<OpenSegment>> segments_;
  SegmentIndexes indexes_;
  int64_t holds_ = 0;           // of all segments
  uint32_t segment_files_ = 0;  // open
  uint32_t reads_ = 0;          // of all segments, on their way
  StringMap<std::unique_ptr<SiteEntry>> sites_;
  std::vector<SiteEntry*> site_list_;
  uint32_t sites_held_ = 0;
  std::deque<std::string> resting_;  // names of sites that came to rest, the first first
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
  bool waits_for_dns_ = false;  // since the last wait's end
  Instant last_wait_end_{};
  Instant wait_began_{};
};

}  // namespace sluice
