#include "tools/sink/options.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/base/strings.h"

namespace sluice::sink {
namespace {

Status bad(std::string_view what, std::string_view text, std::string_view example) {
  return invalid(std::string(what) + " \"" + escaped(text) +
                 "\" is not understood; write it like " + std::string(example));
}

// A number in [0, 1].
std::optional<double> parse_probability(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || end != copy.c_str() + copy.size()) return std::nullopt;
  if (!(value >= 0 && value <= 1)) return std::nullopt;
  return value;
}

// The address `steps` after `base`, counted in its last two octets.
IpAddress add_to(IpAddress base, uint32_t steps) {
  const size_t last = base.family == Family::kIpv4 ? 3 : 15;
  const uint32_t sum =
      static_cast<uint32_t>(base.octets[last - 1] << 8 | base.octets[last]) + steps;
  base.octets[last - 1] = static_cast<uint8_t>(sum >> 8);
  base.octets[last] = static_cast<uint8_t>(sum);
  return base;
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

struct NamedAction {
  std::string_view name;
  FaultAction action;
  std::optional<Command> only;  // the one moment at which it can be
};

constexpr NamedAction kActions[] = {
    {"drop", FaultAction::kDrop, std::nullopt},
    {"reset", FaultAction::kReset, std::nullopt},
    {"hang", FaultAction::kHang, std::nullopt},
    {"lose-reply", FaultAction::kLoseReply, Command::kDot},
    {"inject", FaultAction::kInject, Command::kStarttls},
    {"garbage", FaultAction::kGarbage, Command::kHandshake},
    {"alert", FaultAction::kAlert, Command::kHandshake},
    {"cut", FaultAction::kCut, Command::kHandshake},
};

std::optional<Fault> parse_action(std::string_view text, Command command) {
  Fault fault;
  for (const NamedAction& known : kActions) {
    if (!equals_ignore_case(text, known.name)) continue;
    if (known.only && *known.only != command) return std::nullopt;
    fault.action = known.action;
  }
  if (fault.action == FaultAction::kNone) {
    if (command == Command::kHandshake) return std::nullopt;
    const size_t slash = text.find('/');
    const auto code = parse_decimal(text.substr(0, slash));
    if (!code || *code < 400 || *code > 599) return std::nullopt;
    fault.action = FaultAction::kReply;
    fault.code = static_cast<uint16_t>(*code);
    if (slash != std::string_view::npos) {
      fault.enhanced = std::string(text.substr(slash + 1));
      if (fault.enhanced.size() < 5 || fault.enhanced[0] != text[0] || fault.enhanced[1] != '.') {
        return std::nullopt;
      }
    }
  }
  return fault;
}

struct Unit {
  std::string_view name;
  double factor;
};

}  // namespace

std::optional<SocketAddress> parse_address(std::string_view text) {
  constexpr std::string_view kAnyPort = ":0";
  const bool any_port =
      text.size() > kAnyPort.size() && text.substr(text.size() - kAnyPort.size()) == kAnyPort;
  if (!any_port) return parse_socket_address(text);
  auto address = parse_socket_address(std::string(text.substr(0, text.size() - 1)) + "1");
  if (address) address->port = 0;
  return address;
}

Status parse_listen(std::string_view text, std::vector<SocketAddress>& out) {
  constexpr std::string_view kExample = "127.0.0.1:2525 or 127.0.1.1-127.0.1.50:2525";
  const size_t dash = text.find('-');
  const auto to = parse_address(dash == std::string_view::npos ? text : text.substr(dash + 1));
  if (!to) return bad("address to listen on", text, kExample);
  if (dash == std::string_view::npos) {
    out.push_back(*to);
  } else {
    std::string_view first = text.substr(0, dash);
    if (first.size() > 2 && first.front() == '[' && first.back() == ']') {
      first = first.substr(1, first.size() - 2);
    }
    const auto from = parse_ip(first);
    if (!from || from->family != to->ip.family || to->ip < *from) {
      return bad("range of addresses", text, kExample);
    }
    uint32_t steps = 0;
    for (; steps < kListenersMax && add_to(*from, steps) != to->ip; ++steps) {
      out.push_back({add_to(*from, steps), to->port});
    }
    if (steps == kListenersMax) return bad("range of addresses", text, kExample);
    out.push_back(*to);
  }
  if (out.size() > kListenersMax) {
    return invalid("more than " + std::to_string(kListenersMax) + " addresses to listen on");
  }
  return absl::OkStatus();
}

Status parse_odds(std::string_view text, std::vector<OddsRule>& out) {
  constexpr std::string_view kExample = "RCPT:550=0.1, DOT:451/4.7.1=0.02 or any:drop=0.001";
  const size_t colon = text.find(':');
  const size_t equals = text.find('=');
  if (colon == std::string_view::npos || equals == std::string_view::npos || equals < colon) {
    return bad("odds", text, kExample);
  }
  const std::string_view name = text.substr(0, colon);
  const std::string_view action = text.substr(colon + 1, equals - colon - 1);
  const auto probability = parse_probability(text.substr(equals + 1));
  if (!probability) return bad("probability in odds", text, kExample);
  const bool any = equals_ignore_case(name, "any");
  bool found = false;
  for (size_t i = 0; i < kCommands; ++i) {
    if (!equals_ignore_case(name, kCommandNames[i]) && !any) continue;
    OddsRule rule;
    rule.command = static_cast<Command>(i);
    const auto fault = parse_action(action, rule.command);
    if (!fault && any && rule.command == Command::kHandshake && found) continue;
    if (!fault) return bad("action in odds", text, kExample);
    rule.fault = *fault;
    rule.probability = *probability;
    out.push_back(rule);
    found = true;
  }
  return found ? absl::OkStatus() : bad("command in odds", text, kExample);
}

Status parse_recipient_rule(std::string_view text, std::vector<RecipientRule>& out) {
  constexpr std::string_view kExample = "refuse:0.1, defer:0.05 or defer-once:0.2";
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return bad("recipient rule", text, kExample);
  const std::string_view name = text.substr(0, colon);
  const auto share = parse_probability(text.substr(colon + 1));
  if (!share) return bad("share in recipient rule", text, kExample);
  RecipientRule rule;
  rule.share = *share;
  if (name == "refuse") {
    rule.fate = RecipientFate::kRefuse;
  } else if (name == "defer") {
    rule.fate = RecipientFate::kDefer;
  } else if (name == "defer-once") {
    rule.fate = RecipientFate::kDeferOnce;
  } else {
    return bad("recipient rule", text, kExample);
  }
  out.push_back(rule);
  return absl::OkStatus();
}

Status parse_identity(std::string_view text, SessionOptions& out) {
  constexpr std::string_view kHeader = "header:";
  if (text == "recipient") {
    out.identity = IdentityKind::kRecipient;
  } else if (text == "message-id") {
    out.identity = IdentityKind::kMessageId;
    out.identity_header = "Message-ID";
  } else if (starts_with_ignore_case(text, kHeader) && text.size() > kHeader.size()) {
    out.identity = IdentityKind::kHeader;
    out.identity_header = std::string(text.substr(kHeader.size()));
  } else {
    return bad("identity", text, "recipient, message-id or header:X-Sluice-Identity");
  }
  return absl::OkStatus();
}

Status parse_tls_versions(std::string_view text, TlsOptions& out) {
  if (text == "both") {
    out.versions = TlsVersions::kBoth;
  } else if (text == "1.2") {
    out.versions = TlsVersions::kTls12;
  } else if (text == "1.3") {
    out.versions = TlsVersions::kTls13;
  } else {
    return bad("version of TLS", text, "1.2, 1.3 or both");
  }
  return absl::OkStatus();
}

Status parse_tls_key_type(std::string_view text, TlsOptions& out) {
  if (text != "ecdsa" && text != "rsa") return bad("type of key", text, "ecdsa or rsa");
  out.key_type = text == "rsa" ? TlsKeyType::kRsa : TlsKeyType::kEcdsa;
  return absl::OkStatus();
}

StatusOr<Duration> parse_duration(std::string_view text) {
  constexpr std::string_view kExample = "100ms, 250us or 2s";
  constexpr Unit kUnits[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}};
  const size_t unit_at = text.find_first_not_of("0123456789.");
  if (unit_at == 0 || unit_at == std::string_view::npos) return bad("duration", text, kExample);
  const std::string number(text.substr(0, unit_at));
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (end != number.c_str() + number.size()) return bad("duration", text, kExample);
  for (const Unit& unit : kUnits) {
    if (text.substr(unit_at) != unit.name) continue;
    if (value * unit.factor > 3600e9) return bad("duration (an hour at most)", text, kExample);
    return Duration(static_cast<int64_t>(value * unit.factor));
  }
  return bad("duration", text, kExample);
}

StatusOr<uint64_t> parse_size(std::string_view text) {
  constexpr Unit kUnits[] = {{"", 1}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}};
  const size_t unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto value = parse_decimal(text.substr(0, unit_at));
  if (value && *value < (1UL << 40)) {
    for (const Unit& unit : kUnits) {
      if (text.substr(unit_at) == unit.name) return *value * static_cast<uint64_t>(unit.factor);
    }
  }
  return bad("size", text, "64KiB, 10MiB or 1000");
}

Status check_tls_options(const SinkOptions& options) {
  const TlsOptions& tls = options.tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return invalid("--tls-certificate and --tls-key are given together");
  }
  if (!tls.certificate_file.empty() && (!tls.ca_out_file.empty() || !tls.names.empty())) {
    return invalid(
        "--tls-name and --tls-ca-out are for a made certificate: leave them out, or "
        "--tls-certificate");
  }
  for (const std::string& name : tls.names) {
    // A comma, say, would begin another of OpenSSL's fields.
    const auto fits = [](char c) { return c == '.' || c == '-' || c == '*' || is_alphanumeric(c); };
    if (name.empty() || !std::all_of(name.begin(), name.end(), fits)) {
      return bad("name of a certificate", name, "mx1.sink.example or *.sink.example");
    }
  }
  return absl::OkStatus();
}

Status check_options(const SinkOptions& options) {
  if (options.session.starttls) RETURN_IF_ERROR(check_tls_options(options));
  if (options.listen.empty())
    return invalid("no address to listen on; give --listen 127.0.0.1:2525");
  std::array<double, kCommands> sums{};
  for (const OddsRule& rule : options.odds)
    sums[static_cast<size_t>(rule.command)] += rule.probability;
  for (size_t i = 0; i < kCommands; ++i) {
    if (sums[i] > 1.0 + 1e-9) {
      return invalid("the odds of " + std::string(kCommandNames[i]) + " sum to more than 1");
    }
  }
  double shares = 0;
  for (const RecipientRule& rule : options.recipient_rules) shares += rule.share;
  if (shares > 1.0 + 1e-9) return invalid("the shares of the recipient rules sum to more than 1");
  if (!options.identities_file.empty() && !options.exact) {
    return invalid("--identities writes whole identities; give --exact too");
  }
  if (options.threads < 1 || options.threads > 256) return invalid("--threads must be 1 to 256");
  if (options.connections_max > 1'000'000) {
    return invalid("--max-connections must be at most 1000000");
  }
  if (options.session.size_max < 1 || options.session.size_max > 1ULL << 30) {
    return invalid("--size must be 1 to 1GiB; --no-size hides it from clients");
  }
  if (options.dns.exchangers_a_domain < 1 || options.dns.exchangers_a_domain > 64) {
    return invalid("--exchangers-per-domain must be 1 to 64");
  }
  return absl::OkStatus();
}

}  // namespace sluice::sink
