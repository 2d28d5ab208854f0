#include "tools/sink/zones.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tools/sink/faults.h"

namespace sluice::sink {
namespace {

using resolver_cache::canonical_name;
using resolver_cache::Message;
using resolver_cache::Query;
using resolver_cache::Rcode;
using resolver_cache::Record;
using resolver_cache::RecordType;

constexpr int kAliasesMax = 8;
constexpr std::string_view kExchangerPrefix = "mx";

Record address_record(const std::string& name, uint32_t ttl, const IpAddress& address) {
  if (address.family == Family::kIpv6) return resolver_cache::make_aaaa(name, ttl, address.octets);
  std::array<uint8_t, 4> octets{};
  std::copy_n(address.octets.begin(), octets.size(), octets.begin());
  return resolver_cache::make_a(name, ttl, octets);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while (at < line.size()) {
    while (at < line.size() && is_space(line[at])) ++at;
    size_t end = at;
    while (end < line.size() && !is_space(line[end])) ++end;
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::optional<uint32_t> parse_number(std::string_view text, uint32_t most) {
  const auto value = parse_decimal(text);
  if (!value || *value > most) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

}  // namespace

bool is_under(std::string_view name, std::string_view zone) {
  if (zone.empty() || name == zone) return true;
  return name.size() > zone.size() && name.substr(name.size() - zone.size()) == zone &&
         name[name.size() - zone.size() - 1] == '.';
}

Zones::Zones(const DnsOptions& options, std::vector<IpAddress> addresses)
    : options_(options),
      addresses_(std::move(addresses)),
      exchangers_(options.exchangers > 0 ? options.exchangers
                                         : static_cast<uint32_t>(addresses_.size())) {}

StatusOr<Zones> Zones::make(const DnsOptions& options, std::vector<IpAddress> addresses) {
  std::string text;
  if (!options.zone_file.empty()) {
    std::ifstream in(options.zone_file, std::ios::binary);
    if (!in) return missing("cannot read the zone file " + options.zone_file);
    text.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return parse(options, std::move(addresses), text, options.zone_file);
}

StatusOr<Zones> Zones::parse(const DnsOptions& options, std::vector<IpAddress> addresses,
                             std::string_view text, const std::string& file) {
  CHECK(!addresses.empty());
  Zones zones(options, std::move(addresses));
  for (std::string& zone : zones.options_.zones) {
    const auto name = canonical_name(zone);
    if (!name) return invalid("--zone \"" + escaped(zone) + "\" is no domain name");
    zone = *name;
  }
  const auto exchanger_zone = canonical_name(options.exchanger_zone);
  if (!exchanger_zone || exchanger_zone->empty() || exchanger_zone->size() > 200) {
    return invalid("the exchangers' zone \"" + escaped(options.exchanger_zone) +
                   "\" is no domain name, or too long");
  }
  zones.options_.exchanger_zone = *exchanger_zone;
  zones.every_domain_ = zones.options_.zones.empty() && file.empty();

  uint32_t ttl = options.ttl_seconds;
  size_t number = 0;
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (++number > kFileEntriesMax) return invalid(file + ": too many lines");
    const Status status = zones.take_line(line.substr(0, line.find('#')), ttl);
    if (!status.ok()) return annotate(status, file + ":" + std::to_string(number));
  }
  return zones;
}

Status Zones::take_line(std::string_view line, uint32_t& ttl) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.empty()) return absl::OkStatus();
  if (words.size() == 2 && equals_ignore_case(words[0], "TTL")) {
    const auto value = parse_number(words[1], 86'400 * 365);
    if (!value) return invalid("TTL takes a number of seconds");
    ttl = *value;
    return absl::OkStatus();
  }
  std::string_view owner = words[0];
  const bool wildcard = owner.substr(0, 2) == "*.";
  if (wildcard) owner.remove_prefix(2);
  const auto name = canonical_name(owner);
  if (!name) return invalid("\"" + escaped(words[0]) + "\" is no domain name");
  if (words.size() < 2)
    return invalid("a type is missing; write: example.com MX 10 mx.example.com");
  Entry& entry = (wildcard ? wildcards_ : entries_)[*name];
  return take_record(words, *name, ttl, entry);
}

Status Zones::take_record(const std::vector<std::string_view>& words, const std::string& name,
                          uint32_t ttl, Entry& entry) {
  const std::string type = to_lower(words[1]);
  const size_t count = words.size();
  if (type == "nxdomain") entry.kind = Kind::kNoName;
  if (type == "servfail") entry.kind = Kind::kServerFailure;
  if (type == "refused") entry.kind = Kind::kRefused;
  if (type == "timeout") entry.kind = Kind::kTimeout;
  if (count == 2 && (entry.kind != Kind::kRecords || type == "nodata")) return absl::OkStatus();
  if (count == 2 && type == "nullmx") {
    entry.records.push_back(resolver_cache::make_mx(name, ttl, 0, ""));
  } else if (count == 4 && type == "mx") {
    const auto preference = parse_number(words[2], 65'535);
    const auto host = canonical_name(words[3]);
    if (!preference || !host)
      return invalid("MX takes a preference and a host: MX 10 mx.example.com");
    entry.records.push_back(
        resolver_cache::make_mx(name, ttl, static_cast<uint16_t>(*preference), *host));
  } else if (count == 3 && (type == "a" || type == "aaaa")) {
    const auto address = parse_ip(words[2]);
    if (!address || (address->family == Family::kIpv4) != (type == "a")) {
      return invalid("\"" + escaped(words[2]) + "\" is no address for " + std::string(words[1]));
    }
    entry.records.push_back(address_record(name, ttl, *address));
  } else if (count == 3 && type == "cname") {
    const auto target = canonical_name(words[2]);
    if (!target) return invalid("\"" + escaped(words[2]) + "\" is no domain name");
    entry.records.push_back(resolver_cache::make_cname(name, ttl, *target));
  } else if (count >= 3 && type == "txt") {
    const char* begin = words[2].data();
    const char* end = words.back().data() + words.back().size();
    entry.records.push_back(
        resolver_cache::make_txt(name, ttl, std::string(begin, static_cast<size_t>(end - begin))));
  } else {
    return invalid("\"" + escaped(words[1]) +
                   "\" with these arguments is not understood; types are MX, A, AAAA, CNAME, TXT, "
                   "NULLMX, NODATA, NXDOMAIN, SERVFAIL, REFUSED, TIMEOUT");
  }
  return absl::OkStatus();
}

const Zones::Entry* Zones::find_entry(std::string_view name) const {
  const auto own = entries_.find(name);
  if (own != entries_.end()) return &own->second;
  if (wildcards_.empty()) return nullptr;
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    const auto found = wildcards_.find(name.substr(dot + 1));
    if (found != wildcards_.end()) return &found->second;
  }
  return nullptr;
}

std::optional<Message> Zones::answer(const Query& query) const {
  Message message = resolver_cache::response_to(query);
  message.authoritative = true;
  message.recursion_available = query.recursion_desired;
  std::string name = query.name;
  for (int i = 0; i <= kAliasesMax; ++i) {
    std::string alias;
    if (!step(name, query.type, message, alias)) return std::nullopt;
    if (alias.empty()) break;
    name = alias;
  }
  return message;
}

bool Zones::step(const std::string& name, RecordType type, Message& message,
                 std::string& alias) const {
  const Entry* entry = find_entry(name);
  if (entry == nullptr) {
    step_by_rule(name, type, message);
    return true;
  }
  switch (entry->kind) {
    case Kind::kTimeout:
      return false;
    case Kind::kNoName:
      message.rcode = Rcode::kNameError;
      add_soa(name, message);
      return true;
    case Kind::kServerFailure:
      message.rcode = Rcode::kServerFailure;
      return true;
    case Kind::kRefused:
      message.rcode = Rcode::kRefused;
      return true;
    case Kind::kRecords:
      break;
  }
  bool any = false;
  for (const Record& record : entry->records) {
    const bool is_alias = record.type == RecordType::kCname && type != RecordType::kCname;
    if (record.type != type && type != RecordType::kAny && !is_alias) continue;
    Record copy = record;
    copy.name = name;
    if (is_alias && type != RecordType::kAny) alias = record.data;
    message.answers.push_back(std::move(copy));
    any = true;
  }
  if (!any) add_soa(name, message);
  return true;
}

void Zones::step_by_rule(const std::string& name, RecordType type, Message& message) const {
  const auto covers = [&name](const std::string& zone) { return is_under(name, zone); };
  const bool by_rule =
      every_domain_ || std::any_of(options_.zones.begin(), options_.zones.end(), covers);
  if ((every_domain_ || !options_.zones.empty()) && is_under(name, options_.exchanger_zone)) {
    return answer_exchanger(name, type, message);
  }
  if (!by_rule && !options_.zones.empty()) {
    message.rcode = Rcode::kRefused;
    return;
  }
  if (!by_rule || name.empty() || name.front() == '_') {
    message.rcode = Rcode::kNameError;
    return add_soa(name, message);
  }
  if (type != RecordType::kMx && type != RecordType::kAny) return add_soa(name, message);
  const uint32_t first = first_exchanger_of(name);
  const uint32_t count = std::min(options_.exchangers_a_domain, exchangers_);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string host = exchanger_name((first + i) % exchangers_);
    message.answers.push_back(resolver_cache::make_mx(name, options_.ttl_seconds,
                                                      static_cast<uint16_t>(10 * (i + 1)), host));
  }
}

void Zones::answer_exchanger(const std::string& name, RecordType type, Message& message) const {
  if (name == options_.exchanger_zone) return add_soa(name, message);
  const std::string_view label =
      std::string_view(name).substr(0, name.size() - options_.exchanger_zone.size() - 1);
  const auto number = label.substr(0, 2) == kExchangerPrefix
                          ? parse_number(label.substr(2), exchangers_)
                          : std::nullopt;
  if (!number || *number == 0) {
    message.rcode = Rcode::kNameError;
    return add_soa(name, message);
  }
  const IpAddress& address = addresses_[(*number - 1) % addresses_.size()];
  const RecordType own = address.family == Family::kIpv4 ? RecordType::kA : RecordType::kAaaa;
  if (type != own && type != RecordType::kAny) return add_soa(name, message);
  message.answers.push_back(address_record(name, options_.ttl_seconds, address));
}

uint32_t Zones::first_exchanger_of(std::string_view domain) const {
  return static_cast<uint32_t>(stable_hash(domain) % exchangers_);
}

std::string Zones::exchanger_name(uint32_t number) const {
  return std::string(kExchangerPrefix) + std::to_string(number + 1) + "." + options_.exchanger_zone;
}

void Zones::add_soa(const std::string& name, Message& message) const {
  std::string apex;
  for (const std::string& zone : options_.zones) {
    if (is_under(name, zone) && zone.size() > apex.size()) apex = zone;
  }
  if (apex.empty() && is_under(name, options_.exchanger_zone)) apex = options_.exchanger_zone;
  resolver_cache::Soa soa;
  soa.primary = "ns." + options_.exchanger_zone;
  soa.mailbox = "hostmaster." + options_.exchanger_zone;
  soa.minimum = options_.ttl_seconds;
  message.authority.push_back(resolver_cache::make_soa(apex, options_.ttl_seconds, soa));
}

}  // namespace sluice::sink
