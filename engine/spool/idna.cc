#include "engine/spool/idna.h"

#include <idn2.h>

#include <cstdint>

namespace sluice {

const char* append_a_labels(std::string_view domain, std::string& out) {
  const std::string source(domain);  // libidn2 wants a final NUL
  uint8_t* labels = nullptr;
  const int result = idn2_lookup_u8(reinterpret_cast<const uint8_t*>(source.c_str()), &labels,
                                    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (result == IDN2_OK) {
    out += reinterpret_cast<const char*>(labels);
    idn2_free(labels);
    return nullptr;
  }
  switch (result) {
    case IDN2_TOO_BIG_LABEL:
      return "a label of the domain is longer than 63 octets as an A-label";
    case IDN2_TOO_BIG_DOMAIN:
      return "the domain is longer than 253 octets as A-labels";
    case IDN2_DISALLOWED:
    case IDN2_UNASSIGNED:
      return "the domain has a character that IDNA2008 does not allow";
    default:
      return "the domain is no valid internationalised name (IDNA2008)";
  }
}

}  // namespace sluice
