#include "resolver_cache/dns_message.h"

#include <cstring>
#include <utility>

#include "resolver_cache/dns_name.h"

namespace resolver_cache {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kResponseFlag = 0x8000;
constexpr uint16_t kOpcodeMask = 0x7800;
constexpr uint16_t kAuthoritativeFlag = 0x0400;
constexpr uint16_t kTruncatedFlag = 0x0200;
constexpr uint16_t kRecursionDesiredFlag = 0x0100;
constexpr uint16_t kRecursionAvailableFlag = 0x0080;
constexpr uint16_t kAuthenticDataFlag = 0x0020;

// Walks a packet; every read says whether it was inside.
class Cursor {
 public:
  Cursor(std::string_view packet, size_t offset) : packet_(packet), offset_(offset) {}

  size_t offset() const { return offset_; }
  bool u16(uint16_t& value) {
    if (packet_.size() - offset_ < 2) return false;
    value = static_cast<uint16_t>(octet(0) << 8 | octet(1));
    offset_ += 2;
    return true;
  }
  bool u32(uint32_t& value) {
    uint16_t high = 0;
    uint16_t low = 0;
    if (!u16(high) || !u16(low)) return false;
    value = static_cast<uint32_t>(high) << 16 | low;
    return true;
  }
  bool name(std::string& text) {
    std::optional<std::string> read = name_from_wire(packet_, offset_);
    if (!read) return false;
    text = std::move(*read);
    return true;
  }
  bool bytes(size_t length, std::string_view& value) {
    if (packet_.size() - offset_ < length) return false;
    value = packet_.substr(offset_, length);
    offset_ += length;
    return true;
  }

 private:
  uint32_t octet(size_t i) const { return static_cast<uint8_t>(packet_[offset_ + i]); }

  std::string_view packet_;
  size_t offset_;
};

// Character strings of a TXT record, joined.
bool join_strings(std::string_view rdata, std::string& text) {
  while (!rdata.empty()) {
    const auto length = static_cast<uint8_t>(rdata.front());
    if (rdata.size() - 1 < length) return false;
    text.append(rdata.substr(1, length));
    rdata.remove_prefix(1U + length);
  }
  return true;
}

bool parse_soa(Cursor& cursor, Soa& soa) {
  return cursor.name(soa.primary) && cursor.name(soa.mailbox) && cursor.u32(soa.serial) &&
         cursor.u32(soa.refresh) && cursor.u32(soa.retry) && cursor.u32(soa.expire) &&
         cursor.u32(soa.minimum);
}

// Rdata lies at [offset, offset + length) of the packet, already known to be inside it. Names in it
// may point before it; what is read must end exactly at its end.
bool parse_rdata(std::string_view packet, size_t offset, size_t length, Record& record) {
  const std::string_view rdata = packet.substr(offset, length);
  Cursor cursor(packet.substr(0, offset + length), offset);
  switch (record.type) {
    case RecordType::kA:
    case RecordType::kAaaa:
      if (length != (record.type == RecordType::kA ? 4U : 16U)) return false;
      record.data = rdata;
      return true;
    case RecordType::kMx:
      return cursor.u16(record.preference) && cursor.name(record.data) &&
             cursor.offset() == offset + length;
    case RecordType::kNs:
    case RecordType::kCname:
      return cursor.name(record.data) && cursor.offset() == offset + length;
    case RecordType::kSoa:
      return parse_soa(cursor, record.soa.emplace()) && cursor.offset() == offset + length;
    case RecordType::kTxt:
      return join_strings(rdata, record.data);
    default:
      record.data = rdata;
      return true;
  }
}

struct RawRecord {
  Record record;
  uint16_t klass = 0;
  uint32_t ttl = 0;
};

bool parse_record(std::string_view packet, Cursor& cursor, RawRecord& raw) {
  uint16_t type = 0;
  uint16_t length = 0;
  std::string_view rdata;
  if (!cursor.name(raw.record.name) || !cursor.u16(type) || !cursor.u16(raw.klass) ||
      !cursor.u32(raw.ttl) || !cursor.u16(length)) {
    return false;
  }
  const size_t rdata_at = cursor.offset();
  if (!cursor.bytes(length, rdata)) return false;
  raw.record.type = static_cast<RecordType>(type);
  raw.record.ttl = (raw.ttl & 0x80000000U) != 0 ? 0 : raw.ttl;
  if (raw.klass != kClassInternet) return true;
  return parse_rdata(packet, rdata_at, length, raw.record);
}

void take_opt(const RawRecord& raw, Message& message) {
  message.has_edns = true;
  message.udp_payload_bytes = raw.klass;
  const auto extended = static_cast<uint16_t>(raw.ttl >> 24);
  message.rcode = static_cast<Rcode>(static_cast<uint16_t>(message.rcode) | extended << 4);
}

bool parse_section(std::string_view packet, Cursor& cursor, uint16_t count,
                   std::vector<Record>* section, Message& message) {
  for (uint16_t i = 0; i < count; ++i) {
    RawRecord raw;
    if (!parse_record(packet, cursor, raw)) return false;
    if (raw.record.type == RecordType::kOpt) {
      take_opt(raw, message);
    } else if (raw.klass == kClassInternet) {
      section->push_back(std::move(raw.record));
    }
  }
  return true;
}

void take_flags(uint16_t flags, Message& message) {
  message.rcode = static_cast<Rcode>(flags & 0x000F);
  message.is_response = (flags & kResponseFlag) != 0;
  message.authoritative = (flags & kAuthoritativeFlag) != 0;
  message.truncated = (flags & kTruncatedFlag) != 0;
  message.recursion_desired = (flags & kRecursionDesiredFlag) != 0;
  message.recursion_available = (flags & kRecursionAvailableFlag) != 0;
  message.authentic_data = (flags & kAuthenticDataFlag) != 0;
}

// Header and question. `counts` are those of the three record sections.
bool parse_head(Cursor& cursor, Message& message, uint16_t (&counts)[3], uint16_t& flags,
                uint16_t& question_count, uint16_t& question_class) {
  if (!cursor.u16(message.id) || !cursor.u16(flags) || !cursor.u16(question_count) ||
      !cursor.u16(counts[0]) || !cursor.u16(counts[1]) || !cursor.u16(counts[2])) {
    return false;
  }
  take_flags(flags, message);
  if (question_count > 1) return false;
  if (question_count == 0) return true;
  uint16_t type = 0;
  if (!cursor.name(message.question_name) || !cursor.u16(type) || !cursor.u16(question_class)) {
    return false;
  }
  message.question_type = static_cast<RecordType>(type);
  return true;
}

struct Parsed {
  Message message;
  uint16_t flags = 0;
  uint16_t question_count = 0;
  uint16_t question_class = 0;
};

std::optional<Parsed> parse_whole(std::string_view packet) {
  if (packet.size() < kHeaderBytes) return std::nullopt;
  Parsed parsed;
  Message& message = parsed.message;
  uint16_t counts[3] = {};
  Cursor cursor(packet, 0);
  if (!parse_head(cursor, message, counts, parsed.flags, parsed.question_count,
                  parsed.question_class)) {
    return std::nullopt;
  }
  size_t room = kRecordsMax;
  for (auto& count : counts) {
    count = static_cast<uint16_t>(std::min<size_t>(count, room));
    room -= count;
  }
  if (!parse_section(packet, cursor, counts[0], &message.answers, message) ||
      !parse_section(packet, cursor, counts[1], &message.authority, message) ||
      !parse_section(packet, cursor, counts[2], &message.additional, message)) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace

std::optional<Message> parse_message(std::string_view packet) {
  std::optional<Parsed> parsed = parse_whole(packet);
  if (!parsed) return std::nullopt;
  return std::move(parsed->message);
}

std::optional<Query> parse_query(std::string_view packet) {
  std::optional<Parsed> parsed = parse_whole(packet);
  if (!parsed || parsed->message.is_response || parsed->question_count != 1 ||
      parsed->question_class != kClassInternet || (parsed->flags & kOpcodeMask) != 0) {
    return std::nullopt;
  }
  Message& message = parsed->message;
  Query query;
  query.name = std::move(message.question_name);
  query.type = message.question_type;
  query.id = message.id;
  query.recursion_desired = message.recursion_desired;
  query.authentic_data = message.authentic_data;
  query.udp_payload_bytes = 0;
  if (message.has_edns) {
    query.udp_payload_bytes = message.udp_payload_bytes < kUdpBytesWithoutEdns
                                  ? uint16_t{kUdpBytesWithoutEdns}
                                  : message.udp_payload_bytes;
  }
  return query;
}

Message response_to(const Query& query) {
  Message message;
  message.id = query.id;
  message.recursion_desired = query.recursion_desired;
  message.has_edns = query.udp_payload_bytes != 0;
  message.question_name = query.name;
  message.question_type = query.type;
  return message;
}

std::string to_string(RecordType type) {
  switch (type) {
    case RecordType::kA:
      return "A";
    case RecordType::kNs:
      return "NS";
    case RecordType::kCname:
      return "CNAME";
    case RecordType::kSoa:
      return "SOA";
    case RecordType::kMx:
      return "MX";
    case RecordType::kTxt:
      return "TXT";
    case RecordType::kAaaa:
      return "AAAA";
    case RecordType::kOpt:
      return "OPT";
    case RecordType::kTlsa:
      return "TLSA";
    case RecordType::kAny:
      return "ANY";
  }
  return "TYPE" + std::to_string(static_cast<unsigned>(type));
}

std::string to_string(Rcode rcode) {
  switch (rcode) {
    case Rcode::kNoError:
      return "NOERROR";
    case Rcode::kFormatError:
      return "FORMERR";
    case Rcode::kServerFailure:
      return "SERVFAIL";
    case Rcode::kNameError:
      return "NXDOMAIN";
    case Rcode::kNotImplemented:
      return "NOTIMP";
    case Rcode::kRefused:
      return "REFUSED";
  }
  return "RCODE" + std::to_string(static_cast<unsigned>(rcode));
}

}  // namespace resolver_cache
