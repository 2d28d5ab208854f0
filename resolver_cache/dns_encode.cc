// The writing half of dns_message.h.
#include <utility>

#include "resolver_cache/dns_message.h"
#include "resolver_cache/dns_name.h"

namespace resolver_cache {
namespace {

constexpr size_t kPointerReach = 0x3FFF;
constexpr size_t kCompressedNamesMax = 64;  // names remembered as targets of pointers

class Writer {
 public:
  std::string take() { return std::move(packet_); }
  size_t size() const { return packet_.size(); }
  void cut(size_t bytes) { packet_.resize(bytes); }

  void u16(uint16_t value) {
    packet_.push_back(static_cast<char>(value >> 8));
    packet_.push_back(static_cast<char>(value & 0xFF));
  }
  void u32(uint32_t value) {
    u16(static_cast<uint16_t>(value >> 16));
    u16(static_cast<uint16_t>(value & 0xFFFF));
  }
  void raw(std::string_view bytes) { packet_.append(bytes); }
  void patch_u16(size_t at, uint16_t value) {
    packet_[at] = static_cast<char>(value >> 8);
    packet_[at + 1] = static_cast<char>(value & 0xFF);
  }

  // A name, whole or as a pointer to an equal earlier one.
  bool name(std::string_view text) {
    for (const Known& known : known_) {
      if (known.text == text) {
        u16(static_cast<uint16_t>(0xC000 | known.offset));
        return true;
      }
    }
    const std::optional<std::string> wire = name_to_wire(text);
    if (!wire) return false;
    if (!text.empty() && size() <= kPointerReach && known_.size() < kCompressedNamesMax) {
      known_.push_back({text, size()});
    }
    raw(*wire);
    return true;
  }

 private:
  struct Known {
    std::string_view text;  // of the message being written
    size_t offset;
  };
  std::string packet_;
  std::vector<Known> known_;
};

uint16_t flags_of(const Message& message, bool truncated) {
  unsigned flags = static_cast<unsigned>(message.rcode) & 0x000F;
  if (message.is_response) flags |= 0x8000;
  if (message.authoritative) flags |= 0x0400;
  if (truncated) flags |= 0x0200;
  if (message.recursion_desired) flags |= 0x0100;
  if (message.recursion_available) flags |= 0x0080;
  if (message.authentic_data) flags |= 0x0020;
  return static_cast<uint16_t>(flags);
}

bool write_soa(Writer& out, const Soa& soa) {
  if (!out.name(soa.primary) || !out.name(soa.mailbox)) return false;
  out.u32(soa.serial);
  out.u32(soa.refresh);
  out.u32(soa.retry);
  out.u32(soa.expire);
  out.u32(soa.minimum);
  return true;
}

void write_strings(Writer& out, std::string_view text) {
  do {
    const std::string_view piece = text.substr(0, 255);
    const char length = static_cast<char>(static_cast<uint8_t>(piece.size()));
    out.raw({&length, 1});
    out.raw(piece);
    text.remove_prefix(piece.size());
  } while (!text.empty());
}

bool write_rdata(Writer& out, const Record& record) {
  switch (record.type) {
    case RecordType::kA:
    case RecordType::kAaaa:
      out.raw(record.data);
      return record.data.size() == (record.type == RecordType::kA ? 4U : 16U);
    case RecordType::kMx:
      out.u16(record.preference);
      return out.name(record.data);
    case RecordType::kNs:
    case RecordType::kCname:
      return out.name(record.data);
    case RecordType::kSoa:
      return record.soa.has_value() && write_soa(out, *record.soa);
    case RecordType::kTxt:
      write_strings(out, record.data);
      return true;
    default:
      out.raw(record.data);
      return true;
  }
}

bool write_record(Writer& out, const Record& record) {
  if (!out.name(record.name)) return false;
  out.u16(static_cast<uint16_t>(record.type));
  out.u16(kClassInternet);
  out.u32(record.ttl);
  const size_t length_at = out.size();
  out.u16(0);
  if (!write_rdata(out, record)) return false;
  const size_t length = out.size() - length_at - 2;
  if (length > 0xFFFF) return false;
  out.patch_u16(length_at, static_cast<uint16_t>(length));
  return true;
}

bool write_section(Writer& out, const std::vector<Record>& section) {
  for (const Record& record : section) {
    if (!write_record(out, record)) return false;
  }
  return true;
}

void write_opt(Writer& out, uint16_t payload_bytes, uint16_t rcode) {
  out.raw({"\0", 1});
  out.u16(static_cast<uint16_t>(RecordType::kOpt));
  out.u16(payload_bytes);
  out.u32(static_cast<uint32_t>(rcode >> 4) << 24);
  out.u16(0);
}

// Header and question; the counts of records are patched in later.
bool write_head(Writer& out, const Message& message) {
  out.u16(message.id);
  out.u16(flags_of(message, message.truncated));
  out.u16(1);
  for (int i = 0; i < 3; ++i) out.u16(0);
  if (!out.name(message.question_name)) return false;
  out.u16(static_cast<uint16_t>(message.question_type));
  out.u16(kClassInternet);
  return true;
}

Record named(std::string name, RecordType type, uint32_t ttl) {
  Record record;
  record.name = std::move(name);
  record.type = type;
  record.ttl = ttl;
  return record;
}

}  // namespace

std::optional<std::string> encode_query(const Query& query) {
  Message message;
  message.id = query.id;
  message.is_response = false;
  message.recursion_desired = query.recursion_desired;
  message.authentic_data = query.authentic_data;
  message.question_name = query.name;
  message.question_type = query.type;
  message.has_edns = query.udp_payload_bytes != 0;
  message.udp_payload_bytes = query.udp_payload_bytes;
  return encode_response(message, 0xFFFF);
}

std::optional<std::string> encode_response(const Message& message, size_t bytes_max) {
  constexpr size_t kOptBytes = 11;
  Writer out;
  if (!write_head(out, message)) return std::nullopt;
  const size_t head_bytes = out.size();
  const size_t records =
      message.answers.size() + message.authority.size() + message.additional.size();
  if (records > 0xFFFE) return std::nullopt;
  if (!write_section(out, message.answers) || !write_section(out, message.authority) ||
      !write_section(out, message.additional)) {
    return std::nullopt;
  }
  const bool fits = out.size() + (message.has_edns ? kOptBytes : 0) <= bytes_max;
  if (fits) {
    out.patch_u16(6, static_cast<uint16_t>(message.answers.size()));
    out.patch_u16(8, static_cast<uint16_t>(message.authority.size()));
  } else {
    out.cut(head_bytes);
    out.patch_u16(2, flags_of(message, true));
  }
  const size_t additional = (fits ? message.additional.size() : 0) + (message.has_edns ? 1 : 0);
  out.patch_u16(10, static_cast<uint16_t>(additional));
  if (message.has_edns) {
    write_opt(out, message.udp_payload_bytes, static_cast<uint16_t>(message.rcode));
  }
  return out.take();
}

Record make_a(std::string name, uint32_t ttl, const std::array<uint8_t, 4>& address) {
  Record record = named(std::move(name), RecordType::kA, ttl);
  record.data.assign(address.begin(), address.end());
  return record;
}

Record make_aaaa(std::string name, uint32_t ttl, const std::array<uint8_t, 16>& address) {
  Record record = named(std::move(name), RecordType::kAaaa, ttl);
  record.data.assign(address.begin(), address.end());
  return record;
}

Record make_mx(std::string name, uint32_t ttl, uint16_t preference, std::string exchanger) {
  Record record = named(std::move(name), RecordType::kMx, ttl);
  record.preference = preference;
  record.data = std::move(exchanger);
  return record;
}

Record make_cname(std::string name, uint32_t ttl, std::string target) {
  Record record = named(std::move(name), RecordType::kCname, ttl);
  record.data = std::move(target);
  return record;
}

Record make_txt(std::string name, uint32_t ttl, std::string text) {
  Record record = named(std::move(name), RecordType::kTxt, ttl);
  record.data = std::move(text);
  return record;
}

Record make_soa(std::string zone, uint32_t ttl, Soa soa) {
  Record record = named(std::move(zone), RecordType::kSoa, ttl);
  record.soa = std::move(soa);
  return record;
}

}  // namespace resolver_cache
