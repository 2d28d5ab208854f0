#include "engine/spool/list_decoder.h"

#define ZLIB_CONST  // next_in takes const octets
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kHeadBytes = 4;  // enough to tell the three apart
constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
constexpr std::string_view kZstdSkippableTail("\x2a\x4d\x18", 3);  // behind 0x50 to 0x5F

ListEncoding recognise(std::string_view head) {
  if (head.substr(0, 2) == kGzipMagic) return ListEncoding::kGzip;
  if (head == kZstdMagic) return ListEncoding::kZstd;
  if (head.size() == 4 && (head[0] & 0xF0) == 0x50 && head.substr(1) == kZstdSkippableTail) {
    return ListEncoding::kZstd;
  }
  return ListEncoding::kPlain;
}

bool ends_with_ignore_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         equals_ignore_case(text.substr(text.size() - end.size()), end);
}

}  // namespace

struct ListDecoder::Gzip {
  z_stream stream{};
  bool in_member = true;
  bool in_padding = false;
  Gzip() { CHECK(inflateInit2(&stream, 15 + 16) == Z_OK); }  // 16: gzip framing only
  ~Gzip() { inflateEnd(&stream); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
};

struct ListDecoder::Zstd {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  bool in_frame = false;
  explicit Zstd(int window_log_max) {
    CHECK(context != nullptr);
    const size_t result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, window_log_max);
    CHECK(ZSTD_isError(result) == 0);
  }
  ~Zstd() { ZSTD_freeDCtx(context); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
};

ListDecoder::ListDecoder(std::string file_name, Options options)
    : file_name_(std::move(file_name)), options_(options) {
  CHECK(options.output_bytes > 0);
}

ListDecoder::~ListDecoder() = default;

void ListDecoder::feed(std::span<const char> octets) {
  CHECK(!finished_ && input_.empty());
  input_ = {octets.data(), octets.size()};
}

void ListDecoder::finish() { finished_ = true; }

Status ListDecoder::broken(const std::string& what) const {
  return invalid(escaped(file_name_) + ": " + what + " at octet " + std::to_string(encoded_) +
                 " of the file; write or upload the list again");
}

StatusOr<std::string_view> ListDecoder::pull() {
  while (failure_.ok()) {
    const StatusOr<std::string_view> piece = pull_some();
    if (!piece.ok()) {
      failure_ = piece.status();
      break;
    }
    decoded_ += piece->size();
    if (piece->empty() && done_ && skip_ > 0) {
      failure_ = broken("the list is shorter than it was: it ends");
      break;
    }
    const auto skipped = static_cast<size_t>(std::min<uint64_t>(skip_, piece->size()));
    skip_ -= skipped;
    if (piece->empty() || skipped < piece->size()) return piece->substr(skipped);
  }
  return failure_;
}

StatusOr<std::string_view> ListDecoder::pull_some() {
  if (done_) return std::string_view();
  if (encoding_ == ListEncoding::kUnknown) {
    const size_t wanted = std::min(kHeadBytes - head_.size(), input_.size());
    head_ += input_.substr(0, wanted);
    input_.remove_prefix(wanted);
    if (head_.size() < kHeadBytes && !finished_) return std::string_view();
    RETURN_IF_ERROR(start(recognise(head_)));
  }
  switch (encoding_) {
    case ListEncoding::kGzip:
      return pull_gzip();
    case ListEncoding::kZstd:
      return pull_zstd();
    default:
      return pull_plain();
  }
}

Status ListDecoder::start(ListEncoding encoding) {
  const bool gzip_name = ends_with_ignore_case(file_name_, ".gz");
  const bool zstd_name = ends_with_ignore_case(file_name_, ".zst");
  if ((gzip_name && encoding != ListEncoding::kGzip) ||
      (zstd_name && encoding != ListEncoding::kZstd)) {
    return invalid(escaped(file_name_) + ": the name says " +
                   (gzip_name ? "gzip (.gz)" : "Zstandard (.zst)") +
                   ", the file's first octets do not; compress the list or rename the file");
  }
  encoding_ = encoding;
  if (encoding == ListEncoding::kPlain) return absl::OkStatus();
  output_ = std::make_unique<char[]>(options_.output_bytes);
  if (encoding == ListEncoding::kGzip) gzip_ = std::make_unique<Gzip>();
  if (encoding == ListEncoding::kZstd) zstd_ = std::make_unique<Zstd>(options_.window_log_max);
  return absl::OkStatus();
}

// What is next in the file: first the octets kept to recognise it, then what was fed.
std::string_view ListDecoder::source() const {
  const std::string_view head = std::string_view(head_).substr(head_used_);
  return head.empty() ? input_ : head;
}

void ListDecoder::use(size_t octets) {
  encoded_ += octets;
  if (head_used_ < head_.size()) {
    head_used_ += octets;
  } else {
    input_.remove_prefix(octets);
  }
}

StatusOr<std::string_view> ListDecoder::pull_plain() {
  const std::string_view piece = source();
  use(piece.size());
  done_ = piece.empty() && finished_;
  return piece;
}

StatusOr<std::string_view> ListDecoder::pull_gzip() {
  z_stream& stream = gzip_->stream;
  while (true) {
    std::string_view in = source();
    if (!gzip_->in_member && in.empty()) {
      done_ = finished_;
      return std::string_view();
    }
    if (!gzip_->in_member) {
      RETURN_IF_ERROR(begin_member(in));
      continue;
    }
    in = in.substr(0, 1UL << 30);  // zlib counts in unsigned int
    stream.next_in = reinterpret_cast<const Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = reinterpret_cast<Bytef*>(output_.get());
    stream.avail_out = static_cast<uInt>(options_.output_bytes);
    const int result = inflate(&stream, Z_NO_FLUSH);
    use(in.size() - stream.avail_in);
    const size_t produced = options_.output_bytes - stream.avail_out;
    if (result == Z_STREAM_END) {
      gzip_->in_member = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return broken(std::string("corrupt gzip data (") +
                    (stream.msg != nullptr ? stream.msg : "no more is known") + ")");
    }
    if (produced > 0) return std::string_view(output_.get(), produced);
    if (gzip_->in_member && source().empty()) {
      if (finished_) return broken("the gzip data are cut off");
      return std::string_view();
    }
  }
}

// Behind a member: another one, or zeros to the end. Uses up zeros. REQUIRES: `in` is not empty.
Status ListDecoder::begin_member(std::string_view in) {
  const size_t zeros = std::min(in.find_first_not_of('\0'), in.size());
  if (zeros > 0) gzip_->in_padding = true;
  use(zeros);
  if (zeros == in.size()) return absl::OkStatus();
  if (gzip_->in_padding || in[0] != kGzipMagic[0]) {
    return broken("something that is not gzip follows the gzip data");
  }
  CHECK(inflateReset(&gzip_->stream) == Z_OK);
  gzip_->in_member = true;
  return absl::OkStatus();
}

StatusOr<std::string_view> ListDecoder::pull_zstd() {
  while (true) {
    const std::string_view piece = source();
    if (piece.empty() && !zstd_->in_frame) {
      done_ = finished_;
      return std::string_view();
    }
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    ZSTD_outBuffer out{output_.get(), options_.output_bytes, 0};
    const size_t result = ZSTD_decompressStream(zstd_->context, &out, &in);
    use(in.pos);
    if (ZSTD_isError(result) != 0) {
      if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
        return broken("a Zstandard window of more than " +
                      std::to_string((1ULL << options_.window_log_max) >> 20) +
                      " MiB, compress with a smaller --long,");
      }
      return broken(std::string("corrupt Zstandard data (") + ZSTD_getErrorName(result) + ")");
    }
    zstd_->in_frame = result != 0;
    if (out.pos > 0) return std::string_view(output_.get(), out.pos);
    if (source().empty() && zstd_->in_frame) {
      if (finished_) return broken("the Zstandard data are cut off");
      return std::string_view();
    }
  }
}

}  // namespace sluice
