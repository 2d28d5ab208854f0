// Name servers that answer from zones written as text.
//
//   example.com        MX 10 mx.example.com        (MX 0 . : accepts no mail)
//   mx.example.com     A 10.0.0.1                  (AAAA, CNAME likewise)
//   example.com 60     MX 10 mx.example.com        with a TTL in seconds; else 300
//   broken.example     SERVFAIL                    (REFUSED, NXDOMAIN, TIMEOUT likewise)
//   www.broken.example A SERVFAIL                  for that type only
//   empty.example      NODATA                      (TRUNCATED: an answer that was cut off)
//   loop.example       CNAME loop.example
//   _25._tcp.mx.example TLSA 3 1 1 xxx             the digest as it is, not in hexadecimal
//
// A name that occurs exists; another is NXDOMAIN. Answers are real packets.
// OWNERSHIP. Zones are shared by all shards' Lookups and may be changed between turns.
// THREAD. One. BUGS. A CNAME is given alone: whoever asks follows it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/resolve/lookup.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "tests/sim/world.h"

namespace sluice::sim {

class Zones {
 public:
  Zones() = default;
  // Adds lines; what is no record is a CHECK.
  void add(std::string_view text);
  // Forgets a name.
  void remove(const std::string& name) { names_.erase(name); }
  LookupAnswer answer(const std::string& name, resolver_cache::RecordType type) const;

  Duration delay_min = std::chrono::microseconds(300);
  Duration delay_max = std::chrono::milliseconds(20);
  Duration timeout = std::chrono::seconds(10);  // until TIMEOUT is told
  bool all_down = false;                        // no server answers anything
  bool secure = false;                          // DNSSEC proves every answer

 private:
  struct Name {
    std::vector<resolver_cache::Record> records;
    std::string trouble;  // of all types
    std::map<resolver_cache::RecordType, std::string> trouble_of;
  };
  void add_line(std::string_view line);
  std::map<std::string, Name> names_;
};

class SimLookup final : public Lookup {
 public:
  SimLookup(Loop& loop, World& world, const Zones& zones)
      : loop_(loop), world_(world), zones_(zones) {}

  Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type) override;
  Task<> close() override;

 private:
  Loop& loop_;
  World& world_;
  const Zones& zones_;
  std::vector<Pause*> waiting_;
  bool closing_ = false;
  Signal none_left_;
};

}  // namespace sluice::sim
