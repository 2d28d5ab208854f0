// Mustache (spec 1.4) text taken apart: the text without its tags, and where the fields stood.
//
// Variables ({{x}}, {{{x}}}, {{&x}}) and comments ({{! ... }}) are known; sections, inverted
// sections, partials and set-delimiter tags are refused by name. A comment alone on its line takes
// the line with it. Every error names file:line:column. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace sluice {

// A field, standing before the octet at `offset` of the text.
struct Mark {
  size_t offset = 0;
  size_t source = 0;    // octet of the source where its tag begins
  std::string name;     // as in the tag, trimmed
  bool escaped = true;  // {{x}}: escaped where the place asks for it
};

struct ParsedText {
  std::string name;         // of the file, for messages
  std::string source;       // as given, without a byte-order mark
  std::string text;         // without tags; line ends as given
  std::vector<Mark> marks;  // by offset
  // (offset in text, offset in source) after each tag, by offset.
  std::vector<std::pair<size_t, size_t>> jumps;

  // The octet of the source that an octet of the text came from.
  size_t source_offset(size_t offset) const;
  // Octets [begin, end) of the text as a text of its own, without the LFs of folded lines; its
  // messages name the same places. Marks at both ends belong to it.
  ParsedText unfolded(size_t begin, size_t end) const;
  // "file:line:column" of an octet of the source; lines and characters count from 1.
  std::string position_in_source(size_t source_offset) const;
  // The same of an octet of the text.
  std::string position(size_t offset) const;
};

// `name` is the file's name. Names of fields are not looked up here.
StatusOr<ParsedText> parse_mustache(std::string_view name, std::string_view source);

}  // namespace sluice
