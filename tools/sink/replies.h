// Replies as large providers give them, for faults that look real.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/sink/options.h"

namespace sluice::sink {

// Appends a reply (one or more lines, each ended by CRLF) with `code` to `out`. The text is one of
// those that fit code and command, chosen by `pick` (any number: a counter cycles through them);
// where none fits, a plain one. With `enhanced` given ("4.2.2") only that class of text, or a
// plain one with it. `with_enhanced` false leaves enhanced codes out (RFC 2034 not offered).
void append_fault_reply(std::string& out, Command command, uint16_t code, std::string_view enhanced,
                        uint64_t pick, bool with_enhanced);

}  // namespace sluice::sink
