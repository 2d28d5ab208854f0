#include "engine/config/shaping_file.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>

#include "engine/base/strings.h"
#include "engine/config/automation_section.h"
#include "engine/config/checks.h"
#include "engine/config/kumo_keys.h"
#include "engine/config/section.h"
#include "engine/config/shaping_keys.h"

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

constexpr Word<ProviderMatch::Kind> kMatches[] = {
    {"MXSuffix", ProviderMatch::Kind::kMxSuffix},
    {"HostName", ProviderMatch::Kind::kHostName},
    {"DomainSuffix", ProviderMatch::Kind::kDomainSuffix}};

// What a host's or domain's name may be made of.
bool is_part_of_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const char lower = ascii_lower(c);
    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '.';
  });
}

// {MXSuffix=".google.com"}
void read_match(Section match, std::vector<ProviderMatch>& out) {
  for (const auto& [name, kind] : kMatches) {
    std::string text;
    if (!match.text(name, text)) continue;
    if (text.back() == '.') text.pop_back();
    if (text.empty() || !is_part_of_name(text)) {
      match.error(name, "= " + quote(text) +
                            " is no part of a name; write letters, digits, hyphens and dots, such "
                            "as \".google.com\"");
      continue;
    }
    out.push_back({kind, to_lower(text)});
  }
  match.finish();
}

void read_matches(Section& provider, std::vector<ProviderMatch>& out) {
  const toml::node* node = provider.find("match");
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  const bool tables = array != nullptr && std::all_of(array->begin(), array->end(), [](auto& item) {
                        return item.is_table() && item.as_table()->size() == 1;
                      });
  if (!tables) {
    provider.error("match", "must be a list; write match = [{MXSuffix=\".google.com\"}, ...]");
    return;
  }
  for (const toml::node& item : *array) {
    read_match(Section(item.as_table(), provider.name_of("match"), place_of(item.source()),
                       provider.problems()),
               out);
  }
}

// Notes that a table sets `key`.
void note_set(Section& section, std::string_view key, bool built, ShapingRule& rule) {
  rule.set.push_back({std::string(key), written_value(section, key),
                      static_cast<int>(section.place_of_key(key).line), built});
}

// What every table may set: limits and habits.
void read_keys(Section& section, Unbuilt& unbuilt, ShapingRule& rule) {
  for (const ShapingKey& key : built_shaping_keys()) {
    if (section.find(key.name) == nullptr) continue;
    key.read(section, key.name, rule);
    note_set(section, key.name, true, rule);
  }
  for (const std::string_view key : unbuilt_shaping_keys()) {
    if (section.find(key) == nullptr) continue;
    unbuilt.note(key, section.place_of_key(key));
    note_set(section, key, false, rule);
  }
  if (rule.scope != ShapingRule::Scope::kProvider) return;
  if (section.find("provider_connection_limit") != nullptr) {
    read_limit(section, "provider_connection_limit", rule.provider_connection_limit, 1'000'000);
    note_set(section, "provider_connection_limit", true, rule);
  }
  if (section.find("provider_max_message_rate") != nullptr) {
    section.rate("provider_max_message_rate", rule.provider_max_message_rate);
    note_set(section, "provider_max_message_rate", true, rule);
  }
}

// Reads a table with those of its sources; unknown keys are told.
void read_table(Section section, ShapingRule rule, Unbuilt& unbuilt, ShapingRules& out) {
  rule.file = section.problems().file();
  rule.line = static_cast<int>(section.place().line);
  section.flag("replace_base", rule.replace_base);
  ShapingRule of_source = rule;
  of_source.replace_base = false;
  of_source.matches.clear();
  read_keys(section, unbuilt, rule);
  rule.automation = read_automation(section);
  for (const Automation& automation : rule.automation) {
    unbuilt.note("automation", {static_cast<uint32_t>(automation.line), 1});
  }
  const std::string header = rule.table;
  out.push_back(std::move(rule));
  Section sources = section.section("sources");
  for (const auto& [name, place] : sources.keys()) {
    if (!sources.is_table(name)) {
      sources.problems().add(place, sources.name_of(name) + " must be a table; write [" + header +
                                        ".sources." + quote(name) + "]");
      continue;
    }
    Section source = sources.section(name);
    of_source.source = name;
    of_source.line = static_cast<int>(place.line);
    of_source.table = header + ".sources." + quote(name);
    out.push_back(of_source);
    read_keys(source, unbuilt, out.back());
    source.finish();
  }
  section.finish();
}

// A table inside a domain's that no key of ours is: the header's name had dots and no quotes.
void report_unquoted(Section& section, std::string_view domain) {
  static constexpr std::string_view kTables[] = {"automation", "sources"};
  const std::vector<std::string_view>& unbuilt = unbuilt_shaping_keys();
  for (const auto& [key, place] : section.keys()) {
    if (std::find(std::begin(kTables), std::end(kTables), key) != std::end(kTables)) continue;
    if (std::find(unbuilt.begin(), unbuilt.end(), key) != unbuilt.end()) continue;
    if (!section.is_table(key)) continue;
    section.find(key);  // known from now on: told once
    section.problems().add(place, "a domain's name must stand in quotes; write [" +
                                      quote(std::string(domain) + "." + key) + "]");
  }
}

using Names = std::set<std::string, std::less<>>;

void read_domain(Section section, const std::string& name, Names& seen, Unbuilt& unbuilt,
                 ShapingRules& out) {
  ShapingRule rule;
  rule.domain = to_lower(name);
  rule.table = quote(name);
  rule.scope =
      rule.domain == "default" ? ShapingRule::Scope::kDefault : ShapingRule::Scope::kDomain;
  if (!is_host_name(rule.domain)) {
    section.problems().add(section.place(), quote(name) +
                                                " is not a domain; write [\"example.com\"], an "
                                                "internationalised one as its A-label (xn--...)");
  } else if (!seen.insert(rule.domain).second) {
    section.problems().add(section.place(),
                           quote(name) + " is there twice (case does not matter); join them");
  }
  report_unquoted(section, name);
  section.flag("mx_rollup", rule.mx_rollup);
  read_table(section, std::move(rule), unbuilt, out);
}

void read_providers(Section providers, Unbuilt& unbuilt, ShapingRules& out) {
  for (const auto& [name, place] : providers.keys()) {
    if (!providers.is_table(name)) {
      providers.problems().add(place, providers.name_of(name) +
                                          " must be a table; write [provider." + quote(name) + "]");
      continue;
    }
    Section provider = providers.section(name);
    ShapingRule rule;
    rule.scope = ShapingRule::Scope::kProvider;
    rule.domain = name;
    rule.table = "provider." + quote(name);
    read_matches(provider, rule.matches);
    read_table(provider, std::move(rule), unbuilt, out);
  }
}

void read_root(Section& root, Unbuilt& unbuilt, ShapingRules& out) {
  Names seen;
  for (const auto& [key, place] : root.keys()) {
    if (key == "provider") {
      read_providers(root.section(key), unbuilt, out);
    } else if (root.find(key)->is_table()) {
      read_domain(root.section(key), key, seen, unbuilt, out);
    } else {
      root.problems().add(place, "unknown key " + root.name_of(key) +
                                     " outside of a table; put limits under [\"default\"] or a "
                                     "domain such as [\"example.com\"]");
    }
  }
}

// Where a table stands, for a warning.
std::string place_words(const ShapingRule& rule) {
  return "[" + rule.table + "] (" + rule.file + ":" + std::to_string(rule.line) + ")";
}

bool sets_something(const ShapingRule& rule) {
  return std::any_of(rule.set.begin(), rule.set.end(), [](const SetKey& set) { return set.built; });
}

}  // namespace

std::vector<std::string> rules_for_nothing(const ShapingRules& rules,
                                           const std::vector<std::string>& sources) {
  std::vector<std::string> unmatched;
  std::vector<std::string> of_nobody;
  std::set<std::string_view> matched;
  for (const ShapingRule& rule : rules) {
    if (!rule.matches.empty()) matched.insert(rule.domain);
  }
  for (const ShapingRule& rule : rules) {
    if (!sets_something(rule)) continue;
    if (rule.scope == ShapingRule::Scope::kProvider && matched.count(rule.domain) == 0) {
      unmatched.push_back(place_words(rule));
    } else if (!rule.source.empty() &&
               std::find(sources.begin(), sources.end(), rule.source) == sources.end()) {
      of_nobody.push_back(place_words(rule));
    }
  }
  std::vector<std::string> out;
  if (!unmatched.empty()) {
    out.push_back("limits without effect, since no file says what the provider matches: " +
                  join(unmatched, ", "));
  }
  if (!of_nobody.empty()) {
    out.push_back("limits without effect, since no [[source]] has that name: " +
                  join(of_nobody, ", "));
  }
  return out;
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
  std::string warning = unbuilt.warning(file);
  if (warnings != nullptr && !warning.empty()) warnings->push_back(std::move(warning));
  return out;
}

}  // namespace sluice
