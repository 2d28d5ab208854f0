// What the sink's name server knows: domains by rule, without state, and names from a file.
//
// BY RULE. Every name under one of DnsOptions::zones is a domain with mail: its exchangers are
// `exchangers_a_domain` consecutive ones of mx1.<exchanger_zone> ... mxK.<exchanger_zone>,
// beginning at stable_hash(domain) % K; their addresses are the listening addresses, in order, from
// the first again when K is larger. Names whose first label begins with "_" do not exist. A million
// domains cost nothing.
//
// FROM A FILE, which goes before the rule; one entry a line, "#" begins a comment:
//     example.com      MX 10 mx1.example.com
//     mx1.example.com  A 127.0.1.1            (AAAA, CNAME, TXT alike)
//     example.org      NULLMX                 (RFC 7505)
//     gone.example     NXDOMAIN               (also SERVFAIL, REFUSED, NODATA, TIMEOUT)
//     *.test           MX 10 mx1.example.com  (any name under test that has no entry of its own)
//     TTL 60                                  (of the lines that follow)
// With zones given, names outside of them and of the file are REFUSED; with a file only, they do
// not exist; with neither, the rule holds for every domain there is.
//
// Thread: immutable once made. Errors: make() names file and line.
// Limits: kFileEntriesMax lines of the file, 8 CNAMEs in a chain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "resolver_cache/dns_message.h"
#include "tools/sink/options.h"

namespace sluice::sink {

class Zones {
 public:
  static constexpr size_t kFileEntriesMax = 5'000'000;

  // `addresses` are the exchangers' of the rule, in order, and not empty. Reads the zone file.
  static StatusOr<Zones> make(const DnsOptions& options, std::vector<IpAddress> addresses);
  // The same with the file's text given; `file` is its name for messages.
  static StatusOr<Zones> parse(const DnsOptions& options, std::vector<IpAddress> addresses,
                               std::string_view text, const std::string& file);

  // Nothing: no answer shall be sent (TIMEOUT).
  std::optional<resolver_cache::Message> answer(const resolver_cache::Query& query) const;
  // Number of the first exchanger of a domain, from 0.
  uint32_t first_exchanger_of(std::string_view domain) const;
  uint32_t exchanger_count() const { return exchangers_; }

 private:
  enum class Kind : uint8_t { kRecords, kNoName, kServerFailure, kRefused, kTimeout };
  struct Entry {
    Kind kind = Kind::kRecords;
    std::vector<resolver_cache::Record> records;
  };

  Zones(const DnsOptions& options, std::vector<IpAddress> addresses);
  Status take_line(std::string_view line, uint32_t& ttl);
  Status take_record(const std::vector<std::string_view>& words, const std::string& name,
                     uint32_t ttl, Entry& entry);
  const Entry* find_entry(std::string_view name) const;
  // One step: answers, or the target of a CNAME to go on with. False: no answer shall be sent.
  bool step(const std::string& name, resolver_cache::RecordType type,
            resolver_cache::Message& message, std::string& alias) const;
  void step_by_rule(const std::string& name, resolver_cache::RecordType type,
                    resolver_cache::Message& message) const;
  void answer_exchanger(const std::string& name, resolver_cache::RecordType type,
                        resolver_cache::Message& message) const;
  std::string exchanger_name(uint32_t number) const;
  void add_soa(const std::string& name, resolver_cache::Message& message) const;

  DnsOptions options_;
  std::vector<IpAddress> addresses_;
  uint32_t exchangers_;
  bool every_domain_ = false;
  StringMap<Entry> entries_;
  StringMap<Entry> wildcards_;  // by what stands behind "*."
};

// True when `name` is `zone` or ends in "." + zone; the empty zone has every name.
bool is_under(std::string_view name, std::string_view zone);

}  // namespace sluice::sink
