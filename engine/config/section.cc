#include "engine/config/section.h"

#include <algorithm>
#include <tuple>

#include "engine/base/strings.h"
#include "engine/config/checks.h"
#include "engine/config/quantity.h"

namespace sluice::config {
namespace {

bool is_bare_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    const char lower = ascii_lower(c);
    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '_' || c == '-';
  });
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a point";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string lasting(Duration least, Duration most) {
  return "must be between " + duration_to_string(least) + " and " + duration_to_string(most);
}

}  // namespace

Section::Section(const toml::table* table, std::string path, Place place, Problems& problems)
    : table_(table), path_(std::move(path)), place_(place), problems_(&problems) {}

const toml::node* Section::find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

bool Section::is_table(std::string_view key) const {
  const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
  return node != nullptr && node->is_table();
}

Place Section::place_of_value(std::string_view key) const {
  const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
  return node == nullptr ? place_ : place_of(node->source());
}

Place Section::place_of_key(std::string_view key) const {
  if (table_ == nullptr) return place_;
  const auto found = table_->find(key);
  return found == table_->end() ? place_ : place_of(found->first.source());
}

std::string Section::name_of(std::string_view key) const {
  const std::string name = is_bare_key(key) ? std::string(key) : quote(key);
  return path_.empty() ? name : path_ + "." + name;
}

void Section::error(std::string_view key, const std::string& what) const {
  problems_->add(place_of_value(key), name_of(key) + " " + what);
}

void Section::wrong_type(std::string_view key, const toml::node& node,
                         std::string_view wanted) const {
  error(key, "must be " + std::string(wanted) + ", not " + std::string(type_name(node)));
}

bool Section::flag(std::string_view key, bool& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) {
    wrong_type(key, *node, "true or false");
    return false;
  }
  out = **node->as_boolean();
  return true;
}

bool Section::text(std::string_view key, std::string& out, Empty empty) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* value = node->as_string();
  if (value == nullptr) {
    wrong_type(key, *node, "a string in quotes");
    return false;
  }
  const std::string& given = value->get();
  if (given.empty() && empty == Empty::kRefused) {
    error(key, "is empty; give it a value or remove it");
    return false;
  }
  if (has_control(given)) {
    error(key, "holds a control character (a line end, a tab ...); remove it");
    return false;
  }
  out = given;
  return true;
}

bool Section::whole_number(std::string_view key, uint64_t& out, uint64_t least, uint64_t most) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(key, *node, "a whole number");
    return false;
  }
  const int64_t given = value->get();
  if (given < 0 || static_cast<uint64_t>(given) < least || static_cast<uint64_t>(given) > most) {
    error(key, "must be between " + std::to_string(least) + " and " + std::to_string(most) +
                   ", not " + std::to_string(given));
    return false;
  }
  out = static_cast<uint64_t>(given);
  return true;
}

bool Section::duration(std::string_view key, Duration& out, Duration least, Duration most) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_string()) {
    wrong_type(key, *node, "a string with its unit, such as \"30s\"");
    return false;
  }
  std::string given;
  if (!text(key, given)) return false;
  const StatusOr<Duration> parsed = parse_duration(given);
  if (!parsed.ok()) {
    error(key, "= " + message_of(parsed.status()));
    return false;
  }
  if (*parsed < least || *parsed > most) {
    error(key, lasting(least, most) + ", not " + quote(given));
    return false;
  }
  out = *parsed;
  return true;
}

bool Section::rate(std::string_view key, std::optional<Rate>& out) {
  std::string given;
  if (!text(key, given)) return false;
  const StatusOr<Rate> parsed = parse_rate(given);
  if (!parsed.ok()) {
    error(key, "= " + message_of(parsed.status()));
    return false;
  }
  out = *parsed;
  return true;
}

bool Section::size(std::string_view key, uint64_t& out, uint64_t least) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  constexpr auto kMost = static_cast<uint64_t>(INT64_MAX);
  if (node->is_integer()) return whole_number(key, out, least, kMost);
  std::string given;
  if (!text(key, given)) return false;
  const StatusOr<uint64_t> parsed = parse_size(given);
  if (!parsed.ok()) {
    error(key, "= " + message_of(parsed.status()));
    return false;
  }
  if (*parsed < least) {
    error(key, "must be at least " + size_to_string(least) + ", not " + quote(given));
    return false;
  }
  out = *parsed;
  return true;
}

void Section::refuse_choice(std::string_view key, std::string_view given,
                            const std::vector<std::string_view>& known) const {
  std::vector<std::string> words;
  for (const std::string_view word : known) words.push_back(quote(word));
  error(key, "is " + quote(given) + "; write one of " + join(words, ", "));
}

bool Section::texts(std::string_view key, std::vector<PlacedText>& out, bool single) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (single && node->is_string()) {
    std::string only;
    if (!text(key, only)) return false;
    out.push_back({std::move(only), place_of(node->source())});
    return true;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    wrong_type(key, *node, single ? "a string or an array of strings" : "an array of strings");
    return false;
  }
  bool good = true;
  for (const toml::node& item : *array) {
    const auto* value = item.as_string();
    const Place place = place_of(item.source());
    if (value == nullptr) {
      problems_->add(place,
                     name_of(key) + " must hold strings, not " + std::string(type_name(item)));
      good = false;
    } else if (value->get().empty() || has_control(value->get())) {
      problems_->add(place, name_of(key) +
                                " holds a string that is empty or has a control character; "
                                "remove it");
      good = false;
    } else {
      out.push_back({value->get(), place});
    }
  }
  return good;
}

Section Section::section(std::string_view key) {
  const toml::node* node = find(key);
  const toml::table* table = node == nullptr ? nullptr : node->as_table();
  if (node != nullptr && table == nullptr) {
    wrong_type(key, *node, "a table: write [" + name_of(key) + "] on a line of its own");
  }
  return {table, name_of(key), place_of_key(key), *problems_};
}

std::vector<Section> Section::sections(std::string_view key) {
  std::vector<Section> out;
  const toml::node* node = find(key);
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  const bool tables = array != nullptr && std::all_of(array->begin(), array->end(),
                                                      [](auto& item) { return item.is_table(); });
  if (!tables) {
    wrong_type(key, *node, "tables: write [[" + name_of(key) + "]] on a line of its own");
    return out;
  }
  for (const toml::node& item : *array) {
    out.emplace_back(item.as_table(), name_of(key), place_of(item.source()), *problems_);
  }
  return out;
}

void Section::refuse_not_built(std::string_view key) {
  if (find(key) == nullptr) return;
  problems_->add_not_built(place_of_key(key), name_of(key) + " is not built yet; remove it");
}

std::vector<std::pair<std::string, Place>> Section::keys() const {
  std::vector<std::pair<std::string, Place>> out;
  if (table_ == nullptr) return out;
  for (const auto& [key, value] : *table_) {
    out.emplace_back(std::string(key.str()), place_of(key.source()));
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.second.line, a.second.column) < std::tie(b.second.line, b.second.column);
  });
  return out;
}

void Section::finish() {
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const auto& [key, place] : keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string_view near = nearest(std::string_view(key).substr(0, 100), known);
    std::string what = "unknown key " + name_of(key) + "; ";
    if (!near.empty()) {
      what += "did you mean " + name_of(near) + "?";
    } else {
      what += "known here: " + join(known_, ", ");
    }
    problems_->add(place, std::move(what));
  }
}

}  // namespace sluice::config
