// What a suppression list says, line by line.
//
// Purpose: octets of a file of suppress/ become 128-bit keys. One entry a line: an address, "@" and
//   a domain (its sub-domains are not meant), or 64 hexadecimal digits: the SHA-256 of an address.
//   Empty lines and lines that begin with "#" say nothing; a byte-order mark, CRs at the ends of
//   lines and blanks around an entry are passed by.
// How entries compare: an address whole, the letters A to Z as small ones in the local part too
//   (others as they are written), its domain as A-labels: so is it hashed, too.
// Ownership: a list holds the beginning of a line whose end has not come. Thread: one at a time;
//   the functions are pure.
// Errors: lines that are none of these are counted, with the number of the first.
// Limits: lines of at most kSuppressLineMax octets.
// BUGS: an address that begins with "#" must be given by its SHA-256. Quoted local parts are
//   compared with their quotes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/spool/sip_hash.h"

namespace sluice {

inline constexpr size_t kSuppressLineMax = 4'096;

// Which kinds of entries there are: a look-up asks only for those.
struct SuppressKinds {
  bool addresses = false;
  bool domains = false;
  bool digests = false;
  SuppressKinds& operator|=(const SuppressKinds& other) {
    addresses = addresses || other.addresses;
    domains = domains || other.domains;
    digests = digests || other.digests;
    return *this;
  }
  friend bool operator==(const SuppressKinds&, const SuppressKinds&) = default;
};

// Keys of a normalised address (Address::address) and its domain.
Hash128 suppress_key_of_address(std::string_view address);
Hash128 suppress_key_of_domain(std::string_view domain);
Hash128 suppress_key_of_digest(std::string_view address);

class SuppressList {
 public:
  // Where a list was left: all whole lines before are taken.
  struct Position {
    uint64_t bytes = 0;  // behind the last line's end
    uint64_t lines = 0;
    uint64_t bad = 0;             // lines that are no entry
    uint64_t first_bad_line = 0;  // from 1; 0: none
    SuppressKinds kinds;
  };

  SuppressList() = default;
  explicit SuppressList(const Position& from) : position_(from) {}

  // Takes the next octets, and appends the keys of the lines that end in them.
  void feed(std::string_view octets, std::vector<Hash128>& keys);
  // The file ends here: appends the key of a last line without an end, if that is an entry. The
  // position stays before it: the next octets may belong to it.
  void end(std::vector<Hash128>& keys, SuppressKinds& kinds);

  const Position& position() const { return position_; }

 private:
  enum class Line : uint8_t { kEntry, kNothing, kBad };
  Line take(std::string_view line, SuppressKinds& kinds, std::vector<Hash128>& keys);
  void take_line(std::string_view line, std::vector<Hash128>& keys);

  Position position_;
  std::string rest_;  // of a line whose end has not come
  bool too_long_ = false;
  uint64_t rest_bytes_ = 0;
  std::string scratch_;
};

}  // namespace sluice
