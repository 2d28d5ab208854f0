// Invariant 3, restarts included: a limit holds over a clean restart, which wastes no permit of it,
// over a power cut, and over a change of the rules.
#include <gtest/gtest.h>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

enum class End : uint8_t { kDrain, kCrash };

// A limited stream of mail in which the process ends now and then.
struct Stream {
  std::string name;
  std::string rate_text;
  Rate rate;
  uint32_t rows = 0;
};

const Stream kBursts{"bursts", "60/min,max_burst=20", {60, std::chrono::minutes(1), 20}, 100};
const Stream kEven{"even", "120/min", {120, std::chrono::minutes(1), 1}, 120};

enum class Whose : uint8_t { kSite, kProvider, kJob };

SceneOptions options_of(const Stream& stream, Whose whose, uint64_t seed) {
  SceneOptions options;
  options.seed = seed;
  options.shards = static_cast<uint32_t>(1 + seed % 3);
  const std::string rate = " = \"" + stream.rate_text + "\"\n";
  if (whose == Whose::kSite) options.shaping = "[\"example0.test\"]\nmax_message_rate" + rate;
  if (whose == Whose::kProvider) {
    options.shaping =
        "[provider.\"large\"]\nmatch = [{MXSuffix = \".sim\"}]\nprovider_max_message_rate" + rate;
  }
  return options;
}

void end(Scene& scene, End how) {
  if (how == End::kDrain) {
    EXPECT_TRUE(scene.drain(std::chrono::seconds(30)));
  } else {
    scene.crash();
  }
}

// The bound over all of it; with clean ends also that no time is lost beside the outages.
void run_over(const Stream& stream, Whose whose, const std::vector<End>& ends, uint64_t seed,
              Duration longest_run) {
  SCOPED_TRACE(stream.name + ", seed " + std::to_string(seed));
  Scene scene(options_of(stream, whose, seed));
  const uint32_t sites = whose == Whose::kSite ? 1 : 3;
  add_sites(scene, sites);
  scene.drop_job("news", at_sites("user", sites, stream.rows / sites),
                 whose == Whose::kJob ? "rate = \"" + stream.rate_text + "\"\n" : "");
  scene.start();
  ASSERT_TRUE(scene.run_until([&] { return count_taken(scene) > 0; }, std::chrono::minutes(1)));
  const Instant began = scene.world.now();
  Duration away{};
  bool clean = true;
  for (const End how : ends) {
    scene.run_for(scene.world.between(Duration{}, longest_run));
    const Instant ended = scene.world.now();
    end(scene, how);
    clean = clean && how == End::kDrain;
    scene.start();
    // A second in which jobs are looked for and names are asked.
    const uint64_t so_far = count_taken(scene);
    scene.run_until([&] { return count_taken(scene) > so_far; }, std::chrono::seconds(2));
    away += scene.world.now() - ended;
  }
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(30)));
  const uint64_t rows = uint64_t{stream.rows / sites} * sites;
  EXPECT_EQ(scene.summary("news").counts[State::kDelivered], static_cast<int64_t>(rows));
  const std::vector<Instant> messages = all_messages(scene);
  expect_rate(messages, stream.rate);
  if (!clean) return;
  expect_all_once(scene, "news", rows);
  // As if it had never ended: what was allowed meanwhile was not lost beyond the burst.
  const double interval = seconds(stream.rate.period) / static_cast<double>(stream.rate.amount);
  const double ideal = static_cast<double>(rows - stream.rate.burst) * interval;
  const double kept_whole = std::min(
      seconds(away), static_cast<double>(ends.size() * (stream.rate.burst - 1)) * interval);
  EXPECT_LE(seconds(messages.back() - began),
            ideal + seconds(away) - kept_whole + interval * static_cast<double>(ends.size() + 1));
}

constexpr Whose kAll[] = {Whose::kSite, Whose::kProvider, Whose::kJob};

TEST(KeptLimits, ACleanRestartNeitherBreaksNorWastesThem) {
  uint64_t seed = 300;
  for (const Whose whose : kAll) {
    for (const Stream& stream : {kBursts, kEven}) {
      run_over(stream, whose, {End::kDrain}, ++seed, std::chrono::seconds(30));
      run_over(stream, whose, {End::kDrain, End::kDrain, End::kDrain}, ++seed,
               std::chrono::seconds(10));
    }
  }
}

TEST(KeptLimits, APowerCutDoesNotBreakThem) {
  uint64_t seed = 400;
  for (const Whose whose : kAll) {
    for (const Stream& stream : {kBursts, kEven}) {
      run_over(stream, whose, {End::kCrash}, ++seed, std::chrono::seconds(30));
      run_over(stream, whose, {End::kCrash, End::kCrash, End::kCrash}, ++seed,
               std::chrono::seconds(2));
      run_over(stream, whose, {End::kDrain, End::kCrash, End::kDrain, End::kCrash}, ++seed,
               std::chrono::seconds(5));
    }
  }
}

// Each connection carries one message.
TEST(KeptLimits, ConnectionRates) {
  const Rate rate{30, std::chrono::minutes(1), 1};
  for (const End how : {End::kDrain, End::kCrash}) {
    for (uint64_t seed = 500; seed < 504; ++seed) {
      SCOPED_TRACE(seed);
      Scene scene({.seed = seed,
                   .shards = static_cast<uint32_t>(1 + seed % 3),
                   .shaping = "[\"example0.test\"]\nmax_connection_rate = \"30/min\"\n"
                              "max_deliveries_per_connection = 1\n"});
      add_sites(scene, 1);
      scene.witness.allowed.limits.site.dial_rate = rate;
      scene.drop_job("news", at_domain("user", "example0.test", 30));
      scene.start();
      for (int round = 0; round < 3; ++round) {
        scene.run_for(scene.world.between(Duration{}, std::chrono::seconds(12)));
        end(scene, how);
        scene.start();
      }
      ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(10)));
      EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 30);
    }
  }
}

TEST(KeptLimits, OtherRulesNeverAllowMoreThanTheLargerOfBoth) {
  const auto rules = [](const std::string& rate) {
    return "[\"example0.test\"]\nmax_message_rate = \"" + rate + "\"\n";
  };
  const Rate fast{20, std::chrono::seconds(1), 5};
  const Rate slow{5, std::chrono::seconds(1), 1};
  for (uint64_t seed = 510; seed < 516; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene({.seed = seed,
                 .shards = static_cast<uint32_t>(1 + seed % 3),
                 .shaping = rules("20/s,max_burst=5")});
    add_sites(scene, 1);
    scene.drop_job("news", at_domain("user", "example0.test", 300));
    scene.start();
    for (int round = 0; round < 3; ++round) {
      scene.run_for(scene.world.between(std::chrono::milliseconds(500), std::chrono::seconds(3)));
      scene.reload(rules("5/s"));
      // The rules are asked for names first; what had its permit is on its way.
      scene.run_for(std::chrono::milliseconds(500));
      const size_t before = all_messages(scene).size();
      scene.run_for(std::chrono::seconds(3));
      const std::vector<Instant> all = all_messages(scene);
      const std::vector<Instant> slowed(all.begin() + static_cast<std::ptrdiff_t>(before),
                                        all.end());
      expect_rate(slowed, slow);
      EXPECT_GE(slowed.size(), 14U);
      scene.reload(rules("20/s,max_burst=5"));
    }
    ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
    expect_rate(all_messages(scene), fast);
    expect_all_once(scene, "news", 300);
  }
}

}  // namespace
}  // namespace sluice::sim
