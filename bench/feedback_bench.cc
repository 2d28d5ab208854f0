// What rules of concurrency make of receivers of several kinds, simulated: the table of
// engine/schedule/FEEDBACK.md. Takes no arguments; equal on every machine.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/feedback_receivers.h"
#include "bench/feedback_rules.h"
#include "bench/feedback_world.h"

namespace sluice::feedback {
namespace {

constexpr uint64_t kSeeds = 3;
constexpr size_t kSpan = 5;  // seconds that are looked at for recovery

double mean_of(const std::vector<uint32_t>& delivered, size_t from) {
  uint64_t sum = 0;
  for (size_t second = from; second < from + kSpan; ++second) sum += delivered[second];
  return static_cast<double>(sum) / kSpan;
}

// Seconds from the end of the trouble until nine tenths of the ideal are delivered again; the whole
// rest of the run when they never are.
size_t recovery(const Receiver& receiver, const Outcome& outcome, const Outcome& ideal) {
  const auto begin = static_cast<size_t>(to_seconds(receiver.trouble_ends));
  const size_t last = outcome.delivered.size() - kSpan;
  const double goal = 0.9 * mean_of(ideal.delivered, last);
  size_t second = begin;
  while (second < last && mean_of(outcome.delivered, second) < goal) ++second;
  return second - begin;
}

std::unique_ptr<Rule> make_rule(size_t which, uint64_t seed) {
  switch (which) {
    case 0:
      return std::make_unique<Ours>(seed);
    case 1:
      return std::make_unique<Ramp>(seed);
    case 2:
      return std::make_unique<Postfix>(true);
    case 3:
      return std::make_unique<Postfix>(false);
    default:
      return std::make_unique<Fixed>();
  }
}

constexpr const char* kNames[] = {"ours", "predecessor", "Postfix 1/N", "Postfix 1", "fixed"};

void show(const Receiver& receiver) {
  for (size_t which = 0; which < std::size(kNames); ++which) {
    uint64_t deliveries = 0;
    uint64_t ideal_deliveries = 0;
    uint64_t failures = 0;
    size_t longest = 0;
    bool recovered = true;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      Ideal ideal_rule(receiver);
      const Outcome ideal = Sender(receiver, ideal_rule, seed).run();
      const std::unique_ptr<Rule> rule = make_rule(which, seed);
      const Outcome outcome = Sender(receiver, *rule, seed).run();
      deliveries += outcome.deliveries;
      ideal_deliveries += ideal.deliveries;
      failures += outcome.failures;
      const size_t took = recovery(receiver, outcome, ideal);
      longest = std::max(longest, took);
      const auto ends = static_cast<size_t>(to_seconds(receiver.trouble_ends));
      recovered = recovered && ends + took + kSpan < outcome.delivered.size();
    }
    const std::string time = recovered ? std::to_string(longest) + " s" : "not";
    std::printf("| %s | %s | %.1f %% | %.2f | %s |\n", which == 0 ? receiver.name.c_str() : "",
                kNames[which],
                100.0 * static_cast<double>(deliveries) / static_cast<double>(ideal_deliveries),
                1'000.0 * static_cast<double>(failures) / static_cast<double>(deliveries),
                time.c_str());
  }
}

}  // namespace
}  // namespace sluice::feedback

int main() {
  std::printf(
      "| receiver | rule | delivered, of the ideal | failed attempts per 1,000 deliveries | "
      "recovered after |\n|---|---|---|---|---|\n");
  for (const sluice::feedback::Receiver& receiver : sluice::feedback::receivers()) {
    sluice::feedback::show(receiver);
  }
  return 0;
}
