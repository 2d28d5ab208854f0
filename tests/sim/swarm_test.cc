// Any mixture of troubles, drawn from the seed: first a while in which everything may fail
// (safety), then a world in order, in which all that is left must come to an end (liveness).
//
// SLUICE_SIM_SEED and SLUICE_SIM_SEEDS in the environment choose the first seed and how many.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kDomains = 10;
constexpr uint32_t kSites = 4;

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What may go wrong in this run.
struct Options {
  explicit Options(Random& random) {
    const auto maybe = [&](uint64_t odds) { return random.below(2) == 0 ? odds : 0; };
    shards = static_cast<uint32_t>(1 + random.below(4));
    rows = static_cast<uint32_t>(20 + random.below(200));
    tiny = random.below(3) == 0;
    bad_rows = random.below(3) == 0;
    piece_max = random.below(2) == 0 ? 1 + random.below(60) : 0;
    window = random.below(4) == 0 ? 300 + random.below(3'000) : 64UL << 10;
    slow = random.below(4) == 0;
    resets = maybe(300);
    refuses = maybe(10);
    defers = maybe(10);
    dot_drops = maybe(20);
    dot_refuses = maybe(30);
    messages_per_line = random.below(3) == 0 ? static_cast<uint32_t>(1 + random.below(10)) : 0;
    lines_max = random.below(3) == 0 ? static_cast<uint32_t>(1 + random.below(3)) : 0;
    unreachable_sites = random.below(3) == 0 ? random.below(kSites + 1) : 0;
    broken_domains = random.below(3) == 0 ? random.below(kDomains + 1) : 0;
    sync_errors = random.below(5) == 0 ? 60 : 0;
    full_disk = random.below(8) == 0;
    crashes = static_cast<int>(random.below(5));
    long_rounds = random.below(4) == 0;
    rate = random.below(4) == 0;
  }
  uint32_t shards, rows;
  bool tiny, bad_rows;
  size_t piece_max, window;
  bool slow;
  uint64_t resets, refuses, defers, dot_drops, dot_refuses;
  uint32_t messages_per_line, lines_max;
  uint64_t unreachable_sites, broken_domains, sync_errors;
  bool full_disk;
  int crashes;
  bool long_rounds, rate;
};

struct Outage {
  Instant at{};
  std::set<std::string> believed;
};

class Swarm {
 public:
  explicit Swarm(uint64_t seed)
      : draw_(seed), options_(draw_), scene_(scene_options(seed, options_)) {}

  std::string run() {
    set_up();
    for (int round = 0; round <= options_.crashes; ++round) {
      scene_.start();
      const Duration longest = options_.long_rounds ? Duration(std::chrono::minutes(40))
                                                    : Duration(std::chrono::milliseconds(900));
      scene_.run_for(scene_.world.between(Duration{}, longest));
      if (round < options_.crashes || options_.sync_errors != 0 || options_.full_disk) cut();
    }
    mend();
    if (!scene_.is_up()) scene_.start();
    const bool done =
        scene_.run_until([this] { return scene_.jobs_are_done() || scene_.a_job_was_refused(); },
                         std::chrono::hours(80));
    if (scene_.a_job_was_refused()) {
      // The disk failed while the job was being checked: nothing of it was sent.
      EXPECT_TRUE(options_.full_disk || sync_failed_);
      EXPECT_TRUE(scene_.times_taken().empty());
      return scene_.world.log();
    }
    EXPECT_TRUE(done) << "invariant 7: not over after 80 hours in a world in order";
    if (done) check();
    return scene_.world.log();
  }

 private:
  static SceneOptions scene_options(uint64_t seed, const Options& options) {
    SceneOptions out;
    out.seed = seed;
    out.shards = options.shards;
    if (options.tiny) out.limits = Limits::tiny();
    if (options.rate) out.shaping = "[\"default\"]\nmax_message_rate = \"50/s\"\n";
    return out;
  }

  static IpAddress host(uint32_t site) { return Scene::address(static_cast<uint8_t>(site + 1)); }
  static std::string mx_line(uint32_t domain) {
    return "example" + std::to_string(domain) + ".test MX 10 mx" + std::to_string(domain % kSites) +
           ".sim\n";
  }

  void set_up() {
    World& world = scene_.world;
    Weather weather;
    weather.piece_max = options_.piece_max;
    weather.window = options_.window;
    if (options_.slow) weather.delay_max = std::chrono::milliseconds(400);
    weather.resets_one_in = options_.resets;
    scene_.network.set_default_weather(weather);
    ReceiverRules rules;
    rules.messages_per_line = options_.messages_per_line;
    rules.lines_max = options_.lines_max;
    rules.rcpt = [this, &world](const std::string&, uint32_t) -> std::string {
      if (world.happens(options_.refuses)) return "550 5.1.1 no such user";
      if (world.happens(options_.defers)) return "451 4.7.1 come back later";
      return "";
    };
    rules.dot = [this, &world](const std::string&) {
      using Dot = ReceiverRules::Dot;
      if (world.happens(options_.dot_drops)) return world.happens(2) ? Dot::kTakeDrop : Dot::kDrop;
      if (world.happens(options_.dot_refuses)) return world.happens(2) ? Dot::kRefuse : Dot::kDefer;
      return Dot::kAnswer;
    };
    for (uint32_t site = 0; site < kSites; ++site) {
      scene_.zones.add("mx" + std::to_string(site) + ".sim A " + to_string(host(site)));
      scene_.receiver(static_cast<uint8_t>(site + 1), rules);
      if (site >= options_.unreachable_sites) continue;
      Weather bad;
      bad.reach = static_cast<Weather::Reach>(1 + world.random().below(3));
      scene_.network.set_weather(host(site), bad);
    }
    for (uint32_t domain = 0; domain < kDomains; ++domain) {
      const bool broken = domain < options_.broken_domains;
      const char* trouble = world.happens(2) ? " SERVFAIL" : " TIMEOUT";
      scene_.zones.add(broken ? "example" + std::to_string(domain) + ".test" + trouble
                              : mx_line(domain));
    }
    scene_.disk->fault = [this, &world](DiskCall call, const std::string&) {
      const bool fails = call == DiskCall::kSync && world.happens(options_.sync_errors);
      sync_failed_ = sync_failed_ || fails;
      return fails ? IoError::kFailed : IoError::kNone;
    };
    if (options_.full_disk) scene_.disk->capacity = 40'000 + world.random().below(60'000);
    scene_.drop_job("news", list());
  }

  std::vector<std::string> list() {
    good_ = recipients_over(options_.rows, kDomains);
    std::vector<std::string> out = good_;
    if (options_.bad_rows) {
      for (int i = 0; i < 7; ++i) out.push_back("no address " + std::to_string(i));
      bad_ = 7;
    }
    scene_.world.random().shuffle(out);
    return out;
  }

  void cut() {
    scene_.crash();
    Outage outage{scene_.world.now(), {}};
    for (const auto& [key, entries] : scene_.ledger().rows) {
      for (const LedgerEntry& entry : entries) {
        if (is_final(entry.state)) outage.believed.insert(entry.recipient);
      }
    }
    outages_.push_back(std::move(outage));
  }

  void mend() {
    scene_.network.set_default_weather(Weather());
    for (uint32_t site = 0; site < kSites; ++site) {
      scene_.network.set_weather(host(site), Weather());
    }
    for (uint32_t domain = 0; domain < options_.broken_domains; ++domain) {
      scene_.zones.remove("example" + std::to_string(domain) + ".test");
      scene_.zones.add(mx_line(domain));
    }
    options_.refuses = options_.defers = options_.dot_drops = options_.dot_refuses = 0;
    options_.sync_errors = 0;
    scene_.disk->capacity = 1UL << 40;
  }

  void check() {
    const JobSummary summary = scene_.summary("news");
    const Counts& counts = summary.counts;
    const auto rows = static_cast<int64_t>(good_.size());
    EXPECT_EQ(counts.total(), rows + bad_);
    EXPECT_EQ(counts[State::kRejected], bad_);
    EXPECT_EQ(counts.open(), 0);
    EXPECT_EQ(counts[State::kDelivered] + counts[State::kBounced] + counts[State::kExpired], rows);
    EXPECT_EQ(scene_.misdirected(), 0U) << "invariant 8";
    const Ledger ledger = scene_.ledger();
    EXPECT_EQ(ledger.final_twice, 0U) << "invariant 1: final twice";
    EXPECT_EQ(ledger.rows.size(), good_.size());
    std::map<std::string, std::vector<Instant>> taken;
    for (const auto& receiver : scene_.receivers()) {
      for (const auto& d : receiver->deliveries()) taken[d.recipient].push_back(d.at);
    }
    for (const auto& [key, entries] : ledger.rows) check_row(entries, taken);
  }

  void check_row(const std::vector<LedgerEntry>& entries,
                 std::map<std::string, std::vector<Instant>>& taken) {
    const std::string& recipient = entries.front().recipient;
    std::vector<Instant>& times = taken[recipient];
    size_t maybe = 0;
    for (const LedgerEntry& entry : entries) maybe += entry.maybe_delivered ? 1U : 0U;
    size_t open_outages = 0;
    for (const Outage& outage : outages_) {
      if (outage.believed.count(recipient) == 0) {
        ++open_outages;
      } else if (!times.empty()) {
        EXPECT_LE(*std::max_element(times.begin(), times.end()), outage.at)
            << "invariant 2: " << recipient << " was durably final and got the mail again";
      }
    }
    EXPECT_LE(times.size(), 1 + maybe + open_outages) << "invariant 2: " << recipient;
    if (entries.back().state == State::kDelivered) {
      EXPECT_FALSE(times.empty()) << "invariant 2: " << recipient << " is lost";
    }
  }

  Random draw_;
  Options options_;
  Scene scene_;
  std::vector<std::string> good_;
  int64_t bad_ = 0;
  bool sync_failed_ = false;
  std::vector<Outage> outages_;
};

TEST(Swarm, AnyMixtureOfTroubles) {
  const uint64_t first = number_from_environment("SLUICE_SIM_SEED", 1);
  const uint64_t count = number_from_environment("SLUICE_SIM_SEEDS", 25);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string log = Swarm(seed).run();
    if (HasFailure() && count == 1) puts(log.c_str());
    if (HasFailure()) return;
  }
}

// Invariant 10.
TEST(Swarm, SameSeedSameEvents) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    EXPECT_EQ(Swarm(seed).run(), Swarm(seed).run());
  }
}

}  // namespace
}  // namespace sluice::sim
