// A resolver over pretended zones, turned by hand.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/resolve/resolver.h"
#include "tests/unit/resolve/pretended_world.h"

namespace sluice {

inline constexpr std::array<uint8_t, 4> kPublic1 = {198, 41, 0, 4};
inline constexpr std::array<uint8_t, 4> kPublic2 = {199, 9, 14, 201};
inline constexpr std::array<uint8_t, 4> kPrivate = {10, 0, 0, 1};
inline constexpr std::array<uint8_t, 16> kPublic6 = {0x20, 0x01, 0x05, 0x03, 0xba, 0x3e};

// A shard's share of the resolver.
struct Shard {
  Shard(PretendedIo& io, resolver_cache::Cache& cache, const ResolverOptions& options)
      : loop(io, {}), lookup(loop), resolver(loop, lookup, cache, options) {}
  Loop loop;
  ZoneLookup lookup;
  Resolver resolver;
  Gate gate;
};

inline Task<> route_into(Resolver& resolver, std::string domain, RoutePtr& out) {
  Task<RoutePtr> looking = resolver.route(std::move(domain));
  out = co_await std::move(looking);
}
inline Task<> texts_into(Resolver& resolver, std::string name,
                         std::optional<StatusOr<std::vector<std::string>>>& out) {
  Task<StatusOr<std::vector<std::string>>> looking = resolver.texts(std::move(name));
  out = co_await std::move(looking);
}
inline Task<> close_into(Resolver& resolver, bool& out) {
  Task<> closing = resolver.close();
  co_await std::move(closing);
  out = true;
}

inline Task<> trace_into(Resolver& resolver, std::string domain, RouteTrace& trace, RoutePtr& out) {
  RoutePtr route = co_await resolver.route(domain, &trace);
  out = std::move(route);
}

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() : cache_(cache_options_of({}, 1)) {}
  ~ResolverTest() override {
    if (shard_) close(*shard_);
  }

  Shard& shard() {
    if (!shard_) shard_ = std::make_unique<Shard>(io_, cache_, options_);
    return *shard_;
  }
  ZoneLookup& zones() { return shard().lookup; }
  void start(Shard& shard, const std::string& domain, RoutePtr& out) {
    const Executor::Scope scope(shard.loop.executor());
    shard.gate.spawn(route_into(shard.resolver, domain, out));
  }
  void turn(Shard& shard) {
    shard.resolver.before_block();
    shard.loop.turn(io_.time);
    shard.resolver.quiescent();
  }
  RoutePtr route(const std::string& domain) {
    RoutePtr result;
    start(shard(), domain, result);
    for (int i = 0; i < 10'000 && !result; ++i) {
      turn(shard());
      io_.time += std::chrono::milliseconds(10);
    }
    EXPECT_NE(result, nullptr);
    return result;
  }
  StatusOr<std::vector<std::string>> texts(const std::string& name) {
    std::optional<StatusOr<std::vector<std::string>>> result;
    {
      const Executor::Scope scope(shard().loop.executor());
      shard().gate.spawn(texts_into(shard().resolver, name, result));
    }
    for (int i = 0; i < 10'000 && !result; ++i) {
      turn(shard());
      io_.time += std::chrono::milliseconds(10);
    }
    EXPECT_TRUE(result);
    return *std::move(result);
  }
  RouteTrace traced(const std::string& domain) {
    RouteTrace trace;
    RoutePtr result;
    {
      const Executor::Scope scope(shard().loop.executor());
      shard().gate.spawn(trace_into(shard().resolver, domain, trace, result));
    }
    for (int i = 0; i < 10'000 && !result; ++i) {
      turn(shard());
      io_.time += std::chrono::milliseconds(10);
    }
    EXPECT_NE(result, nullptr);
    return trace;
  }
  void close(Shard& shard) {
    bool closed = false;
    {
      const Executor::Scope scope(shard.loop.executor());
      shard.gate.spawn(close_into(shard.resolver, closed));
    }
    for (int i = 0; i < 10'000 && !closed; ++i) {
      turn(shard);
      io_.time += std::chrono::milliseconds(10);
    }
    EXPECT_TRUE(closed);
    turn(shard);
  }
  void expect_failure(const std::string& domain, State state, EnhancedCode code,
                      const std::string& text) {
    const RoutePtr r = route(domain);
    EXPECT_FALSE(r->usable());
    EXPECT_TRUE(r->exchangers.empty());
    EXPECT_EQ(r->failure.state, state);
    EXPECT_EQ(to_string(r->failure.reply.enhanced), to_string(code));
    EXPECT_EQ(r->failure.reply.text, text);
  }

  PretendedIo io_;
  ResolverOptions options_;
  resolver_cache::Cache cache_;
  std::unique_ptr<Shard> shard_;
};

}  // namespace sluice
