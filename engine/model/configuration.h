// sluice.toml, checked and typed. Immutable; a reload makes a new one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/shaping_rule.h"

namespace sluice {

enum class AddressFamily : uint8_t { kAny, kIpv4, kIpv6, kPreferIpv4, kPreferIpv6 };

// An address to send from, with its EHLO name.
struct Source {
  std::string name;
  std::vector<IpAddress> addresses;  // at most one a family; empty: the system's IPv4
  std::string hello;
};

struct Pool {
  std::string name;
  struct Member {
    std::string source;
    uint32_t weight = 1;
  };
  std::vector<Member> members;
};

struct DnsRoute {
  std::string suffix;  // lower-case, no dot at either end
  std::vector<SocketAddress> servers;
};

// A key that signs for a domain (RFC 6376). Several of one domain all sign.
struct DkimEntry {
  std::string domain;    // lower-case: d=
  std::string selector;  // s=
  std::string key;       // path of the private key, PEM
  std::string identity;  // i=; empty: none
  Duration expire{0};    // x= is so long after t=; 0: none
};

struct Configuration {
  std::string file;  // where it was read from, for messages

  struct Spool {
    std::string path = "/var/spool/sluice";
    Duration keep_done = std::chrono::hours(24 * 30);
    // Octets of the spool's file system that lists leave to the journal.
    uint64_t reserve = 256UL << 20;
  } spool;

  struct Engine {
    uint32_t shards = 0;  // 0: one per core that the process may use
    uint32_t max_connections = 20'000;
    Duration drain_timeout = std::chrono::seconds(30);
  } engine;

  struct Dns {
    std::vector<SocketAddress> servers;  // empty: /etc/resolv.conf
    Duration serve_stale = std::chrono::hours(24);
    uint32_t cache_entries = 1'000'000;
    std::vector<DnsRoute> routes;
    bool trust_ad = false;  // the servers validate DNSSEC, and nobody sits between
  } dns;

  struct Smtp {
    std::string hello;  // empty: the machine's host name
    uint16_t port = 25;
    AddressFamily address_family = AddressFamily::kAny;
    std::vector<Network> allowed_networks;
    bool allow_address_literals = false;
  } smtp;

  struct Tls {
    TlsPolicy policy = TlsPolicy::kOpportunistic;
    bool dane = true;     // where [dns] trust_ad is set
    bool mta_sts = true;  // RFC 8461
    std::string ca_file;  // PEM; empty: the system's roots
    // RFC 8460: who sends reports to the domains that want them; empty: nobody.
    std::string report_from;
    std::string report_contact;  // empty: report_from
    std::string organization;    // empty: the domain of report_from
  } tls;

  // At least one of each after checking: where the file names none, a source "default" with the
  // system's address and a pool "default" of it.
  std::vector<Source> sources;
  std::vector<Pool> pools;

  std::vector<DkimEntry> dkim;

  // Keys of tokens: paths; empty: a file of the spool, made at the first start.
  struct Verp {
    std::string key;
    std::string delimiter = "+";  // one character, between local part and token
  } verp;
  struct Unsubscribe {
    std::string key;
  } unsubscribe;

  ShapingRules shaping;

  struct Retry {
    Duration retry_interval = std::chrono::minutes(20);
    Duration max_retry_interval = std::chrono::hours(4);
  } retry;

  struct Suppress {
    bool hard_bounces = false;  // 5.1.1: into suppress/bounced.txt
  } suppress;

  struct Record {
    std::string directory;  // empty: "record" in the spool
    uint64_t rotate_bytes = 1ULL << 30;
    Duration keep = std::chrono::hours(24 * 30);
    Duration commit_interval = std::chrono::milliseconds(5);
  } record;

  struct Admin {
    std::string socket = "/run/sluice/sluice.sock";
    std::string listen;  // "127.0.0.1:2580"; empty: off
  } admin;

  struct Log {
    LogLevel level = LogLevel::kInfo;
  } log;
};

}  // namespace sluice
