#include "tests/sim/limit_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::sim {
namespace {

constexpr size_t kGapsText = 2'000;

}  // namespace

void add_even_weather(Scene& scene) {
  Weather even;
  even.delay_min = even.delay_max = kTrip;
  scene.network.set_default_weather(even);
}

IpAddress site_address(uint32_t site) { return Scene::address(static_cast<uint8_t>(site + 1)); }

void add_sites(Scene& scene, uint32_t count, const ReceiverRules& rules) {
  add_even_weather(scene);
  for (uint32_t site = 0; site < count; ++site) {
    const std::string number = std::to_string(site);
    scene.zones.add("example" + number + ".test MX 10 mx" + number + ".sim\nmx" + number +
                    ".sim A " + to_string(site_address(site)));
    scene.receiver(static_cast<uint8_t>(site + 1), rules);
  }
}

std::vector<std::string> at_sites(const std::string& name, uint32_t sites, uint32_t each) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < sites * each; ++i) {
    out.push_back(name + std::to_string(i) + "@example" + std::to_string(i % sites) + ".test");
  }
  return out;
}

std::vector<std::string> at_domain(const std::string& name, const std::string& domain,
                                   uint32_t count) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < count; ++i) out.push_back(name + std::to_string(i) + "@" + domain);
  return out;
}

std::vector<Instant> all_messages(const Scene& scene) {
  std::vector<Instant> times;
  for (const auto& receiver : scene.receivers()) {
    times.insert(times.end(), receiver->messages().begin(), receiver->messages().end());
  }
  std::sort(times.begin(), times.end());
  return times;
}

std::vector<Instant> taken_of(const Scene& scene, const std::string& name) {
  std::vector<Instant> times;
  for (const auto& receiver : scene.receivers()) {
    for (const Receiver::Delivery& delivery : receiver->deliveries()) {
      if (delivery.recipient.compare(0, name.size(), name) == 0) times.push_back(delivery.at);
    }
  }
  std::sort(times.begin(), times.end());
  return times;
}

uint64_t count_taken(const Scene& scene) {
  uint64_t sum = 0;
  for (const auto& receiver : scene.receivers()) sum += receiver->deliveries().size();
  return sum;
}

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

void expect_rate(const std::vector<Instant>& times, const Rate& rate) {
  Bucket bucket(rate);
  for (size_t i = 0; i < times.size(); ++i) {
    ASSERT_TRUE(bucket.add(times[i]))
        << "invariant 3: message " << i << " of " << times.size() << ", "
        << seconds(times[i] - times[0]) << " s after the first, is more than " << to_string(rate)
        << " with a burst of " << rate.burst;
  }
}

namespace {

// Where the rate was not used: the moments after which more than an interval passed.
std::string gaps(const std::vector<Instant>& times, const Rate& rate) {
  const Duration interval = rate.period / static_cast<int64_t>(rate.amount);
  std::string out = "gaps:";
  for (size_t i = 1; i < times.size() && out.size() < kGapsText; ++i) {
    if (times[i] - times[i - 1] <= interval + Duration(1)) continue;
    out += " " + std::to_string(seconds(times[i] - times[i - 1] - interval)) + " s too long at " +
           std::to_string(seconds(times[i - 1] - times.front())) + " s,";
  }
  return out;
}

}  // namespace

void expect_used(const std::vector<Instant>& times, const Rate& rate) {
  ASSERT_GT(times.size(), rate.burst);
  const double ideal = static_cast<double>(times.size() - rate.burst) * seconds(rate.period) /
                       static_cast<double>(rate.amount);
  EXPECT_LE(seconds(times.back() - times.front()), 1.05 * ideal)
      << times.size() << " messages at " << to_string(rate) << ", " << gaps(times, rate);
}

void expect_all_once(const Scene& scene, const std::string& job, uint64_t rows) {
  const JobSummary summary = scene.summary(job);
  EXPECT_EQ(summary.counts[State::kDelivered], static_cast<int64_t>(rows));
  EXPECT_EQ(summary.counts.total(), static_cast<int64_t>(rows));
  for (const auto& [recipient, times] : scene.times_taken()) EXPECT_EQ(times, 1U) << recipient;
  EXPECT_EQ(scene.misdirected(), 0U);
  EXPECT_EQ(scene.ledger().final_twice, 0U);
}

}  // namespace sluice::sim
