// A list file of any octets decodes to the same however it comes in pieces, an error included; what
// zlib and Zstandard compressed comes out as it was, also from the middle.
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/status.h"
#include "engine/spool/list_decoder.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

// A few octets can stand for gigabytes.
constexpr size_t kDecodedMax = 256UL << 10;

struct Decoded {
  std::string list;
  std::string error;
  bool done = false;
  bool cut = false;  // there was more than kDecodedMax
};

// An error may come sooner or later, and name another octet of the damage: libraries look at a
// piece as a whole. What is wrong stays the same.
bool same(const Decoded& a, const Decoded& b) {
  const std::string& shorter = a.list.size() < b.list.size() ? a.list : b.list;
  const std::string& longer = a.list.size() < b.list.size() ? b.list : a.list;
  if (a.error.empty() && b.error.empty()) {
    return a.list == b.list && a.done == b.done && a.cut == b.cut;
  }
  const auto reason = [](const Decoded& d) {
    return d.error.substr(0, d.error.find(" at octet "));
  };
  return longer.starts_with(shorter) && (a.cut || b.cut || reason(a) == reason(b));
}

Decoded decode(const std::string& name, std::string_view file, Cutter cutter, uint64_t skip = 0) {
  ListDecoder::Options options;
  options.output_bytes = 4'096;
  options.window_log_max = 17;
  ListDecoder decoder(name, options);
  decoder.skip(skip);
  Decoded decoded;
  bool finished = false;
  const size_t file_bytes = file.size();
  for (;;) {
    const StatusOr<std::string_view> pulled = decoder.pull();
    if (!pulled.ok()) {
      decoded.error = message_of(pulled.status());
      CHECK(!decoded.error.empty() && !decoder.done());
      const StatusOr<std::string_view> again = decoder.pull();
      CHECK(!again.ok() && message_of(again.status()) == decoded.error);
      return decoded;
    }
    if (!pulled->empty()) {
      if (decoder.encoding() != ListEncoding::kPlain) {
        CHECK(pulled->size() <= options.output_bytes);
      }
      decoded.list += *pulled;
      CHECK(decoder.decoded_bytes() == decoded.list.size() + skip);
      decoded.cut = decoded.list.size() > kDecodedMax;
      if (!decoded.cut) continue;
      decoded.list.resize(kDecodedMax);
      return decoded;
    }
    CHECK(decoder.encoded_bytes() <= file_bytes);
    if (finished) break;
    if (file.empty()) {
      decoder.finish();
      finished = true;
    } else {
      decoder.feed(cutter.next(file));
    }
  }
  decoded.done = decoder.done();
  CHECK(decoded.done);
  return decoded;
}

std::string gzip(std::string_view text) {
  z_stream stream = {};
  CHECK(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  std::string in(text);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1);
  CHECK(ZSTD_isError(size) == 0);
  out.resize(size);
  return out;
}

void check_compressed(const std::string& name, std::string_view first, std::string_view second,
                      Cutter cutter, size_t skip) {
  const bool is_gzip = name.ends_with(".gz");
  const std::string file = is_gzip ? gzip(first) + gzip(second) : zstd(first) + zstd(second);
  const std::string list = std::string(first) + std::string(second);
  CHECK(same(decode(name, file, cutter), {list, "", true, false}));
  skip = list.empty() ? 0 : skip % (list.size() + 1);
  CHECK(same(decode(name, file, cutter, skip), {list.substr(skip), "", true, false}));
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input input(data, size);
  constexpr std::string_view kNames[] = {"list.csv", "list.csv.gz", "list.csv.zst"};
  const std::string name(kNames[input.below(3)]);
  // Compressing costs more than all the rest.
  const bool compressed = input.below(8) == 0;
  const size_t skip = input.choice();
  const std::string_view lengths = input.choices(1 + input.below(4));
  if (compressed && name != kNames[0]) {
    const std::string_view first = input.field();
    check_compressed(name, first, input.rest(), Cutter(lengths), skip);
    return 0;
  }
  const std::string_view file = input.rest();
  const Decoded whole = decode(name, file, Cutter());
  CHECK(same(whole, decode(name, file, Cutter(lengths))));
  return 0;
}
