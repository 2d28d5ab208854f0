#include "tests/sim/limit_book.h"

namespace sluice::sim {
namespace {

std::string words(const Rate& rate) {
  return to_string(rate) + " with a burst of " + std::to_string(rate.burst);
}

}  // namespace

std::optional<std::string> LimitBook::count(std::string_view what, const Line& line,
                                            const IpAddress& of, const std::optional<Rate>& rate,
                                            uint32_t more, Instant now) {
  if (!rate) return std::nullopt;
  const Key key{what, {line.from.ip, of}};
  if (buckets_.try_emplace(key, *rate, more).first->second.add(now)) return std::nullopt;
  return "more " + std::string(what) + " than " + words(*rate);
}

std::optional<std::string> LimitBook::on_dial(const Line& line, Instant now) {
  auto wrong = count("dials of a site", line, line.to.ip, allowed_.site.dial_rate, 0, now);
  for (const AllowedScope& provider : allowed_.providers) {
    if (wrong || provider.exchangers.count(line.to.ip) == 0) continue;
    const IpAddress& first = *provider.exchangers.begin();
    wrong = count("dials of a provider", line, first, provider.dial_rate, 0, now);
  }
  return wrong;
}

std::optional<std::string> LimitBook::on_line(const Line& line) {
  const auto judge = [&](const char* of, uint32_t open, uint32_t most) {
    return most == 0 || open <= most
               ? std::nullopt
               : std::optional("it is the " + std::to_string(open) + "th open at a time of " +
                               std::to_string(most) + " of a " + of);
  };
  auto wrong =
      judge("site", network_.lines_open(line.from.ip, line.to.ip), allowed_.site.connections);
  for (const AllowedScope& provider : allowed_.providers) {
    if (wrong || provider.exchangers.count(line.to.ip) == 0) continue;
    uint32_t open = 0;
    for (const IpAddress& exchanger : provider.exchangers) {
      open += network_.lines_open(line.from.ip, exchanger);
    }
    wrong = judge("provider", open, provider.connections);
  }
  return wrong;
}

std::optional<std::string> LimitBook::on_message(const Line& line, Instant now) {
  auto wrong =
      count("messages of a site", line, line.to.ip, allowed_.site.rate, allowed_.site.bunched, now);
  for (const AllowedScope& provider : allowed_.providers) {
    if (wrong || provider.exchangers.count(line.to.ip) == 0) continue;
    const IpAddress& first = *provider.exchangers.begin();
    wrong = count("messages of a provider", line, first, provider.rate, provider.bunched, now);
  }
  return wrong;
}

std::optional<std::string> LimitBook::on_row(const std::string& job, Instant now) {
  const auto found = allowed_.jobs.find(job);
  if (found == allowed_.jobs.end()) return std::nullopt;
  const auto& [rate, bunched] = found->second;
  if (jobs_.try_emplace(job, rate, bunched).first->second.add(now)) return std::nullopt;
  return "more rows of job " + job + " than " + words(rate);
}

}  // namespace sluice::sim
