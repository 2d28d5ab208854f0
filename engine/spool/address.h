// Recipient addresses: RFC 5321 mailboxes, checked and brought into one form.
//
// Purpose: what a list holds in its address column becomes what RCPT TO may carry, or a reason for
//   rejected.csv. The local part stays as it is, octet by octet (only its owner knows what it
//   means); the domain becomes lower-case A-labels (IDNA2008, non-transitional), an address
//   literal stays as given.
// Accepted: dot-atom and quoted local parts (RFC 5321 §4.1.2), also with UTF-8 (RFC 6531 §3.3);
//   host names of letters, digits and hyphens; [192.0.2.1] and [IPv6:2001:db8::1]. Spaces and tabs
//   around the address are dropped.
// Refused: control characters anywhere, comments, folding, display names, obsolete forms, labels
//   with underscores, a final dot, tagged literals other than IPv6.
// Ownership: the views of a result point into `in` or into `scratch`: they live as long as neither
//   changes. `scratch` is memory to reuse from row to row; its contents mean nothing.
// Thread: pure; any.
// Errors: a literal that ends the sentence "row 7 is rejected: ..."; never an exception.
// Limits: local part 64 octets, label 63, domain 253, address 254 (RFC 5321 §4.5.3.1, RFC 3696
//   erratum 1690), counted after normalisation.
// BUGS: A-labels that come in ASCII are not decoded and checked: DNS has the last word. A domain
//   outside ASCII costs a few allocations inside libidn2.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

struct Address {
  std::string_view address;     // local_part, "@", domain; contiguous
  std::string_view local_part;  // as given, quotes included
  std::string_view domain;      // lower-case A-labels, or the literal with its brackets
  bool needs_smtputf8 = false;  // the local part is not ASCII (RFC 6531)
  bool is_literal = false;      // the domain is an address literal
};

struct AddressResult {
  Address address;              // meaningful only when ok()
  const char* error = nullptr;  // null when the address is good
  bool ok() const { return error == nullptr; }
};

// Allocates nothing once `scratch` has grown to the longest address, domains outside ASCII apart.
AddressResult parse_address(std::string_view in, std::string& scratch);

}  // namespace sluice
