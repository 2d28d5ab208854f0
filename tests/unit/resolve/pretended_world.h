// Doubles for the resolver's tests: an Io without kernel whose clock is moved by hand, and a Lookup
// that answers from zones.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/resolve/lookup.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"

namespace sluice {

class PretendedIo : public Io {
 public:
  Instant time{std::chrono::hours(1'000)};

  Instant now() const override { return time; }
  // Goes with it, from 1970.
  WallTime wall_now() const override { return WallTime(time.time_since_epoch()); }
  Instant precise_now() override { return time; }
  Random& random() override { return random_; }
  // Nothing ever completes: waiting jumps to the deadline.
  void submit_and_wait(Instant until) override {
    if (until != kForever && until > time) time = until;
  }
  void wake() override {}
  StatusOr<Handle> open_socket(const SocketOptions&) override { return none(); }
  StatusOr<Handle> open_listener(const SocketAddress&, bool) override { return none(); }
  StatusOr<Handle> open_udp(const SocketAddress&, bool) override { return none(); }
  void connect(Operation&, Handle, const SocketAddress&) override { check_failed("", "", 0); }
  void accept(Operation&, Handle) override { check_failed("", "", 0); }
  void send(Operation&, Handle, std::span<const iovec>) override { check_failed("", "", 0); }
  void receive(Operation&, Handle, std::span<char>) override { check_failed("", "", 0); }
  void poll(Operation&, int, uint32_t) override { check_failed("", "", 0); }
  void cancel(Operation&) override {}
  void close(Handle) override {}
  StatusOr<Handle> open_file(const std::string&, OpenMode) override { return none(); }
  void read(Operation&, Handle, std::span<char>, uint64_t) override { check_failed("", "", 0); }
  void write(Operation&, Handle, std::span<const iovec>, uint64_t) override {
    check_failed("", "", 0);
  }
  void sync(Operation&, Handle) override { check_failed("", "", 0); }
  StatusOr<FileStat> stat(const std::string&) override { return none(); }
  StatusOr<std::vector<std::string>> list(const std::string&) override { return none(); }
  Status make_directory(const std::string&, uint32_t) override { return none(); }
  Status rename(const std::string&, const std::string&) override { return none(); }
  Status remove_file(const std::string&) override { return none(); }
  Status truncate(const std::string&, uint64_t) override { return none(); }
  Status remove_directory(const std::string&) override { return none(); }
  StatusOr<uint64_t> free_bytes(const std::string&) override { return none(); }

 private:
  static Status none() { return unavailable("not in this world"); }
  Random random_{1};
};

// Zones as text would be: records by (name, type). Names that occur with any type exist; others are
// NXDOMAIN. `failures` and `rcodes` come first.
class ZoneLookup : public Lookup {
 public:
  using Key = std::pair<std::string, resolver_cache::RecordType>;
  std::map<Key, std::vector<resolver_cache::Record>> zones;
  std::map<Key, LookupAnswer::Failure> failures;
  std::map<Key, resolver_cache::Rcode> rcodes;
  bool secure = false;     // the answers have the AD bit, but for those of
  std::set<Key> insecure;  // these
  bool foreign = false;
  std::vector<Key> asked;
  Duration delay{};  // of every answer but these
  std::map<Key, Duration> slow;

  explicit ZoneLookup(Loop& loop) : pause_loop_(loop) {}

  void mx(const std::string& name, uint16_t preference, const std::string& host) {
    zones[{name, resolver_cache::RecordType::kMx}].push_back(
        resolver_cache::make_mx(name, 300, preference, host));
  }
  void a(const std::string& name, std::array<uint8_t, 4> address) {
    zones[{name, resolver_cache::RecordType::kA}].push_back(
        resolver_cache::make_a(name, 300, address));
  }
  void aaaa(const std::string& name, std::array<uint8_t, 16> address) {
    zones[{name, resolver_cache::RecordType::kAaaa}].push_back(
        resolver_cache::make_aaaa(name, 300, address));
  }

  Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type) override {
    asked.emplace_back(name, type);
    LookupAnswer answer;
    answer.server = "127.0.0.1:53";
    answer.foreign = foreign;
    const Key key{name, type};
    const auto slowly = slow.find(key);
    const Duration takes = slowly == slow.end() ? delay : slowly->second;
    if (takes > Duration{}) {
      const auto pause = std::make_unique<Pause>(pause_loop_);
      co_await pause->lasting(takes);
    }
    if (closed) {
      answer.failure = LookupAnswer::Failure::kClosed;
    } else if (failures.count(key) != 0) {
      answer.failure = failures[key];
    } else {
      answer.packet = packet_for(key);
    }
    co_return answer;
  }
  Task<> close() override {
    closed = true;
    co_return;
  }
  bool closed = false;

 private:
  std::string packet_for(const Key& key) {
    resolver_cache::Query query;
    query.name = key.first;
    query.type = key.second;
    resolver_cache::Message message = resolver_cache::response_to(query);
    message.recursion_available = true;
    message.authentic_data = secure && insecure.count(key) == 0;
    resolver_cache::Soa soa;
    soa.minimum = 3'600;
    const auto records = zones.find(key);
    if (rcodes.count(key) != 0) {
      message.rcode = rcodes[key];
    } else if (records != zones.end()) {
      message.answers = records->second;
    } else {
      bool exists = false;
      for (const auto& [known, list] : zones) exists = exists || known.first == key.first;
      if (!exists) message.rcode = resolver_cache::Rcode::kNameError;
      message.authority.push_back(resolver_cache::make_soa("", 3'600, soa));
    }
    return resolver_cache::encode_response(message, 65'535).value();
  }

  Loop& pause_loop_;
};

}  // namespace sluice
