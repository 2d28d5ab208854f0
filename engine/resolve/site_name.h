// The name of a site: the canonical name of a set of exchangers.
#pragma once

#include <string>
#include <vector>

namespace sluice {

// Names are canonical text (resolver_cache/dns_message.h); order and repetition do not matter.
//
// Written as KumoMTA writes site names: labels that differ are alternatives, a leftmost label that
// some lack has a question mark:
//   alt1.gmail-smtp-in.l.google.com, gmail-smtp-in.l.google.com
//     -> "(alt1)?.gmail-smtp-in.l.google.com"
//   mx1.example.com, mx2.example.com -> "(mx1|mx2).example.com"
// Only where the pattern stands for exactly the given set; otherwise the sorted names joined by
// "|". So every set has a name and different sets have different names. One name is itself; none is
// "".
std::string site_name(std::vector<std::string> names);

}  // namespace sluice
