#include "engine/config/shaping_file.h"

#include <algorithm>

#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "engine/config/kumo_keys.h"
#include "engine/config/quantity.h"
#include "engine/config/section.h"

namespace sluice {
namespace {

using namespace config;  // NOLINT(google-build-using-namespace): this room's own inner names

// What a file holds that is not built: each name once, with its first line and how often.
class Unbuilt {
 public:
  void note(std::string_view name, Place place) {
    for (Entry& entry : entries_) {
      if (entry.name == name) {
        ++entry.count;
        return;
      }
    }
    entries_.push_back({std::string(name), place.line, 1});
  }
  // One line, empty when nothing was noted.
  std::string warning(const std::string& file) const {
    if (entries_.empty()) return {};
    std::vector<std::string> names;
    for (const Entry& entry : entries_) {
      std::string name = entry.name + " (line " + std::to_string(entry.line);
      if (entry.count > 1) name += " and " + std::to_string(entry.count - 1) + " more";
      names.push_back(name + ")");
    }
    return file + ": not built yet and without effect: " + join(names, ", ");
  }

 private:
  struct Entry {
    std::string name;
    uint32_t line = 0;
    uint32_t count = 0;
  };
  std::vector<Entry> entries_;
};

// A limit: a whole number, or KumoMTA's text form "local:1,000".
void read_limit(Section& section, std::string_view key, std::optional<uint32_t>& out,
                uint64_t most) {
  const toml::node* node = section.find(key);
  if (node == nullptr) return;
  uint32_t value = 0;
  if (!node->is_string()) {
    if (section.number(key, value, 1, most)) out = value;
    return;
  }
  std::string text;
  if (!section.text(key, text)) return;
  std::string_view rest = text;
  if (starts_with_ignore_case(rest, "local:")) rest.remove_prefix(6);
  std::string digits;
  for (const char c : rest) {
    if (c != ',' && c != '_') digits += c;
  }
  const std::optional<uint64_t> limit = parse_decimal(digits);
  if (!limit || *limit == 0 || *limit > most) {
    section.error(key, "= " + quote(text) + " is not a limit between 1 and " +
                           std::to_string(most) + "; write it as a whole number");
    return;
  }
  out = static_cast<uint32_t>(*limit);
}

// A time-out: a text with its unit, or, as KumoMTA reads it, a whole number of seconds.
void read_timeout(Section& section, std::string_view key, std::optional<Duration>& out,
                  Duration least = std::chrono::milliseconds(1)) {
  constexpr Duration kMost = std::chrono::hours(24);
  const toml::node* node = section.find(key);
  if (node == nullptr) return;
  if (node->is_integer()) {
    uint64_t count = 0;
    const uint64_t least_seconds = least.count() == 0 ? 0 : 1;
    if (section.number(key, count, least_seconds, 86'400)) {
      out = std::chrono::seconds(static_cast<int64_t>(count));
    }
    return;
  }
  Duration value{};
  if (section.duration(key, value, least, kMost)) out = value;
}

void read_built(Section& section, ShapingRule& rule) {
  section.flag("mx_rollup", rule.mx_rollup);
  read_limit(section, "connection_limit", rule.connection_limit, 1'000'000);
  section.rate("max_connection_rate", rule.max_connection_rate);
  section.rate("max_message_rate", rule.max_message_rate);
  read_limit(section, "max_deliveries_per_connection", rule.max_deliveries_per_connection,
             1'000'000'000);
  read_limit(section, "consecutive_connection_failures_before_delay",
             rule.consecutive_connection_failures_before_delay, 1'000'000);
  read_timeout(section, "idle_timeout", rule.idle_timeout, Duration(0));
  read_timeout(section, "connect_timeout", rule.connect_timeout);
  read_timeout(section, "banner_timeout", rule.banner_timeout);
  read_timeout(section, "ehlo_timeout", rule.ehlo_timeout);
  read_timeout(section, "mail_from_timeout", rule.mail_from_timeout);
  read_timeout(section, "rcpt_to_timeout", rule.rcpt_to_timeout);
  read_timeout(section, "data_timeout", rule.data_timeout);
  read_timeout(section, "data_block_timeout", rule.data_block_timeout);
  read_timeout(section, "data_dot_timeout", rule.data_dot_timeout);
  read_timeout(section, "rset_timeout", rule.rset_timeout);
  uint16_t port = 0;
  if (section.number("smtp_port", port, 1, 65'535)) rule.smtp_port = port;
  bool pipelining = false;
  if (section.flag("enable_pipelining", pipelining)) rule.enable_pipelining = pipelining;
  uint32_t in_flight = 0;
  if (section.number("max_in_flight", in_flight, 1, 1'000)) rule.max_in_flight = in_flight;
}

void know(Section& section, const std::vector<std::string_view>& keys) {
  for (const std::string_view key : keys) section.find(key);
}

// Looks for unknown keys in what is not built: a table's `automation` and `sources`.
void check_unbuilt_tables(Section& section, bool of_provider) {
  for (Section& automation : section.sections("automation")) {
    know(automation, automation_keys());
    automation.finish();
  }
  Section sources = section.section("sources");
  for (const auto& [name, place] : sources.keys()) {
    Section source = sources.section(name);
    know(source, built_shaping_keys());
    know(source, unbuilt_shaping_keys());
    if (of_provider) know(source, provider_keys());
    source.finish();
  }
}

// A table inside a domain's that no key of ours is: the header's name had dots and no quotes.
void report_unquoted(Section& section, std::string_view domain) {
  const std::vector<std::string_view>& built = built_shaping_keys();
  const std::vector<std::string_view>& unbuilt = unbuilt_shaping_keys();
  for (const auto& [key, place] : section.keys()) {
    if (std::find(built.begin(), built.end(), key) != built.end()) continue;
    if (std::find(unbuilt.begin(), unbuilt.end(), key) != unbuilt.end()) continue;
    if (!section.is_table(key)) continue;
    section.find(key);  // known from now on: told once
    section.problems().add(place, "a domain's name must stand in quotes; write [" +
                                      quote(std::string(domain) + "." + key) + "]");
  }
}

void read_domain(Section section, const std::string& name, Unbuilt& unbuilt, ShapingRules& out) {
  ShapingRule rule;
  rule.domain = to_lower(name);
  rule.file = section.problems().file();
  rule.line = static_cast<int>(section.place().line);
  if (!is_host_name(rule.domain)) {
    section.problems().add(section.place(), quote(name) +
                                                " is not a domain; write [\"example.com\"], an "
                                                "internationalised one as its A-label (xn--...)");
  } else if (std::any_of(out.begin(), out.end(),
                         [&](const ShapingRule& r) { return r.domain == rule.domain; })) {
    section.problems().add(section.place(),
                           quote(name) + " is there twice (case does not matter); join them");
  }
  report_unquoted(section, name);
  read_built(section, rule);
  for (const std::string_view key : unbuilt_shaping_keys()) {
    if (section.find(key) != nullptr) unbuilt.note(key, section.place_of_key(key));
  }
  check_unbuilt_tables(section, false);
  section.finish();
  out.push_back(std::move(rule));
}

void read_providers(Section providers) {
  for (const auto& [name, place] : providers.keys()) {
    Section provider = providers.section(name);
    know(provider, built_shaping_keys());
    know(provider, unbuilt_shaping_keys());
    know(provider, provider_keys());
    check_unbuilt_tables(provider, true);
    provider.finish();
  }
}

void read_root(Section& root, Unbuilt& unbuilt, ShapingRules& out) {
  for (const auto& [key, place] : root.keys()) {
    if (key == "provider") {
      unbuilt.note(key, place);
      read_providers(root.section(key));
    } else if (root.find(key)->is_table()) {
      read_domain(root.section(key), key, unbuilt, out);
    } else {
      root.problems().add(place, "unknown key " + root.name_of(key) +
                                     " outside of a table; put limits under [\"default\"] or a "
                                     "domain such as [\"example.com\"]");
    }
  }
}

}  // namespace

void order_rules(ShapingRules& rules) {
  std::stable_partition(rules.begin(), rules.end(),
                        [](const ShapingRule& rule) { return rule.domain == "default"; });
}

StatusOr<ShapingRules> parse_shaping(std::string_view text, const std::string& file,
                                     std::vector<std::string>* warnings) {
  Problems problems(file);
  ShapingRules out;
  Unbuilt unbuilt;
  const std::optional<toml::table> table = read_document(text, problems);
  if (table) {
    Section root(&*table, "", {1, 1}, problems);
    read_root(root, unbuilt, out);
  }
  if (!problems.none()) return problems.status(misconfigured);
  order_rules(out);
  std::string warning = unbuilt.warning(file);
  if (warnings != nullptr && !warning.empty()) warnings->push_back(std::move(warning));
  return out;
}

}  // namespace sluice
