// What a person should know of a template that is no error: texts "file:line:column: what; mend".
// Private to the room; pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/compose/fields.h"
#include "engine/compose/mustache.h"

namespace sluice {

// Names in sections that no column has, each once; links with http://, once with their count.
void add_findings(const ParsedText& text, const FieldTable& fields,
                  std::vector<std::string>& warnings);
// URLs "cid:NAME" of an HTML part that name none of the attachments, each once.
void add_unknown_content_ids(const ParsedText& html, const std::vector<std::string>& attachments,
                             std::vector<std::string>& warnings);

}  // namespace sluice
