// What all lanes of a site share on their shard.
//
// A plain object of the shard; a site with mail on several shards has one on each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/converse/depth.h"
#include "engine/model/route.h"
#include "engine/shard/answered_families.h"
#include "engine/shard/tls_terms.h"

namespace sluice {

struct Site {
  std::string name;
  std::string domain;  // one of its domains: asked again when the route has expired
  RoutePtr route;
  bool refreshing = false;  // the route is being asked for
  Instant refresh_began{};
  Instant refreshed_at{};  // when that last ended
  bool paused = false;     // by the operator: nothing is sent
  bool resting = false;    // counted among those without mail
  // Addresses that did not answer are left alone for a while, as long as there are others.
  struct Rested {
    IpAddress address;
    uint32_t failures = 0;  // since it was answered or rested last
    Instant until{};
  };
  std::vector<Rested> rested;
  AnsweredFamilies families;  // kept where either may come first
  // How deep its exchangers may be pipelined.
  std::unique_ptr<DepthTable> depths;
  TlsMemory tls;

  bool is_rested(const IpAddress& address, Instant now) const;
  // A connection to it failed; `cohort`: how many were being tried side by side. When so many have
  // failed and none was answered in between, it is rested.
  void on_failed(const IpAddress& address, uint32_t cohort, Instant now, Instant until);
  void on_answered(const IpAddress& address);
};

}  // namespace sluice
