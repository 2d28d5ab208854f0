#include "tests/sim/swarm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/sim/scene.h"
#include "tests/sim/swarm_options.h"

namespace sluice::sim {
namespace {

// No message of theirs is signed by it, but turns are taken as if.
constexpr std::string_view kAnothersKey =
    "[[dkim]]\ndomain = \"another.sim\"\nselector = \"s\"\nkey = \"another.pem\"\n";
constexpr uint32_t kDomains = 10;
constexpr uint32_t kSites = 4;
constexpr Duration kGreylisted = std::chrono::minutes(10);
// Refusals of the sender that a lane believes.
constexpr uint32_t kBelievedRefusals = 19;
constexpr Duration kLongestTail = std::chrono::hours(100);
constexpr Rate kRate{50, std::chrono::seconds(1), 1};
constexpr Rate kProviderRate{40, std::chrono::seconds(1), 1};
constexpr Rate kDialRate{10, std::chrono::seconds(1), 1};
constexpr Rate kJobRate{60, std::chrono::seconds(1), 1};

constexpr const char* kSources =
    "[[source]]\nname = \"a\"\naddress = [\"198.51.100.11\"]\nhello = \"a.sim\"\n"
    "[[source]]\nname = \"b\"\naddress = [\"198.51.100.12\"]\nhello = \"b.sim\"\n";

// The domain that has a rule of its own about TLS.
constexpr uint32_t kRuledDomain = 6;

std::string domain_name(uint32_t domain) { return "example" + std::to_string(domain) + ".test"; }
IpAddress host(uint32_t site) { return Scene::address(static_cast<uint8_t>(site + 1)); }

class Swarm {
 public:
  explicit Swarm(uint64_t seed)
      : draw_(seed), options_(draw_), scene_(scene_options(seed, options_)) {}

  SwarmResult run() {
    set_up();
    const Instant began = scene_.world.now();
    for (uint32_t round = 0; round <= options_.rounds && !broken(); ++round) {
      scene_.start();
      play_round(round == options_.rounds);
    }
    if (!broken()) finish();
    return {scene_.world.log(), scene_.world.now() - began};
  }

 private:
  bool broken() const { return scene_.witness.broken(); }

  static std::string shaping(const SwarmOptions& options) {
    std::string rules = "[\"default\"]\n";
    const auto set = [&rules](const std::string& key, const std::string& value) {
      rules += key + " = " + value + "\n";
    };
    const std::string burst =
        options.burst == 0 ? "" : ",max_burst=" + std::to_string(options.burst);
    if (options.rate) set("max_message_rate", "\"50/s" + burst + "\"");
    if (options.dial_rate) set("max_connection_rate", "\"10/s\"");
    if (options.trusts_chunks) set("blind_chunking", "\"trusted\"");
    if (options.connections != 0) set("connection_limit", std::to_string(options.connections));
    if (options.deliveries != 0) {
      set("max_deliveries_per_connection", std::to_string(options.deliveries));
    }
    if (options.tls_rule) {
      rules += "[\"" + domain_name(kRuledDomain) + "\"]\nmx_rollup = false\n";
      set("enable_tls", rule_word(*options.tls_rule));
    }
    if (options.provider_sites == 0) return rules;
    rules += "[provider.\"large\"]\nmatch = [";
    for (uint32_t site = 0; site < options.provider_sites; ++site) {
      rules += "{HostName = \"mx" + std::to_string(site) + ".sim\"}, ";
    }
    rules += "]\n";
    if (options.provider_rate) set("provider_max_message_rate", "\"40/s\"");
    if (options.provider_connections != 0) {
      set("provider_connection_limit", std::to_string(options.provider_connections));
    }
    return rules;
  }

  static std::string rule_word(TlsPolicy policy) {
    static constexpr const char* kWords[] = {"\"Disabled\"", "\"OpportunisticInsecure\"",
                                             "\"Opportunistic\"", "\"RequiredInsecure\"",
                                             "\"Required\""};
    return kWords[static_cast<size_t>(policy)];
  }

  static SceneOptions scene_options(uint64_t seed, const SwarmOptions& options) {
    SceneOptions out;
    out.seed = seed;
    out.shards = options.shards;
    if (options.tiny) out.limits = Limits::tiny();
    if (options.two_sources) out.config = kSources;
    if (options.signs_in_turns) out.config += kAnothersKey;
    if (options.tls_policy) {
      out.config += std::string("[tls]\npolicy = \"") + name_of(*options.tls_policy) + "\"\n";
    }
    out.shaping = shaping(options);
    out.turn_cost = options.turn_cost;
    return out;
  }

  // --- the world -------------------------------------------------------------------------------

  void set_up() {
    set_weather();
    set_receivers();
    set_names();
    set_disk();
    set_limits();
    set_tls();
    scene_.drop_job("news", list(), send_lines(),
                    options_.duplicates != 0 ? "dedupe = true\n" : "");
    if (options_.second_rows != 0) {
      scene_.drop_job(
          "second", second_list(),
          send_lines() + "[tls]\npolicy = \"" + name_of(options_.second_policy) + "\"\n");
    }
  }

  static Certificate certificate(uint32_t site, bool trusted, bool right_name) {
    return {"mx" + std::to_string(right_name ? site : site + kSites) + ".sim", trusted, ""};
  }

  void set_tls() {
    for (uint32_t site = 0; site < kSites; ++site) {
      const SwarmOptions::SiteTls& drawn = options_.tls_sites[site];
      scene_.receivers()[site]->rules.tls = {
          .manner = drawn.manner,
          .certificate = certificate(site, drawn.trusted, drawn.right_name),
          .is_wanted = options_.wants_tls,
          .hides_one_in = options_.hides_tls,
          .fails_one_in = options_.fails_tls};
      scene_.witness.allowed.tls.names[host(site)] = "mx" + std::to_string(site) + ".sim";
    }
    AllowedTls& tls = scene_.witness.allowed.tls;
    tls.policy = options_.tls_policy.value_or(TlsPolicy::kOpportunistic);
    if (options_.tls_rule) tls.by_domain[domain_name(kRuledDomain)] = *options_.tls_rule;
    if (options_.second_rows != 0) tls.by_job["second"] = options_.second_policy;
  }

  void rotate_certificates() {
    for (uint32_t site = 0; site < kSites; ++site) {
      Certificate& mine = scene_.receivers()[site]->rules.tls.certificate;
      const bool was_good = mine.trusted && mine.name == certificate(site, true, true).name;
      mine = certificate(site, !was_good, true);
    }
  }

  void set_weather() {
    Weather weather;
    weather.piece_max = options_.piece_max;
    weather.window = options_.window;
    if (options_.slow) weather.delay_max = std::chrono::milliseconds(400);
    weather.resets_one_in = options_.resets;
    scene_.network.set_default_weather(weather);
    if (options_.ports != 0) scene_.network.ports_max = options_.ports;
    for (uint32_t site = 0; site < options_.unreachable_sites; ++site) {
      Weather bad = weather;
      bad.reach = static_cast<Weather::Reach>(1 + scene_.world.random().below(3));
      scene_.network.set_weather(host(site), bad);
    }
  }

  void set_receivers() {
    for (uint32_t site = 0; site < kSites; ++site) {
      ReceiverRules rules;
      rules.pipelining = options_.pipelining;
      rules.chunks = options_.chunks;
      rules.manner = options_.manner;
      rules.messages_per_line = options_.messages_per_line;
      rules.lines_max = options_.lines_max;
      rules.refuses_size = options_.refuses_size;
      rules.drops_group = options_.drops_group;
      rules.no_ehlo = options_.no_ehlo;
      rules.rcpt = [this](const std::string& recipient, uint32_t) { return judge(recipient); };
      rules.mail = [this, site](uint32_t accepted) { return judge_sender(site, accepted); };
      rules.dot = [this](const std::string&) { return end_of_content(); };
      rules.trick = [this] {
        return scene_.world.happens(options_.tricks)
                   ? static_cast<Trick>(1 + scene_.world.random().below(6))
                   : Trick::kNone;
      };
      scene_.receiver(static_cast<uint8_t>(site + 1), rules);
    }
  }

  std::string judge(const std::string& recipient) {
    World& world = scene_.world;
    if (options_.every_nth != 0 && ++asked_ % options_.every_nth == 0) {
      return "550 5.1.1 no such user";
    }
    if (world.happens(options_.refuses)) return "550 5.1.1 no such user";
    if (world.happens(options_.defers)) return "451 4.7.1 come back later";
    if (!options_.greylists) return "";
    const Instant since = first_seen_.emplace(recipient, world.now()).first->second;
    return world.now() - since < kGreylisted ? "450 4.7.1 greylisted" : "";
  }

  std::string judge_sender(uint32_t site, uint32_t accepted) const {
    if (site < options_.sites_that_refuse_us) return "550 5.7.1 not from you";
    if (options_.deferred_after != 0 && accepted >= options_.deferred_after) {
      return "452 4.3.2 enough for now";
    }
    return "";
  }

  ReceiverRules::Dot end_of_content() {
    using Dot = ReceiverRules::Dot;
    World& world = scene_.world;
    if (world.happens(options_.dot_drops)) {
      static constexpr Dot kEnds[] = {Dot::kTakeDrop, Dot::kTakeClose, Dot::kDrop};
      return kEnds[world.random().below(3)];
    }
    if (world.happens(options_.dot_refuses)) return world.happens(2) ? Dot::kRefuse : Dot::kDefer;
    return Dot::kAnswer;
  }

  std::string good_lines(uint32_t domain) const {
    const std::string ttl = options_.short_ttl ? (domain % 2 == 0 ? " 0" : " 30") : "";
    return domain_name(domain) + ttl + " MX 10 mx" + std::to_string(domain % kSites) + ".sim\n";
  }

  std::string broken_lines(uint32_t domain) {
    static constexpr const char* kTroubles[] = {"SERVFAIL", "TIMEOUT",  "REFUSED", "TRUNCATED",
                                                "NODATA",   "NXDOMAIN", "MX 0 ."};
    const std::string name = domain_name(domain);
    const uint64_t which = scene_.world.random().below(std::size(kTroubles) + 2);
    // An exchanger whose address cannot be asked for.
    if (which == std::size(kTroubles)) {
      return name + " MX 10 mx." + name + "\nmx." + name + " A SERVFAIL\n";
    }
    const bool is_loop = which > std::size(kTroubles);
    const std::string trouble = is_loop ? "CNAME " + name : kTroubles[which];
    if (is_loop || which >= 4) scene_.witness.allowed.bounced_by_dns.insert(name);
    return name + " " + trouble + "\n";
  }

  void set_names() {
    for (uint32_t site = 0; site < kSites; ++site) {
      scene_.zones.add("mx" + std::to_string(site) + ".sim A " + to_string(host(site)));
    }
    for (uint32_t domain = 0; domain < kDomains; ++domain) {
      scene_.zones.add(domain < options_.broken_domains ? broken_lines(domain)
                                                        : good_lines(domain));
      scene_.witness.allowed.exchangers[domain_name(domain)] = {host(domain % kSites)};
    }
    scene_.zones.all_down = options_.dns_goes_down;
  }

  void set_disk() {
    scene_.disk->fault = [this](DiskCall call, const std::string&) {
      const bool fails = call == DiskCall::kSync && scene_.world.happens(options_.sync_errors);
      sync_failed_ = sync_failed_ || fails;
      return fails ? IoError::kFailed : IoError::kNone;
    };
    if (options_.slow_sync) scene_.disk->sync_max = std::chrono::seconds(2);
    if (options_.full_disk) scene_.disk->capacity = 40'000 + scene_.world.random().below(60'000);
  }

  void set_limits() {
    Allowed& allowed = scene_.witness.allowed;
    const uint32_t connections = options_.connections != 0 ? options_.connections : 20;
    allowed.messages_per_line = options_.deliveries != 0 ? options_.deliveries : 1'000;
    // Each lane to an exchanger believes so many.
    const uint32_t lanes = (options_.tls_rule ? 2 : 1) * (options_.second_rows != 0 ? 2 : 1);
    allowed.sender_bounces = kBelievedRefusals * lanes;
    if (options_.short_lifetime) allowed.lifetime = std::chrono::hours(2);
    if (options_.two_sources) {
      allowed.sources = {{"a.sim", *parse_ip("198.51.100.11")},
                         {"b.sim", *parse_ip("198.51.100.12")}};
    }
    // An exchanger of two sites has the limits of both.
    const uint32_t sites = options_.tls_rule ? 2 : 1;
    const auto shared = [sites](Rate rate) {
      rate.amount *= sites;
      rate.burst *= sites;
      return rate;
    };
    AllowedScope& site = allowed.limits.site;
    site.connections = connections * sites;
    if (options_.dial_rate) site.dial_rate = shared(kDialRate);
    AllowedScope provider;
    for (uint32_t mx = 0; mx < options_.provider_sites; ++mx) provider.exchangers.insert(host(mx));
    provider.connections = options_.provider_connections;
    // A message that was held up arrives together with the next: each connection may hold two.
    if (!options_.slow && !options_.refuses_size && options_.tricks == 0 &&
        options_.manner != Manner::kTarpit) {
      const uint32_t sources = options_.two_sources ? 2 : 1;
      if (options_.rate) {
        Rate rate = kRate;
        if (options_.burst != 0) rate.burst = options_.burst;
        site.rate = shared(rate);
      }
      if (options_.provider_rate) provider.rate = kProviderRate;
      site.bunched = 2 * site.connections;
      provider.bunched = site.bunched * options_.provider_sites;
      if (options_.job_rate) {
        allowed.limits.jobs["news"] = {kJobRate, site.bunched * kSites * sources};
      }
    }
    if (options_.provider_sites != 0) allowed.limits.providers.push_back(provider);
  }

  std::string send_lines() const {
    std::string lines;
    if (options_.short_lifetime) lines += "lifetime = \"2h\"\n";
    if (options_.job_rate) lines += "rate = \"60/s\"\n";
    return lines;
  }

  std::vector<std::string> list() {
    good_ = recipients_over(options_.rows, kDomains);
    for (uint32_t i = 0; i < options_.large_site; ++i) {
      good_.push_back("large" + std::to_string(i) + "@" + domain_name(0));
    }
    std::vector<std::string> out = good_;
    for (uint32_t i = 0; i < options_.bad_rows; ++i) {
      out.push_back("no address " + std::to_string(i));
    }
    for (uint32_t i = 0; i < options_.duplicates; ++i) {
      out.push_back(good_[scene_.world.random().below(good_.size())]);
    }
    scene_.world.random().shuffle(out);
    return out;
  }

  std::vector<std::string> second_list() {
    for (uint32_t i = 0; i < options_.second_rows; ++i) {
      second_.push_back("second" + std::to_string(i) + "@" + domain_name(i % kDomains));
    }
    return second_;
  }

  // --- what happens ------------------------------------------------------------------------------

  void play_round(bool last) {
    World& world = scene_.world;
    const Duration longest = options_.long_rounds ? Duration(std::chrono::minutes(90))
                                                  : Duration(std::chrono::milliseconds(900));
    const Duration length = world.between(Duration{}, longest);
    scene_.run_for(length / 2);
    if (options_.rotates_tls) rotate_certificates();
    if (options_.reloads && scene_.process().running()) scene_.reload();
    scene_.zones.all_down = false;
    scene_.run_for(length - length / 2);
    if (broken() || (last && options_.sync_errors == 0 && !options_.full_disk)) return;
    if (options_.drains && scene_.process().running() && !scene_.process().halted()) {
      scene_.drain(std::chrono::seconds(30));
    } else {
      scene_.crash();
    }
  }

  // A world in order.
  void mend() {
    scene_.network.set_default_weather(Weather());
    scene_.network.ports_max = 28'000;
    for (uint32_t site = 0; site < kSites; ++site) {
      scene_.network.set_weather(host(site), Weather());
    }
    for (uint32_t domain = 0; domain < options_.broken_domains; ++domain) {
      scene_.zones.remove(domain_name(domain));
      scene_.zones.add(good_lines(domain));
    }
    options_.refuses = options_.defers = options_.dot_drops = options_.dot_refuses = 0;
    options_.tricks = options_.sync_errors = 0;
    options_.every_nth = options_.deferred_after = options_.sites_that_refuse_us = 0;
    options_.greylists = false;
    for (const auto& receiver : scene_.receivers()) {
      receiver->rules.manner = Manner::kPlain;
      receiver->rules.drops_group = receiver->rules.refuses_size = receiver->rules.no_ehlo = false;
      receiver->rules.lines_max = receiver->rules.messages_per_line = 0;
    }
    if (options_.tls) mend_tls();
    scene_.disk->capacity = 1UL << 40;
    scene_.disk->sync_max = std::chrono::milliseconds(8);
  }

  // What must be encrypted, or verified, can be.
  void mend_tls() {
    for (uint32_t site = 0; site < kSites; ++site) {
      TlsRules& tls = scene_.receivers()[site]->rules.tls;
      tls = {.manner = TlsManner::kGood,
             .certificate = certificate(site, true, true),
             .is_wanted = tls.is_wanted};
    }
  }

  void finish() {
    mend();
    if (!scene_.is_up()) scene_.start();
    scene_.run_until([this] { return scene_.jobs_are_done() || scene_.a_job_was_refused(); },
                     kLongestTail);
    if (broken()) return;
    if (scene_.a_job_was_refused()) {
      // The disk failed while the job was being checked: nothing of it was sent.
      EXPECT_TRUE(options_.full_disk || sync_failed_);
      EXPECT_TRUE(scene_.times_taken().empty());
      return;
    }
    if (!scene_.jobs_are_done()) {
      return scene_.witness.violate(7, "not over after 100 hours in a world in order");
    }
    check_summaries();
    // Events are told and connections are gone a moment later.
    scene_.run_for(std::chrono::minutes(11));
    if (scene_.network.lines_open() != 0) {
      scene_.witness.violate(7, "a connection stays open with no mail left");
    }
    scene_.witness.check_events(*scene_.disk, std::string(Scene::kSpool) + "/record");
    if (!broken()) scene_.drain(std::chrono::seconds(30));
  }

  void check_summaries() {
    check_summary("news", good_.size(), options_.bad_rows, options_.duplicates);
    if (options_.second_rows != 0) check_summary("second", second_.size(), 0, 0);
    const Ledger ledger = scene_.ledger();
    EXPECT_EQ(ledger.final_twice, 0U) << "invariant 1: final twice";
    EXPECT_EQ(ledger.rows.size(), good_.size() + second_.size()) << "invariant 1";
  }

  void check_summary(const std::string& job, size_t good, uint32_t bad, uint32_t duplicates) {
    const Counts counts = scene_.summary(job).counts;
    EXPECT_EQ(counts.total(), static_cast<int64_t>(good + bad + duplicates)) << "invariant 1";
    EXPECT_EQ(counts[State::kDuplicate], duplicates) << "invariant 1";
    EXPECT_EQ(counts[State::kRejected], bad) << "invariant 1";
    EXPECT_EQ(counts.open(), 0) << "invariant 1";
    std::map<State, int64_t> ended;
    int64_t maybe = 0;
    const Ledger ledger = scene_.ledger();
    for (const auto& [key, entries] : ledger.rows) {
      if (!std::get<0>(key).starts_with(job + "-")) continue;
      for (const LedgerEntry& entry : entries) {
        if (is_final(entry.state)) ++ended[entry.state];
        maybe += entry.maybe_delivered ? 1 : 0;
      }
    }
    for (const State state : {State::kDelivered, State::kBounced, State::kExpired}) {
      EXPECT_EQ(counts[state], ended[state]) << "invariant 1: " << name_of(state);
    }
    EXPECT_EQ(counts.maybe_delivered, maybe) << "invariant 2";
  }

  Random draw_;
  SwarmOptions options_;
  Scene scene_;
  std::vector<std::string> good_;
  std::vector<std::string> second_;
  std::map<std::string, Instant> first_seen_;
  uint64_t asked_ = 0;
  bool sync_failed_ = false;
};

}  // namespace

SwarmResult run_swarm(uint64_t seed) { return Swarm(seed).run(); }

}  // namespace sluice::sim
