// Reading and writing of little-endian numbers, varints and length-prefixed strings in byte
// buffers: the alphabet of our file formats. Bounds are always checked; any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice {

// Appends to a string that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(uint16_t value) { fixed(value); }
  void u32(uint32_t value) { fixed(value); }
  void u64(uint64_t value) { fixed(value); }
  // LEB128, seven bits an octet, at most ten octets.
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  // varint length, then the octets.
  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }
  void raw(std::string_view value) { out_.append(value); }

 private:
  template <typename T>
  void fixed(T value) {
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    char octets[sizeof value];
    std::memcpy(octets, &value, sizeof value);
    out_.append(octets, sizeof value);
  }

  std::string& out_;
};

// Reads from a view. After the first read beyond the end, or of a malformed varint, ok() is false
// and every further read gives zero or an empty view: check ok() once, after a group of reads.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  size_t left() const { return rest_.size(); }

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t octet = u8();
      value |= static_cast<uint64_t>(octet & 0x7F) << shift;
      if ((octet & 0x80) == 0) return value;
    }
    fail();
    return 0;
  }
  // The view points into the bytes given to the constructor.
  std::string_view text() {
    const uint64_t length = varint();
    return raw(length);
  }
  std::string_view raw(uint64_t length) {
    if (length > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view value = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return value;
  }

 private:
  template <typename T>
  T fixed() {
    T value = 0;
    const std::string_view octets = raw(sizeof value);
    if (octets.size() == sizeof value) std::memcpy(&value, octets.data(), sizeof value);
    return value;
  }
  void fail() {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace sluice
