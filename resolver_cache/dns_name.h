// Domain names between text and wire (RFC 1035 §3.1, §4.1.4). The text form is described in
// dns_message.h. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace resolver_cache {

// The uncompressed wire form of a canonical name, with the root's zero octet. Nothing when a label
// is empty or longer than 63 octets, the whole longer than 255, or an escape is not \DDD.
std::optional<std::string> name_to_wire(std::string_view text);

// Reads a name that begins at `offset` of `packet` and moves `offset` behind it (behind the first
// pointer, where one is used). Every pointer must point before the place where the labels that it
// ends began, so the walk ends. Nothing when it runs out of the packet, is too long, or uses a
// reserved label type.
std::optional<std::string> name_from_wire(std::string_view packet, size_t& offset);

}  // namespace resolver_cache
