#include "tests/sim/lookup.h"

#include <algorithm>
#include <memory>

#include "engine/base/check.h"
#include "engine/base/net.h"
#include "engine/base/strings.h"

namespace sluice::sim {
namespace {

using resolver_cache::Rcode;
using resolver_cache::Record;
using resolver_cache::RecordType;

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < line.size()) {
    const size_t begin = line.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    words.emplace_back(line.substr(begin, end - begin));
    at = end;
  }
  return words;
}

bool is_trouble(const std::string& word) {
  return word == "SERVFAIL" || word == "NXDOMAIN" || word == "REFUSED" || word == "TIMEOUT" ||
         word == "NODATA" || word == "TRUNCATED";
}

std::optional<RecordType> type_of(const std::string& word) {
  for (const RecordType type : {RecordType::kA, RecordType::kAaaa, RecordType::kMx,
                                RecordType::kCname, RecordType::kTlsa}) {
    if (to_string(type) == word) return type;
  }
  return std::nullopt;
}

template <size_t kSize>
std::array<uint8_t, kSize> octets_of(const std::string& text) {
  const std::optional<IpAddress> address = parse_ip(text);
  CHECK(address.has_value());
  std::array<uint8_t, kSize> out{};
  std::copy_n(address->octets.begin(), kSize, out.begin());
  return out;
}

std::string host(const std::string& text) { return *resolver_cache::canonical_name(text); }

Record tlsa_of(const std::string& name, uint32_t ttl, const std::vector<std::string>& data) {
  Record record;
  record.name = name;
  record.type = RecordType::kTlsa;
  record.ttl = ttl;
  for (size_t i = 0; i < 3; ++i)
    record.data += static_cast<char>(parse_decimal(data.at(i)).value());
  record.data += data.at(3);
  return record;
}

Record record_of(const std::string& name, uint32_t ttl, RecordType type,
                 const std::vector<std::string>& data) {
  switch (type) {
    case RecordType::kA:
      return resolver_cache::make_a(name, ttl, octets_of<4>(data.at(0)));
    case RecordType::kAaaa:
      return resolver_cache::make_aaaa(name, ttl, octets_of<16>(data.at(0)));
    case RecordType::kCname:
      return resolver_cache::make_cname(name, ttl, host(data.at(0)));
    case RecordType::kTlsa:
      return tlsa_of(name, ttl, data);
    default:
      return resolver_cache::make_mx(
          name, ttl, static_cast<uint16_t>(parse_decimal(data.at(0)).value()), host(data.at(1)));
  }
}

}  // namespace

void Zones::add(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    add_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void Zones::add_line(std::string_view line) {
  std::vector<std::string> words = words_of(line);
  if (words.empty()) return;
  CHECK(words.size() >= 2);
  const std::string name = host(words[0]);
  Name& entry = names_[name];
  uint32_t ttl = 300;
  size_t at = 1;
  if (const auto number = parse_decimal(words[at])) {
    ttl = static_cast<uint32_t>(*number);
    ++at;
  }
  if (is_trouble(words[at])) {
    entry.trouble = words[at];
    return;
  }
  const std::optional<RecordType> type = type_of(words[at]);
  CHECK(type.has_value());
  const std::vector<std::string> data(words.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                                      words.end());
  if (is_trouble(data.at(0))) {
    entry.trouble_of[*type] = data[0];
  } else {
    entry.records.push_back(record_of(name, ttl, *type, data));
  }
}

LookupAnswer Zones::answer(const std::string& name, RecordType type) const {
  LookupAnswer out;
  out.server = "192.0.2.53:53";
  resolver_cache::Query query;
  query.name = name;
  query.type = type;
  resolver_cache::Message message = resolver_cache::response_to(query);
  message.recursion_available = true;
  message.authentic_data = secure;
  const auto found = names_.find(name);
  std::string trouble = found == names_.end() ? "NXDOMAIN" : found->second.trouble;
  if (found != names_.end() && trouble.empty()) {
    if (const auto of = found->second.trouble_of.find(type); of != found->second.trouble_of.end()) {
      trouble = of->second;
    }
    for (const Record& record : found->second.records) {
      if (record.type == type || record.type == RecordType::kCname) {
        message.answers.push_back(record);
      }
    }
  }
  if (trouble == "TIMEOUT" || all_down) {
    out.failure = LookupAnswer::Failure::kTimeout;
    return out;
  }
  message.truncated = trouble == "TRUNCATED";
  if (trouble == "SERVFAIL") message.rcode = Rcode::kServerFailure;
  if (trouble == "REFUSED") message.rcode = Rcode::kRefused;
  if (trouble == "NXDOMAIN") message.rcode = Rcode::kNameError;
  if (!trouble.empty()) message.answers.clear();
  if (message.answers.empty()) {
    message.authority.push_back(resolver_cache::make_soa("", 3'600, resolver_cache::Soa()));
  }
  out.packet = resolver_cache::encode_response(message, 65'535).value();
  return out;
}

Task<LookupAnswer> SimLookup::lookup(std::string name, RecordType type) {
  LookupAnswer answer;
  if (!closing_) {
    const auto pause = std::make_unique<Pause>(loop_);
    waiting_.push_back(pause.get());
    Random& random = loop_.io().random();
    const auto spread = static_cast<uint64_t>((zones_.delay_max - zones_.delay_min).count());
    Duration delay = zones_.delay_min + Duration(static_cast<int64_t>(random.below(spread + 1)));
    answer = zones_.answer(name, type);
    if (answer.failure == LookupAnswer::Failure::kTimeout) delay = zones_.timeout;
    co_await pause->lasting(delay);
    std::erase(waiting_, pause.get());
    if (waiting_.empty()) none_left_.notify();
    if (!closing_) world_.note("dns " + name + " " + to_string(type));
  }
  if (closing_) {
    answer = {};
    answer.failure = LookupAnswer::Failure::kClosed;
  }
  co_return answer;
}

Task<> SimLookup::close() {
  closing_ = true;
  for (Pause* pause : waiting_) pause->cut();
  while (!waiting_.empty()) co_await none_left_;
}

}  // namespace sluice::sim
