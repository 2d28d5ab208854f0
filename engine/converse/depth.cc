#include "engine/converse/depth.h"

#include <algorithm>

namespace sluice {

uint32_t Depth::window(const SitePolicy& policy) const {
  const uint32_t open = window_ == 0 && policy.blind_chunking == BlindChunking::kTrusted
                            ? policy.max_in_flight
                            : window_;
  return std::min(open, policy.max_in_flight);
}

DialogDepth Depth::plan(const SitePolicy& policy, Instant now) const {
  DialogDepth depth;
  depth.chunking = policy.enable_chunking;
  depth.few_refusals = few_refusals_;
  if (is_out_of_step(now)) {
    depth.one_at_a_time = true;
    depth.chunking = false;
    return depth;
  }
  if (terse_) depth.chunking = false;
  const bool off = policy.blind_chunking == BlindChunking::kOff || policy.max_in_flight <= 1;
  if (off || !depth.chunking) return depth;
  const bool trusted = policy.blind_chunking == BlindChunking::kTrusted;
  if (trusted || (probe_ == Probe::kPassed && fitted_ >= proof_)) {
    depth.blind = window(policy);
  } else {
    depth.probe = probe_ == Probe::kNotMade && fitted_ >= proof_;
  }
  return depth;
}

std::string Depth::words(const SitePolicy& policy, Instant now) const {
  if (is_out_of_step(now)) return "one message at a time, by DATA: " + out_of_step_;
  const std::string fitted = std::to_string(fitted_) + " answered in step";
  const std::string broken =
      broken_ == 0 ? "" : ", " + std::to_string(broken_) + " connections broke in flight";
  const DialogDepth depth = plan(policy, now);
  if (depth.blind > 0) {
    const bool trusted = policy.blind_chunking == BlindChunking::kTrusted;
    return std::to_string(depth.blind) + " of " + std::to_string(policy.max_in_flight) +
           " in flight, blind: " + (trusted ? "trusted by a rule, " : "passed the probe, ") +
           fitted + broken;
  }
  std::string why = fitted;
  if (!policy.enable_chunking) {
    why += ", a rule says no CHUNKING";
  } else if (terse_) {
    why += ", by DATA: it says the same to every command";
  } else if (policy.blind_chunking == BlindChunking::kOff || policy.max_in_flight <= 1) {
    why += ", a rule says no blind flights";
  } else if (probe_ == Probe::kFailed) {
    why += ", failed the probe";
  } else if (fitted_ < proof_) {
    why += " of " + std::to_string(proof_) + " for a probe";
  } else {
    why += ", not probed yet";
  }
  return "one round trip a message: " + why + broken;
}

void Depth::on_fitted(uint32_t count, const SitePolicy& policy) {
  fitted_ += count;
  const uint32_t now = window(policy);
  if (now == 0 || now >= policy.max_in_flight) return;
  grown_ += count;
  const uint64_t enough = static_cast<uint64_t>(now) * (broken_ > 0 ? kSlowly : 1);
  if (grown_ < enough) return;
  grown_ = 0;
  window_ = 2 * now;
}

void Depth::on_probe(Probe probe) {
  probe_ = probe;
  if (probe == Probe::kPassed) window_ = std::max(window_, kFirstWindow);
}

void Depth::on_broken(const SitePolicy& policy) {
  const uint32_t now = window(policy);
  if (now == 0) return;
  ++broken_;
  grown_ = 0;
  window_ = std::max(now / 2, 1U);
}

void Depth::on_desynchronised(Instant now, std::string_view why) {
  out_of_step_until_ = now + kOutOfStepFor;
  out_of_step_ = why;
  fitted_ = grown_ = 0;
  window_ = 0;
  probe_ = Probe::kNotMade;
}

std::shared_ptr<Depth> DepthTable::find(std::string_view exchanger, std::string_view identity) {
  const auto known = std::find_if(servers_.begin(), servers_.end(), [&](const Server& server) {
    return server.exchanger == exchanger && server.identity == identity;
  });
  if (known != servers_.end()) {
    std::rotate(known, known + 1, servers_.end());
    return servers_.back().depth;
  }
  if (servers_.size() >= kServersMax) servers_.erase(servers_.begin());
  servers_.push_back(
      {std::string(exchanger), std::string(identity), std::make_shared<Depth>(proof_)});
  // smtp_accept_max_nonmail, 10 by default.
  if (identity.find(" Exim ") != std::string_view::npos) servers_.back().depth->on_worn_out();
  return servers_.back().depth;
}

std::vector<DepthNote> DepthTable::notes(const SitePolicy& policy, Instant now) const {
  std::vector<DepthNote> out;
  for (const Server& server : servers_) {
    out.push_back({server.exchanger, server.identity, server.depth->words(policy, now)});
  }
  return out;
}

}  // namespace sluice
