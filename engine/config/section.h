// A table of a TOML file as the parsers of this room read it: ask for each key that is known, then
// finish() tells which keys nobody asked for.
//
// Every getter leaves its target alone and returns false when the key is absent or wrong; what is
// wrong goes to the Problems with its place. A Section points into the document and into the
// Problems: both outlive it. The one header that includes toml++.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/time.h"
#include "engine/config/enum_names.h"
#include "engine/config/problems.h"
#include "engine/model/policy.h"

namespace sluice::config {

// Parses a whole document; nothing (and a problem) when it is not TOML, is larger than 4 MiB, or
// nests so deep that freeing it would exhaust the stack.
std::optional<toml::table> read_document(std::string_view text, Problems& problems);

Place place_of(const toml::source_region& region);

// "\"text\"", made printable and cut: for messages.
std::string quote(std::string_view text);

enum class Empty { kRefused, kAllowed };

// A string of an array, and where it stands.
struct PlacedText {
  std::string text;
  Place place;
};

class Section {
 public:
  // `table` null: the file has no such section, and every getter returns false. `place` is where
  // what is missing is reported.
  Section(const toml::table* table, std::string path, Place place, Problems& problems);

  bool present() const { return table_ != nullptr; }
  Place place() const { return place_; }
  Problems& problems() const { return *problems_; }

  // The value under `key`, null when absent; `key` is known from now on.
  const toml::node* find(std::string_view key);
  // Whether `key` holds a table; does not make it known.
  bool is_table(std::string_view key) const;
  // Where the value of `key` stands, or the section when absent.
  Place place_of_value(std::string_view key) const;
  Place place_of_key(std::string_view key) const;
  // "smtp.port"
  std::string name_of(std::string_view key) const;
  // Reports "<name of key> <what>" at the value.
  void error(std::string_view key, const std::string& what) const;

  bool flag(std::string_view key, bool& out);
  // Neither empty (unless allowed) nor holding control characters.
  bool text(std::string_view key, std::string& out, Empty empty = Empty::kRefused);
  template <typename T>
  bool number(std::string_view key, T& out, uint64_t least, uint64_t most) {
    uint64_t value = 0;
    if (!whole_number(key, value, least, most)) return false;
    out = static_cast<T>(value);
    return true;
  }
  bool duration(std::string_view key, Duration& out, Duration least, Duration most);
  bool rate(std::string_view key, std::optional<Rate>& out);
  bool size(std::string_view key, uint64_t& out, uint64_t least);
  template <typename E, size_t N>
  bool choice(std::string_view key, const Word<E> (&words)[N], E& out) {
    std::string given;
    if (!text(key, given)) return false;
    std::vector<std::string_view> known;
    for (const Word<E>& word : words) {
      if (word.first == given) {
        out = word.second;
        return true;
      }
      known.push_back(word.first);
    }
    refuse_choice(key, given, known);
    return false;
  }
  // An array of strings; with `single`, one string stands for an array of it. Each as text().
  bool texts(std::string_view key, std::vector<PlacedText>& out, bool single = false);

  // The table under `key`; not present() when it is absent or something else.
  Section section(std::string_view key);
  // The tables of an array of tables ([[key]]), in the file's order.
  std::vector<Section> sections(std::string_view key);

  // Refuses `key`, when present, as promised but not built.
  void refuse_not_built(std::string_view key);

  // All keys with their places, in the file's order.
  std::vector<std::pair<std::string, Place>> keys() const;
  // Reports every key that no getter asked for, with the nearest one that some getter did.
  void finish();

 private:
  bool whole_number(std::string_view key, uint64_t& out, uint64_t least, uint64_t most);
  void refuse_choice(std::string_view key, std::string_view given,
                     const std::vector<std::string_view>& known) const;
  void wrong_type(std::string_view key, const toml::node& node, std::string_view wanted) const;

  const toml::table* table_;
  std::string path_;
  Place place_;
  Problems* problems_;
  std::vector<std::string> known_;
};

}  // namespace sluice::config
