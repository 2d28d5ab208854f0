// Replies of one receiver differ in queue ids and little else: a text is split into a pattern,
// which a dictionary keeps once, and the holes in it, which are packed. Pure functions; any thread.
//
// A hole is a run of letters and digits with at least one digit in it or, when asked for, a word
// with "@" inside. In the pattern a zero octet stands for each hole.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/bytes.h"

namespace sluice {

enum class Words : uint8_t { kAddressesAreHoles, kAddressesStay };

// Appends to both. Any octets are allowed in `text`.
void split_holes(std::string_view text, Words words, std::string& pattern, std::string& holes);
// Appends the text. False when the holes are malformed or too few.
bool join_holes(std::string_view pattern, ByteReader& holes, std::string& text);

}  // namespace sluice
