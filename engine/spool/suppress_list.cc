#include "engine/spool/suppress_list.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/spool/address.h"

namespace sluice {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kDigestDigits = 64;
constexpr size_t kLongestAddress = 320;

// The kinds have keys of their own: no entry of one stands for one of another.
constexpr SipKey kAddressKey{0x736c756963650001, 0x61646472657373};
constexpr SipKey kDomainKey{0x736c756963650002, 0x646f6d61696e};

// The text in small letters, in `buffer` where it fits.
class Lowered {
 public:
  explicit Lowered(std::string_view text) {
    if (text.size() > buffer_.size()) {
      long_ = to_lower(text);
      view_ = long_;
      return;
    }
    std::transform(text.begin(), text.end(), buffer_.begin(), ascii_lower);
    view_ = std::string_view(buffer_.data(), text.size());
  }
  std::string_view view() const { return view_; }

 private:
  std::array<char, kLongestAddress> buffer_;
  std::string long_;
  std::string_view view_;
};

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char low = ascii_lower(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool is_digest(std::string_view text) {
  return text.size() == kDigestDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return hex_value(c) >= 0; });
}

// Of a SHA-256 its first 128 bits.
Hash128 first_bits(const uint8_t* octets) {
  Hash128 hash;
  std::memcpy(&hash.high, octets, sizeof hash.high);
  std::memcpy(&hash.low, octets + sizeof hash.high, sizeof hash.low);
  return hash;
}

Hash128 key_of_digits(std::string_view digits) {
  std::array<uint8_t, 16> octets{};
  for (size_t i = 0; i < octets.size(); ++i) {
    octets[i] = static_cast<uint8_t>(hex_value(digits[2 * i]) * 16 + hex_value(digits[2 * i + 1]));
  }
  return first_bits(octets.data());
}

}  // namespace

Hash128 suppress_key_of_address(std::string_view address) {
  const Lowered lowered(address);
  return sip_hash_128(kAddressKey, lowered.view());
}

Hash128 suppress_key_of_domain(std::string_view domain) {
  const Lowered lowered(domain);
  return sip_hash_128(kDomainKey, lowered.view());
}

Hash128 suppress_key_of_digest(std::string_view address) {
  const Lowered lowered(address);
  return first_bits(sha256(lowered.view()).data());
}

SuppressList::Line SuppressList::take(std::string_view line, SuppressKinds& kinds,
                                      std::vector<Hash128>& keys) {
  line = trim(line);
  if (line.empty() || line.front() == '#') return Line::kNothing;
  if (line.front() == '@') {
    const std::string anybody = "x" + std::string(line);  // the result's views point into it
    const AddressResult parsed = parse_address(anybody, scratch_);
    if (!parsed.ok()) return Line::kBad;
    kinds.domains = true;
    keys.push_back(suppress_key_of_domain(parsed.address.domain));
    return Line::kEntry;
  }
  if (is_digest(line)) {
    kinds.digests = true;
    keys.push_back(key_of_digits(line));
    return Line::kEntry;
  }
  const AddressResult parsed = parse_address(line, scratch_);
  if (!parsed.ok()) return Line::kBad;
  kinds.addresses = true;
  keys.push_back(suppress_key_of_address(parsed.address.address));
  return Line::kEntry;
}

void SuppressList::take_line(std::string_view line, std::vector<Hash128>& keys) {
  ++position_.lines;
  if (position_.lines == 1 && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (!too_long_ && take(line, position_.kinds, keys) != Line::kBad) return;
  if (position_.bad++ == 0) position_.first_bad_line = position_.lines;
}

void SuppressList::feed(std::string_view octets, std::vector<Hash128>& keys) {
  while (!octets.empty()) {
    const size_t end = octets.find('\n');
    const std::string_view piece = octets.substr(0, end);
    rest_bytes_ += piece.size();
    if (rest_.size() + piece.size() > kSuppressLineMax) too_long_ = true;
    if (end == std::string_view::npos) {
      if (!too_long_) rest_ += piece;
      return;
    }
    if (too_long_ || rest_.empty()) {
      take_line(piece, keys);
    } else {
      rest_ += piece;
      take_line(rest_, keys);
    }
    position_.bytes += rest_bytes_ + 1;
    rest_bytes_ = 0;
    rest_.clear();
    too_long_ = false;
    octets.remove_prefix(end + 1);
  }
}

void SuppressList::end(std::vector<Hash128>& keys, SuppressKinds& kinds) {
  if (too_long_) return;
  std::string_view line = rest_;
  if (position_.lines == 0 && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  (void)take(line, kinds, keys);
}

}  // namespace sluice
