// Mustache (spec 1.4) taken apart: the text without its tags, and where fields and sections stood.
//
// Purpose: variables ({{x}}, {{{x}}}, {{&x}}), comments, sections ({{#x}}…{{/x}}, {{^x}}…{{/x}}),
// partials ({{> x}}) and set-delimiter tags ({{=<% %>=}}); lambdas, blocks and parents are refused.
// All but variables, alone on a line, take the line with them; a partial is indented as its tag.
// Data is flat: {{a.b}} is the column "a.b". A section shows its text once, when its value is not
// empty ("0" and "false" are not); {{.}} is the value of the innermost section around it.
// In {{#urlencode}}…{{/urlencode}} values are percent-encoded (RFC 3986; the unreserved stay), the
// text between stays as it is; the name is taken.
// Partials are put in where they are called, with the default delimiters, and balanced in
// themselves; one that calls itself is refused, since flat data would never end it.
// Errors: each names file:line:column, in a partial those of the partial's file.
// Thread: pure functions; any.
//
// LIMITS. With its partials a template has at most 64 MiB, 1,000,000 tags and 10,000 partials;
// 100 sections or 50 partials stand in each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace sluice {

enum class MarkKind : uint8_t { kField, kSection, kInverted, kEnd };

// A tag, standing before the octet at `offset` of the text.
struct Mark {
  size_t offset = 0;
  size_t source = 0;    // octet of the sources where its tag begins
  std::string name;     // as in the tag, trimmed; {{.}} has that of its section
  bool escaped = true;  // {{x}}: escaped where the place asks for it
  MarkKind kind = MarkKind::kField;
  bool url = false;       // percent-encoded
  bool optional = false;  // a section or in one: its name may be unknown, and is then empty
};

struct ParsedText {
  std::string name;         // of the file, for messages
  std::string source;       // as given, without a byte-order mark; behind it those of its partials
  std::string text;         // without tags; line ends as given
  std::vector<Mark> marks;  // by offset
  // (offset in text, offset in source) where the two run apart, by offset.
  std::vector<std::pair<size_t, size_t>> jumps;
  // Partials within `source`: where each begins, and its file.
  std::vector<std::pair<size_t, std::string>> partials;

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

// Contents of partials by their file's path in the job's directory.
using PartialFiles = std::map<std::string, std::string>;

// Which files {{> name}} of the message file `file` may mean, the first that there is: `name`,
// `name.mustache`, and `name` with the extension of `file`, beside `file`.
std::vector<std::string> partial_paths(std::string_view file, std::string_view name);
// The names of the partials that `source` calls, each once; up to an error in it.
std::vector<std::string> partial_names(std::string_view source);

// `name` is the file's name. Names of fields are not looked up here. Without `partials` a partial
// is an error.
StatusOr<ParsedText> parse_mustache(std::string_view name, std::string_view source,
                                    const PartialFiles* partials = nullptr);

}  // namespace sluice
