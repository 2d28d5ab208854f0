// Everything that can be said to `sluice sink`, as typed values.
//
// The command line (tools/cmd/sink.cc) fills the plain fields and hands texts such as
// "RCPT:550/5.7.1=0.1" to the parsers below; tests fill the struct themselves.
//
// Thread: plain data; written before the first worker starts, then only read.
// Errors: the parsers return InvalidArgument with what is wrong and an example of what is right.
// Limits: kListenersMax addresses; probabilities of one command sum to at most 1.
// BUGS: the range of --listen counts in the last octet of an IPv4 address, or in the last 16 bits
//   of an IPv6 address, only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice::sink {

inline constexpr size_t kListenersMax = 4'096;
inline constexpr uint64_t kConnectionsDefault = 20'000;

// The moments of a conversation at which a fault may strike.
enum class Command : uint8_t {
  kConnect,
  kEhlo,
  kMail,
  kRcpt,
  kData,
  kDot,
  kOther,
  kStarttls,
  kHandshake,  // when the first flight of the TLS handshake is due
};
inline constexpr size_t kCommands = 9;
inline constexpr std::array<std::string_view, kCommands> kCommandNames = {
    "CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "OTHER", "STARTTLS", "HANDSHAKE"};

// What the receiver does instead of what it was asked for.
enum class FaultAction : uint8_t {
  kNone,
  kReply,      // answers with a code; 421 also ends the connection
  kDrop,       // closes without an answer (FIN)
  kReset,      // the same with RST
  kHang,       // never says anything again and reads on
  kLoseReply,  // DOT only: accepts and counts the message, then closes without an answer
  kInject,     // STARTTLS only: 220, and in the same piece a reply that was not asked for
  kGarbage,    // HANDSHAKE only: octets that are no TLS in place of the first flight
  kAlert,      // HANDSHAKE only: a fatal alert in its place, then closes
  kCut,        // HANDSHAKE only: half of it, then closes
};

struct Fault {
  FaultAction action = FaultAction::kNone;
  uint16_t code = 0;       // kReply
  std::string enhanced{};  // "5.7.1"; empty: one that fits is chosen
};

struct OddsRule {
  Command command = Command::kRcpt;
  Fault fault;
  double probability = 0;
};

// What befalls recipients chosen by a hash of their address (see faults.h).
enum class RecipientFate : uint8_t { kAccept, kRefuse, kDefer, kDeferOnce };
struct RecipientRule {
  RecipientFate fate = RecipientFate::kAccept;
  double share = 0;
};

// What names a message in the counts.
enum class IdentityKind : uint8_t { kRecipient, kMessageId, kHeader };

struct SessionOptions {
  std::string hostname = "mx.sink.example";
  bool ehlo = true;  // false: EHLO is answered 502, so that clients fall back to HELO
  bool pipelining = true;
  bool chunking = true;
  bool size = true;
  bool eight_bit_mime = true;
  bool smtputf8 = true;
  bool enhanced_codes = true;
  bool limits = true;           // LIMITS (RFC 9422), offered when one of the next two is set
  uint64_t messages_max = 0;    // of a connection; 0: no limit. Then 421
  uint32_t recipients_max = 0;  // of a transaction; 0: 1,000 and not announced. Then 452
  uint64_t size_max = 64UL << 20;
  bool store = false;  // hand whole messages to the recorder
  IdentityKind identity = IdentityKind::kRecipient;
  std::string identity_header;  // kHeader: field name without colon
  bool starttls = false;        // STARTTLS (RFC 3207)
  bool tls_required = false;    // MAIL without TLS is answered 530
};

enum class TlsVersions : uint8_t { kBoth, kTls12, kTls13 };
enum class TlsKeyType : uint8_t { kEcdsa, kRsa };

struct TlsOptions {
  std::string certificate_file;    // PEM, the chain behind it; empty: a self-signed one is made
  std::string key_file;            // PEM; with a certificate
  std::vector<std::string> names;  // of the made certificate; empty: the hostname
  TlsKeyType key_type = TlsKeyType::kEcdsa;  // of the made certificate: P-256 or RSA of 2,048 bits
  std::string ca_out_file;                   // where the made certificate is written
  TlsVersions versions = TlsVersions::kBoth;
  std::string ciphers;  // OpenSSL's names with colons between; empty: OpenSSL's choice
  bool tickets = true;
  uint64_t first_connections = 0;  // of each address; later ones are not offered STARTTLS; 0: all
};

struct DnsOptions {
  std::optional<SocketAddress> listen;
  std::vector<std::string> zones;    // domains played by the rule; empty without a file: all
  uint32_t exchangers = 0;           // of the rule; 0: one per listening address
  uint32_t exchangers_a_domain = 1;  // consecutive ones, preference 10, 20, ...
  std::string exchanger_zone = "sink.example";
  uint32_t ttl_seconds = 300;
  std::string zone_file;  // empty: none
};

struct SinkOptions {
  std::vector<SocketAddress> listen;
  uint32_t threads = 1;
  uint64_t connections_max = 0;         // over all; then 421 and close; 0: kConnectionsDefault, or
                                        // fewer where the limit of open files asks for it
  uint64_t connections_a_host_max = 0;  // per listening address; 0: no limit
  Duration rtt{0};
  uint64_t seed = 1;
  std::vector<OddsRule> odds;
  std::vector<RecipientRule> recipient_rules;
  uint64_t stop_after_messages = 0;  // 0: only signals stop it
  bool exact = false;                // keep identities in full, not their hashes
  std::string store_directory;
  std::string log_file;  // of events; empty: none
  std::string report_file;
  std::string expect_file;
  std::string identities_file;
  bool json = false;
  SessionOptions session;
  TlsOptions tls;
  DnsOptions dns;
};

// "127.0.0.1:5353", "[::1]:5353"; unlike engine/base's, port 0 is allowed.
std::optional<SocketAddress> parse_address(std::string_view text);
// "127.0.0.1:2525", "[::1]:2525", "127.0.1.1-127.0.1.50:2525"; port 0: the kernel chooses.
Status parse_listen(std::string_view text, std::vector<SocketAddress>& out);
// "RCPT:550=0.1", "DOT:421=0.01", "DATA:drop=0.05", "RCPT:452/4.2.2=0.1", "any:reset=0.001";
// "any" makes a rule for each command (a code: for each that can be answered). Case does not
// matter.
Status parse_odds(std::string_view text, std::vector<OddsRule>& out);
// "refuse:0.1", "defer:0.05", "defer-once:0.2".
Status parse_recipient_rule(std::string_view text, std::vector<RecipientRule>& out);
// "recipient", "message-id", "header:X-Sluice-Identity".
Status parse_identity(std::string_view text, SessionOptions& out);
// "1.2", "1.3", "both".
Status parse_tls_versions(std::string_view text, TlsOptions& out);
// "ecdsa", "rsa".
Status parse_tls_key_type(std::string_view text, TlsOptions& out);
// "100ms", "2s", "250us", "1m"; a bare number is refused.
StatusOr<Duration> parse_duration(std::string_view text);
// "64KiB", "10MiB", "1000".
StatusOr<uint64_t> parse_size(std::string_view text);
// Sums of probabilities, option combinations that make no sense.
Status check_options(const SinkOptions& options);

}  // namespace sluice::sink
