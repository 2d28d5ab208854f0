// message.eml as a template: a whole RFC 5322 message that is kept but for its fields.
// Private to the room; one thread's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/compose/header.h"
#include "engine/compose/message_builder.h"
#include "engine/compose/mustache.h"

namespace sluice {

// The headers that job.toml gives, ready to stand in the message.
struct JobHeaders {
  std::vector<HeaderTemplate> from;                           // one or none
  std::vector<HeaderTemplate> subject;                        // one or none
  std::vector<HeaderTemplate> reply_to;                       // one or none
  std::vector<std::pair<std::string, HeaderTemplate>> extra;  // by name, in job.toml's order
};

// Reads message.eml and its partials: line ends become LF; a lone CR or NUL, or a line over 998
// octets is an error.
StatusOr<ParsedText> parse_eml(std::string_view name, std::string_view contents,
                               const PartialFiles& partials);
// Its From header's value, unfolded; an error when there is none.
StatusOr<ParsedText> from_of_eml(const ParsedText& eml);
// Which octets the content may hold: with kSevenBit what can be encoded is. What cannot stays.
enum class Octets : uint8_t { kEightBit, kSevenBit };

// Adds the whole message. Headers of the eml win over From, Subject and Reply-To of job.toml;
// a header that also stands in [headers] is an error.
Status add_eml(const ParsedText& eml, JobHeaders headers, Octets octets, MessageBuilder& builder);

}  // namespace sluice
