// Character references of HTML: numbers, and the names that letters use.
// Pure functions; any thread. Names that are not known stay as they are written.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// The UTF-8 of the reference at `at` of `text`, which is a "&"; sets `end` behind it. Not a
// reference: empty, and `end` is `at`. Soft hyphens and characters without width: empty, and `end`
// is behind them. A no-break space is a space.
std::string decode_entity(std::string_view text, size_t at, size_t& end);

}  // namespace sluice
