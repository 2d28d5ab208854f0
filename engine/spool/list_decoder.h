// From the octets of a list file to the octets of the list: plain, gzip or Zstandard.
//
// Purpose: decompression as a stream between whoever reads the file and the reader of records.
//   What the file is follows from its first octets; a name that ends in .gz or .zst without the
//   matching content is an error, so that a broken upload is not mailed as text.
//   gzip: any number of members (RFC 1952 §2.2), zero padding behind the last. Zstandard: any
//   number of frames, skippable ones included (RFC 8878 §3).
// Use: feed() a piece of the file, pull() until it gives an empty view, feed() the next, ...
//   finish() at the end of the file, pull() until empty; then done() is true.
// Ownership: pulled views live until the next call of pull() or feed(). What was fed must stay
//   unchanged until pull() gave an empty view.
// Thread: one at a time.
// Errors: pull() says what is wrong and at which octet of the file. After an error every further
//   pull() repeats it.
// Limits: memory is output_bytes plus the library's window: 32 KiB for gzip, at most
//   2^window_log_max for Zstandard; frames that need more are refused.
// BUGS: no seeking in compressed lists; a restart decodes from the start and skip()s, and one
//   pull() then decodes all that was fed: feed little (64 KiB) at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace sluice {

enum class ListEncoding : uint8_t { kUnknown, kPlain, kGzip, kZstd };

class ListDecoder {
 public:
  struct Options {
    size_t output_bytes = 64UL << 10;  // a pulled view has at most so many, compressed lists only
    int window_log_max = 27;           // 128 MiB, what `zstd` itself accepts without a flag
  };

  // `file_name` decides nothing but what is checked (see above), and stands in messages.
  explicit ListDecoder(std::string file_name) : ListDecoder(std::move(file_name), Options()) {}
  ListDecoder(std::string file_name, Options options);
  ~ListDecoder();
  ListDecoder(const ListDecoder&) = delete;
  ListDecoder& operator=(const ListDecoder&) = delete;

  // REQUIRES: the last pull() gave an empty view; finish() was not called.
  void feed(std::span<const char> octets);
  // The file has ended.
  void finish();
  // The next octets of the list. Empty: give more, or, after finish(), that was all.
  StatusOr<std::string_view> pull();
  // Throws away the next `octets` of the list, before anything is pulled again.
  void skip(uint64_t octets) { skip_ += octets; }

  // True when the list has ended properly and all of it was pulled.
  bool done() const { return done_; }
  // kUnknown until the first octets have been pulled. A plain list may be read from any offset.
  ListEncoding encoding() const { return encoding_; }
  // Octets of the list pulled or skipped so far.
  uint64_t decoded_bytes() const { return decoded_; }
  // Octets of the file used so far.
  uint64_t encoded_bytes() const { return encoded_; }

 private:
  struct Gzip;
  struct Zstd;

  StatusOr<std::string_view> pull_some();
  Status start(ListEncoding encoding);
  StatusOr<std::string_view> pull_plain();
  StatusOr<std::string_view> pull_gzip();
  StatusOr<std::string_view> pull_zstd();
  Status begin_member(std::string_view in);
  Status broken(const std::string& what) const;
  std::string_view source() const;
  void use(size_t octets);

  const std::string file_name_;
  const Options options_;
  ListEncoding encoding_ = ListEncoding::kUnknown;
  std::string head_;        // the first octets, until they suffice to tell what the file is
  size_t head_used_ = 0;    // octets of head_ already given to the decoder
  std::string_view input_;  // what was fed and is not used yet
  bool finished_ = false;
  bool done_ = false;
  uint64_t skip_ = 0;
  uint64_t decoded_ = 0;
  uint64_t encoded_ = 0;
  Status failure_;
  std::unique_ptr<char[]> output_;
  std::unique_ptr<Gzip> gzip_;
  std::unique_ptr<Zstd> zstd_;
};

}  // namespace sluice
