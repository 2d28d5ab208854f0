// What is known of an exchanger: how many messages may be in flight to it, and why.
//
// PURPOSE. RFC 3030 §2 speaks of BDAT after the replies to MAIL and RCPT; sending it before saves
// every round trip, and is safe only with a server that swallows a chunk that it refuses. So blind
// flights are earned: so many messages (100) that were answered in step, then the probe (Dialog),
// once for each server that answers at an exchanger, told apart by its own name and banner. Then
// the window opens: two messages, doubled as often as so many were answered, up to max_in_flight;
// halved when a connection breaks in flight, and opened more slowly from then on. Replies that did
// not belong to their commands: one message at a time, by DATA, for a day.
//
// OWNERSHIP. DepthTable shares its entries with the connections that use them. Pure: no clock.
// THREAD. One shard's. ERRORS. None. LIMITS. kServersMax servers a table; the one that was asked
// for longest ago is forgotten, and begins anew. BUGS. Forgotten when the process ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/converse/dialog.h"
#include "engine/model/policy.h"

namespace sluice {

class Depth {
 public:
  static constexpr uint32_t kFirstWindow = 2;
  // After a connection broke, so many windows must fit before it is doubled.
  static constexpr uint32_t kSlowly = 16;
  static constexpr Duration kOutOfStepFor = std::chrono::hours(24);

  // `proof`: messages that must have been answered in step before it is probed.
  explicit Depth(uint32_t proof) : proof_(proof) {}

  // How far a dialog with it may go now.
  DialogDepth plan(const SitePolicy& policy, Instant now) const;
  // The same in words: "2 of 16 in flight, blind: passed the probe, 120 answered in step".
  std::string words(const SitePolicy& policy, Instant now) const;

  // So many more contents were answered in step.
  void on_fitted(uint32_t count, const SitePolicy& policy);
  void on_probe(Probe probe);
  // A connection broke with contents unanswered.
  void on_broken(const SitePolicy& policy);
  // It counts what is refused on a connection, and ends that: so many may be in flight, no more.
  void on_worn_out() { few_refusals_ = true; }
  // It says the same to every command: only DATA's 354 shows that its replies are in step.
  void on_terse() { terse_ = true; }
  void on_desynchronised(Instant now, std::string_view why);

 private:
  const uint32_t proof_;

  bool is_out_of_step(Instant now) const { return now < out_of_step_until_; }
  uint32_t window(const SitePolicy& policy) const;

  Probe probe_ = Probe::kNotMade;
  uint64_t fitted_ = 0;
  uint32_t window_ = 0;  // 0: not opened yet
  uint64_t grown_ = 0;   // fitted since the window was last set
  uint32_t broken_ = 0;
  bool few_refusals_ = false;
  bool terse_ = false;
  Instant out_of_step_until_{};
  std::string out_of_step_;
};

// Of one server, for people.
struct DepthNote {
  std::string exchanger;
  std::string server;  // who it says it is
  std::string words;
};

class DepthTable {
 public:
  static constexpr size_t kServersMax = 64;

  explicit DepthTable(uint32_t proof) : proof_(proof) {}

  // Of the server that calls itself `identity` at `exchanger`; made when there is none.
  std::shared_ptr<Depth> find(std::string_view exchanger, std::string_view identity);

  // The one that was asked for last stands last.
  std::vector<DepthNote> notes(const SitePolicy& policy, Instant now) const;

 private:
  struct Server {
    std::string exchanger;
    std::string identity;
    std::shared_ptr<Depth> depth;
  };
  const uint32_t proof_;
  std::vector<Server> servers_;  // the one that was asked for last stands last
};

}  // namespace sluice
