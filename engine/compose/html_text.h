// Text from HTML: a readable text part made from an HTML template.
//
// Paragraphs, headings and table rows become lines, cells of a row are joined by " | ", list items
// begin with "- " or their number, a link is "text <url>", an image its alt text, entities are
// characters, <pre> keeps its lines. Styles, scripts, the head and comments are left out. Fields
// and sections stay where they stood, in texts, links' URLs and images' alt texts; those in other
// attributes go.
// Errors: a section that begins in text and ends within a tag, or the other way round.
// Private to the room; a pure function of any input.
// BUGS: CSS is not looked at: what it hides is shown. A value of {{{x}}} that is HTML itself stays
// HTML in the text.
#pragma once

#include "engine/base/status.h"
#include "engine/compose/mustache.h"

namespace sluice {

StatusOr<ParsedText> text_of_html(const ParsedText& html);

}  // namespace sluice
