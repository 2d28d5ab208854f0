#include "engine/spool/list_decoder.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

std::string gzip(std::string text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text, int window_log = 0, bool checksum = true) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // Two steps, so that the size is not known when the frame begins and the window is kept.
  EXPECT_EQ(ZSTD_isError(ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue)), 0U);
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end), 0U);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string sample(size_t lines) {
  Random random(5);
  std::string text = "email,name\n";
  for (size_t i = 0; i < lines; ++i) {
    text += "user" + std::to_string(random.below(1'000'000)) + "@example.com,Name\n";
  }
  return text;
}

struct Decoded {
  std::string text;
  Status status;
  bool done = false;
};

Decoded decode(const std::string& file, const std::vector<size_t>& pieces,
               const std::string& name = "list.csv", size_t output_bytes = 64) {
  ListDecoder::Options options;
  options.output_bytes = output_bytes;
  ListDecoder decoder(name, options);
  Decoded result;
  const auto drain = [&] {
    while (true) {
      const StatusOr<std::string_view> piece = decoder.pull();
      result.status = piece.status();
      if (!piece.ok() || piece->empty()) return piece.ok();
      result.text += *piece;
    }
  };
  size_t at = 0;
  for (size_t i = 0; at < file.size(); ++i) {
    const size_t size = i < pieces.size() ? pieces[i] : file.size() - at;
    decoder.feed(std::span<const char>(file).subspan(at, std::min(size, file.size() - at)));
    at += std::min(size, file.size() - at);
    if (!drain()) return result;
  }
  decoder.finish();
  drain();
  result.done = decoder.done();
  if (result.status.ok()) {
    EXPECT_EQ(decoder.decoded_bytes(), result.text.size());
    EXPECT_EQ(decoder.encoded_bytes(), file.size());
  }
  return result;
}

void expect_every_split(const std::string& file, const std::string& text) {
  for (size_t split = 0; split <= file.size(); ++split) {
    const Decoded result = decode(file, {split});
    ASSERT_TRUE(result.status.ok()) << split << ": " << result.status;
    ASSERT_TRUE(result.done) << split;
    ASSERT_EQ(result.text, text) << split;
  }
  const Decoded single = decode(file, std::vector<size_t>(file.size(), 1), "list.csv", 1);
  ASSERT_TRUE(single.status.ok()) << single.status;
  EXPECT_TRUE(single.done);
  EXPECT_EQ(single.text, text);
}

TEST(ListDecoderTest, PassesPlainText) {
  expect_every_split("email,name\na@b,c\n", "email,name\na@b,c\n");
  expect_every_split("abc", "abc");
  expect_every_split("", "");
}

TEST(ListDecoderTest, Gunzips) { expect_every_split(gzip(sample(20)), sample(20)); }

TEST(ListDecoderTest, GunzipsManyMembersAndPadding) {
  expect_every_split(gzip("one\n") + gzip("") + gzip("two\n") + std::string(9, '\0'), "one\ntwo\n");
}

TEST(ListDecoderTest, UnpacksZstandard) { expect_every_split(zstd(sample(20)), sample(20)); }

TEST(ListDecoderTest, UnpacksManyAndSkippableFrames) {
  const std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
  expect_every_split(zstd("one\n") + skippable + zstd("") + zstd("two\n"), "one\ntwo\n");
  expect_every_split(skippable + zstd("one\n"), "one\n");
}

TEST(ListDecoderTest, UnpacksMuch) {
  const std::string text = sample(50'000);
  for (const std::string& file : {gzip(text), zstd(text)}) {
    const Decoded result =
        decode(file, std::vector<size_t>(file.size() / 4096 + 1, 4096), "x", 65536);
    ASSERT_TRUE(result.status.ok()) << result.status;
    EXPECT_TRUE(result.text == text);
  }
}

TEST(ListDecoderTest, RefusesWhatIsCutOff) {
  for (const std::string& file : {gzip(sample(20)), zstd(sample(20))}) {
    for (size_t length = 4; length < file.size(); ++length) {
      const Decoded result = decode(file.substr(0, length), {});
      ASSERT_FALSE(result.status.ok()) << length;
      EXPECT_NE(message_of(result.status).find("cut off at octet " + std::to_string(length)),
                std::string::npos)
          << result.status;
    }
  }
}

TEST(ListDecoderTest, RefusesWhatIsCorrupt) {
  const std::string text = sample(20);
  for (const std::string& good : {gzip(text), zstd(text)}) {
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] ^= 0x10;
      const Decoded result = decode(bad, {});
      // Octets that mean nothing (gzip's time stamp) may change; the text may not. Without its
      // first octets a file is plain text.
      if (result.status.ok()) {
        EXPECT_TRUE(result.text == text || result.text == bad) << i;
      } else {
        EXPECT_NE(message_of(result.status).find("octet"), std::string::npos) << result.status;
      }
    }
  }
}

TEST(ListDecoderTest, RefusesOtherThingsBehindGzip) {
  const Decoded text = decode(gzip("one\n") + "text", {});
  EXPECT_FALSE(text.status.ok());
  EXPECT_EQ(text.text, "one\n");
  EXPECT_FALSE(decode(gzip("one\n") + std::string(3, '\0') + gzip("two\n"), {}).status.ok());
}

TEST(ListDecoderTest, RefusesANameThatLies) {
  for (const std::string name : {"list.csv.gz", "LIST.GZ", "list.csv.zst"}) {
    const Decoded result = decode("email\na@b\n", {}, name);
    ASSERT_FALSE(result.status.ok());
    EXPECT_NE(message_of(result.status).find(name), std::string::npos);
    EXPECT_FALSE(decode("", {}, name).status.ok());
  }
  EXPECT_FALSE(decode(gzip("x"), {}, "list.zst").status.ok());
  EXPECT_TRUE(decode(gzip("x"), {}, "list.gz").status.ok());
  EXPECT_TRUE(decode(zstd("x"), {}, "list.zst").status.ok());
}

TEST(ListDecoderTest, RefusesAWindowTooLarge) {
  ListDecoder::Options options;
  options.window_log_max = 20;
  const std::string file = zstd(sample(1000), 22);
  ListDecoder decoder("list.csv.zst", options);
  decoder.feed(file);
  const auto piece = decoder.pull();
  ASSERT_FALSE(piece.ok());
  EXPECT_NE(message_of(piece.status()).find("window of more than 1 MiB"), std::string::npos)
      << piece.status();
  EXPECT_FALSE(decoder.pull().ok());  // stays failed
}

TEST(ListDecoderTest, SkipsToWhereARestartGoesOn) {
  const std::string text = sample(200);
  for (const std::string& file : {text, gzip(text), zstd(text)}) {
    for (size_t skip = 0; skip <= text.size(); skip += 97) {
      ListDecoder decoder("list.csv");
      decoder.skip(skip);
      decoder.feed(file);
      decoder.finish();
      std::string rest;
      while (true) {
        const auto piece = decoder.pull();
        ASSERT_TRUE(piece.ok()) << piece.status();
        if (piece->empty()) break;
        rest += *piece;
      }
      ASSERT_EQ(rest, text.substr(skip));
      EXPECT_EQ(decoder.decoded_bytes(), text.size());
    }
    ListDecoder decoder("list.csv");
    decoder.skip(text.size() + 1);
    decoder.feed(file);
    decoder.finish();
    EXPECT_FALSE(decoder.pull().ok());
  }
}

}  // namespace
}  // namespace sluice
