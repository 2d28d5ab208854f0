#include "engine/spool/segment_format.h"

#include "engine/base/bytes.h"
#include "engine/base/crc32c.h"

namespace sluice {
namespace {

constexpr std::string_view kHeaderMagic = "SLUICESG";
constexpr std::string_view kTrailerMagic = "SGSLUICE";

Status bad(std::string what) {
  return io_error("segment: " + what + "; the file is damaged: set it aside");
}

Status check_version(uint32_t version) {
  if (version == kSegmentVersion) return absl::OkStatus();
  return io_error("segment: version " + std::to_string(version) + ", this program reads version " +
                  std::to_string(kSegmentVersion) + "; use the program that wrote it");
}

}  // namespace

void append_segment_header(std::string& out) {
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.raw(kHeaderMagic);
  writer.u32(kSegmentVersion);
  writer.u32(crc32c(std::string_view(out).substr(begin)));
}

void append_segment_meta(const SegmentMeta& meta, std::string& out) {
  ByteWriter writer(out);
  writer.text(meta.job);
  writer.raw({reinterpret_cast<const char*>(meta.template_hash.data()), meta.template_hash.size()});
  writer.varint(meta.number);
  writer.varint(meta.row_begin);
  writer.varint(meta.row_end);
  writer.varint(meta.resume_offset);
  writer.varint(meta.resume_line);
  writer.varint(meta.rejected);
  writer.varint(meta.suppressed);
  writer.varint(meta.duplicate);
  writer.varint(meta.address_column);
  writer.varint(meta.columns.size());
  for (const std::string& column : meta.columns) writer.text(column);
}

void append_segment_trailer(const SegmentTrailer& trailer, std::string& out) {
  const size_t begin = out.size();
  ByteWriter writer(out);
  writer.u64(trailer.index_offset);
  writer.u32(trailer.index_bytes);
  writer.u32(trailer.index_crc);
  writer.u32(kSegmentVersion);
  writer.u32(crc32c(std::string_view(out).substr(begin)));
  writer.raw(kTrailerMagic);
}

Status check_segment_header(std::string_view octets) {
  ByteReader reader(octets);
  const std::string_view magic = reader.raw(kHeaderMagic.size());
  const uint32_t version = reader.u32();
  const uint32_t crc = reader.u32();
  if (!reader.ok()) return bad("shorter than a header");
  if (magic != kHeaderMagic) return bad("it does not begin like a segment");
  if (crc != crc32c(octets.substr(0, kSegmentHeaderBytes - 4))) return bad("header checksum");
  return check_version(version);
}

StatusOr<SegmentTrailer> parse_segment_trailer(std::string_view octets, uint64_t file_bytes) {
  if (octets.size() != kSegmentTrailerBytes ||
      file_bytes < kSegmentHeaderBytes + kSegmentTrailerBytes) {
    return bad("shorter than header and trailer");
  }
  ByteReader reader(octets);
  SegmentTrailer trailer;
  trailer.index_offset = reader.u64();
  trailer.index_bytes = reader.u32();
  trailer.index_crc = reader.u32();
  const uint32_t version = reader.u32();
  const uint32_t crc = reader.u32();
  if (reader.raw(kTrailerMagic.size()) != kTrailerMagic) {
    return bad("it does not end like a segment (cut off?)");
  }
  if (crc != crc32c(octets.substr(0, kSegmentTrailerBytes - kTrailerMagic.size() - 4))) {
    return bad("trailer checksum");
  }
  RETURN_IF_ERROR(check_version(version));
  const uint64_t index_end = file_bytes - kSegmentTrailerBytes;
  if (trailer.index_offset < kSegmentHeaderBytes || trailer.index_offset > index_end ||
      trailer.index_bytes != index_end - trailer.index_offset) {
    return bad("index outside the file (cut off?)");
  }
  return trailer;
}

StatusOr<SegmentMeta> parse_segment_meta(ByteReader& in) {
  SegmentMeta meta;
  meta.job = in.text();
  const std::string_view hash = in.raw(meta.template_hash.size());
  if (in.ok()) std::memcpy(meta.template_hash.data(), hash.data(), hash.size());
  const uint64_t number = in.varint();
  meta.row_begin = in.varint();
  meta.row_end = in.varint();
  meta.resume_offset = in.varint();
  meta.resume_line = in.varint();
  meta.rejected = in.varint();
  meta.suppressed = in.varint();
  meta.duplicate = in.varint();
  const uint64_t address_column = in.varint();
  const uint64_t columns = in.varint();
  if (!in.ok() || number > UINT32_MAX) return bad("malformed description");
  if (columns == 0 || columns > in.left() || address_column >= columns) return bad("columns");
  if (meta.row_begin > meta.row_end) return bad("rows of the list");
  meta.number = static_cast<SegmentNumber>(number);
  meta.address_column = static_cast<uint32_t>(address_column);
  meta.columns.reserve(columns);
  for (uint64_t i = 0; i < columns; ++i) meta.columns.emplace_back(in.text());
  if (!in.ok()) return bad("names of columns");
  return meta;
}

}  // namespace sluice
