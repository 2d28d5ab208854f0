// The DNS wire format (RFC 1035): queries and answers as values, both ways.
//
// The resolver encodes queries and parses answers; a name server (a sink, a test) parses queries
// and encodes answers. Nothing here knows of sockets, caches or clocks.
//
// NAMES are text: lower-case labels joined by ".", without a final dot; the root is "". Octets
// other than letters, digits, "-", "_" are written \DDD (three decimal digits), so every name on
// the wire has exactly one text and a "." always separates labels. A name has at most 255 octets on
// the wire, a label at most 63.
//
// THREAD: pure functions, any thread. OWNERSHIP: results own their bytes.
// ERRORS: std::nullopt for what is malformed or cannot be encoded; nothing reads out of range:
// compression pointers must point strictly backwards (so they end), counts are checked against the
// bytes, at most kRecordsMax records are taken.
// BUGS: of SOA only the fields that negative caching needs are kept apart; an unknown type's rdata
// is kept as it came, so names compressed inside it cannot be followed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace resolver_cache {

// Numbers of RFC 1035 §3.2.2, 3596, 6891, 6698. Other values may occur in what is parsed.
enum class RecordType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kOpt = 41,
  kTlsa = 52,
  kAny = 255,
};
// "MX", "A", ...; "TYPE65" for one without a name here.
std::string to_string(RecordType type);

// RFC 1035 §4.1.1; extended codes (RFC 6891) are folded in by the parser.
enum class Rcode : uint16_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNameError = 3,  // NXDOMAIN
  kNotImplemented = 4,
  kRefused = 5,
};
// "NOERROR", "SERVFAIL", ...; "RCODE11" for one without a name here.
std::string to_string(Rcode rcode);

inline constexpr uint16_t kClassInternet = 1;
inline constexpr uint16_t kEdnsPayloadBytes = 1'232;  // DNS flag day 2020
inline constexpr size_t kUdpBytesWithoutEdns = 512;   // RFC 1035 §2.3.4
// Of all sections of one message. More than fit into 65,535 octets, of which a record takes eleven:
// the best of a set of MX records may be its last.
inline constexpr size_t kRecordsMax = 6'000;
inline constexpr size_t kNameBytesMax = 255;  // on the wire
inline constexpr size_t kLabelBytesMax = 63;

// The text form above of any spelling: lower-cased, one final dot removed, octets outside the plain
// set escaped. Nothing when it is no name (empty label, too long, bad escape). "." gives "".
std::optional<std::string> canonical_name(std::string_view text);

// SOA, RFC 1035 §3.3.13.
struct Soa {
  std::string primary;  // MNAME
  std::string mailbox;  // RNAME
  uint32_t serial = 1;
  uint32_t refresh = 3'600;
  uint32_t retry = 600;
  uint32_t expire = 86'400;
  uint32_t minimum = 300;  // negative TTL, RFC 2308
};

// One resource record of class IN. What `data` holds depends on the type:
//   A: 4 octets; AAAA: 16 octets (network order); MX, CNAME, NS: the name, as text (MX "." is "");
//   TXT: the character strings joined (RFC 7208 §3.3); TLSA and others: the rdata as it came;
//   SOA: empty, see `soa`.
struct Record {
  std::string name;
  RecordType type = RecordType::kA;
  uint32_t ttl = 0;         // seconds; one with the top bit set counts as 0 (RFC 2181 §8)
  uint16_t preference = 0;  // MX only
  std::string data;
  std::optional<Soa> soa;
};

// Makers, for servers and tests. `name` and hosts are canonical text.
Record make_a(std::string name, uint32_t ttl, const std::array<uint8_t, 4>& address);
Record make_aaaa(std::string name, uint32_t ttl, const std::array<uint8_t, 16>& address);
Record make_mx(std::string name, uint32_t ttl, uint16_t preference, std::string exchanger);
Record make_cname(std::string name, uint32_t ttl, std::string target);
Record make_txt(std::string name, uint32_t ttl, std::string text);
Record make_soa(std::string zone, uint32_t ttl, Soa soa);

// A query with one question of class IN.
struct Query {
  std::string name;
  RecordType type = RecordType::kA;
  uint16_t id = 0;
  bool recursion_desired = true;
  bool authentic_data = true;  // RFC 6840 §5.7: "tell me whether you validated"
  // EDNS0 (RFC 6891): the largest UDP answer that the asker takes; 0 means no OPT record.
  uint16_t udp_payload_bytes = kEdnsPayloadBytes;
};

// The packet; the OPT record, where there is one, comes last (11 octets). Nothing for a bad name.
std::optional<std::string> encode_query(const Query& query);

// What a server reads. Nothing when it is no query with exactly one question of class IN.
// udp_payload_bytes is 0 without OPT and at least 512 with it.
std::optional<Query> parse_query(std::string_view packet);

// An answer, as a server builds it and a resolver sees it.
struct Message {
  uint16_t id = 0;
  Rcode rcode = Rcode::kNoError;
  bool is_response = true;
  bool authoritative = false;                      // AA
  bool truncated = false;                          // TC
  bool recursion_desired = false;                  // RD, copied from the query
  bool recursion_available = false;                // RA
  bool authentic_data = false;                     // AD
  bool has_edns = false;                           // an OPT record is there, or shall be
  uint16_t udp_payload_bytes = kEdnsPayloadBytes;  // in that OPT record
  std::string question_name;
  RecordType question_type = RecordType::kA;
  std::vector<Record> answers;
  std::vector<Record> authority;
  std::vector<Record> additional;  // without OPT
};

// A server's answer to `query`: id, question, RD and EDNS filled in, no records yet.
Message response_to(const Query& query);

// Owner names that repeat the question, and names equal to an earlier one, are compressed. When the
// packet would exceed `bytes_max` (512 or the asker's udp_payload_bytes over UDP, 65,535 over TCP),
// TC is set and all records but OPT are left out. Nothing when a name or TXT cannot be encoded.
std::optional<std::string> encode_response(const Message& message, size_t bytes_max);

// Any message with at most one question. Records of other classes are skipped, and those behind the
// first kRecordsMax are not looked at. Nothing when malformed anywhere before.
std::optional<Message> parse_message(std::string_view packet);

}  // namespace resolver_cache
