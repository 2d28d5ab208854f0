// An address that is accepted has one form, which is accepted again as it is.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/spool/address.h"
#include "tests/fuzz/input.h"

namespace sluice {
namespace {

constexpr size_t kLocalBytesMax = 64;
constexpr size_t kDomainBytesMax = 253;
constexpr size_t kAddressBytesMax = 254;

void check_domain(std::string_view domain) {
  CHECK(domain.size() <= kDomainBytesMax);
  for (const std::string_view label : split(domain, '.')) {
    CHECK(!label.empty() && label.size() <= 63);
    CHECK(label.front() != '-' && label.back() != '-');
    for (const char c : label) CHECK((c >= 'a' && c <= 'z') || is_digit(c) || c == '-');
  }
}

void check_good(const Address& address) {
  CHECK(address.address == std::string(address.local_part) + "@" + std::string(address.domain));
  CHECK(address.address.size() <= kAddressBytesMax);
  CHECK(!address.local_part.empty() && address.local_part.size() <= kLocalBytesMax);
  CHECK(address.needs_smtputf8 == !is_ascii(address.local_part));
  CHECK(is_utf8(address.local_part));
  // No octet that could end the command line or the path's part of it.
  for (const char c : address.address) {
    CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  }
  const bool quoted = address.local_part.front() == '"';
  CHECK(quoted == (address.local_part.back() == '"'));
  if (!quoted) CHECK(address.local_part.find_first_of(" <>()[]\\,;:@\"") == std::string_view::npos);
  CHECK(address.is_literal == (address.domain.front() == '['));
  if (address.is_literal) {
    CHECK(address.domain.back() == ']' && is_ascii(address.domain));
  } else {
    check_domain(address.domain);
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  const std::string_view given = input.rest();
  std::string scratch = "left from the row before";
  const AddressResult result = parse_address(given, scratch);
  if (!result.ok()) {
    CHECK(*result.error != '\0');
    return 0;
  }
  check_good(result.address);

  const std::string normal(result.address.address);
  std::string other_scratch;
  const AddressResult again = parse_address(normal, other_scratch);
  CHECK(again.ok());
  CHECK(again.address.address == normal);
  CHECK(again.address.local_part == result.address.local_part);
  CHECK(again.address.domain == result.address.domain);
  CHECK(again.address.needs_smtputf8 == result.address.needs_smtputf8);
  CHECK(again.address.is_literal == result.address.is_literal);
  return 0;
}
