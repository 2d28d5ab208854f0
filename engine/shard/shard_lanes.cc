// The sites and lanes of a shard.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/shard/shard.h"

namespace sluice {
namespace {

constexpr uint32_t kForgottenATurn = 256;

}  // namespace

Shard::SiteEntry& Shard::site_of(const RoutePtr& route, std::string_view domain) {
  std::unique_ptr<SiteEntry>& entry = sites_[route->site];
  if (!entry) {
    entry = std::make_unique<SiteEntry>();
    entry->site.name = route->site;
    entry->site.domain = domain;
    entry->site.depths = std::make_unique<DepthTable>(limits().blind_proof);
    entry->lanes.resize(config().sources.size());
    entry->site.paused =
        std::find(paused_sites_.begin(), paused_sites_.end(), route->site) != paused_sites_.end();
    entry->place = site_list_.size();
    site_list_.push_back(entry.get());
  }
  if (!entry->site.route || entry->site.route->expires < route->expires) {
    entry->site.route = route;
  }
  return *entry;
}

Lane* Shard::find_lane_of(const SiteEntry& entry, size_t sources, uint32_t source,
                          const LaneTerms& terms) {
  if (terms.is_plain()) return entry.lanes[source].get();
  const auto found = std::find_if(
      entry.lanes.begin() + static_cast<std::ptrdiff_t>(sources), entry.lanes.end(),
      [&](const auto& lane) { return lane->source() == source && lane->terms().is_same(terms); });
  return found == entry.lanes.end() ? nullptr : found->get();
}

Lane& Shard::lane_of(SiteEntry& entry, uint32_t source, const LaneTerms& terms) {
  Lane* known = find_lane_of(entry, config().sources.size(), source, terms);
  if (known != nullptr) {
    const StsPolicyPtr& held = known->terms().sts;
    if (terms.sts != nullptr && (held == nullptr || held->fetched < terms.sts->fetched)) {
      known->set_sts(terms.sts, entry.site.route->expires);
    }
    return *known;
  }
  auto lane = std::make_unique<Lane>(*this, entry.site, source, terms, shaped(entry.site, source));
  Lane& made = *lane;
  if (terms.is_plain()) {
    entry.lanes[source] = std::move(lane);
  } else {
    entry.lanes.push_back(std::move(lane));
  }
  return made;
}

void Shard::on_rest(Site& site) {
  if (!std::exchange(site.resting, true)) resting_.push_back(site.name);
}

void Shard::forget_rested() {
  if (sites_held_ > 0) return;
  for (uint32_t i = 0; i < kForgottenATurn; ++i) {
    if (resting_.size() <= limits().resting_sites_per_shard) return;
    const auto found = sites_.find(resting_.front());
    resting_.pop_front();
    SiteEntry& entry = *found->second;
    entry.site.resting = false;
    const auto all = [&entry](bool (Lane::*are)() const) {
      return std::all_of(entry.lanes.begin(), entry.lanes.end(), [are](const auto& lane) {
        return lane == nullptr || (lane.get()->*are)();
      });
    };
    // One with mail again comes back when that is done.
    if (!all(&Lane::is_done)) continue;
    if (!all(&Lane::is_resting) || entry.site.refreshing) {
      on_rest(entry.site);
      continue;
    }
    site_list_.back()->place = entry.place;
    site_list_[entry.place] = site_list_.back();
    site_list_.pop_back();
    sites_.erase(found);
  }
}

Lane* Shard::find_lane(std::string_view site, uint32_t source, const LaneTerms& terms) {
  const auto found = sites_.find(site);
  if (found == sites_.end()) return nullptr;
  return find_lane_of(*found->second, config().sources.size(), source, terms);
}

Lane& Shard::lane_for(const RoutePtr& route, std::string_view domain, uint32_t source,
                      const LaneTerms& terms) {
  return lane_of(site_of(route, domain), source, terms);
}

void Shard::nudge_lanes() {
  // From another site on each time: who comes first gets the connection that is free.
  const size_t count = site_list_.size();
  for (size_t i = 0; i < count; ++i) {
    for (const auto& lane : site_list_[(nudge_from_ + i) % count]->lanes) {
      if (lane) lane->nudge();
    }
  }
  ++nudge_from_;
}

void Shard::refresh_route(Site& site) {
  if (site.refreshing) return;
  site.refreshing = true;
  site.refresh_began = now();
  services_.spawn(refresh_story(site));
}

Task<> Shard::refresh_story(Site& site) {
  RoutePtr route = co_await resolver_.route(site.domain);
  route = placed(site.domain, std::move(route));
  if (route->usable() && route->site == site.name) site.route = route;
  site.refreshing = false;
  site.refreshed_at = now();
  for (const auto& lane : sites_.find(site.name)->second->lanes) {
    if (lane) lane->nudge();
  }
}

void Shard::refresh_terms(const std::string& site, uint32_t source, const LaneTerms& terms) {
  services_.spawn(refresh_terms_story(site, source, terms));
}

Task<> Shard::refresh_terms_story(std::string site, uint32_t source, LaneTerms terms) {
  const RoutePtr route = co_await resolver_.route(terms.domain);
  Lane* lane = find_lane(site, source, terms);
  // What DNS cannot say now leaves the policy as it is.
  if (lane != nullptr) lane->set_sts(route->usable() ? route->sts : terms.sts, route->expires);
}

}  // namespace sluice
