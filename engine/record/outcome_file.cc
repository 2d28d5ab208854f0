#include "engine/record/outcome_file.h"

#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/record/format.h"
#include "engine/record/holes.h"

namespace sluice {
namespace {

enum class OutcomeKind : uint8_t { kJob = 1, kShape = 2, kRow = 3, kEnd = 4 };

constexpr std::string_view kMagic("SLOC\r\n\x1A\n", 8);
constexpr uint32_t kSkippable = 0x184D2A50;
constexpr size_t kHeaderBytes = 24;
// Compressed at once, about 0.1 ms.
constexpr size_t kPlainBytes = 32UL << 10;
// A frame ends with the record that reaches this.
constexpr size_t kFrameOctets = 1UL << 20;
constexpr size_t kRecordBytesMax = 64UL << 10;
constexpr int kLevel = 3;
constexpr int kWindowLog = 20;
constexpr int kWindowLogMax = 23;

constexpr uint8_t kMaybeDelivered = 1;
constexpr uint8_t kDnsStale = 2;
constexpr uint8_t kNoTimes = 4;

std::string file_header() {
  std::string content;
  ByteWriter writer(content);
  writer.raw(kMagic);
  writer.u16(kOutcomeFileVersion);
  writer.u16(0);
  writer.u32(crc32c(content));
  std::string out;
  ByteWriter whole(out);
  whole.u32(kSkippable);
  whole.u32(static_cast<uint32_t>(content.size()));
  whole.raw(content);
  return out;
}

// Reports show milliseconds.
int64_t milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// What is beyond the clock's range cannot be told.
bool to_wall(int64_t ms, WallTime& out) {
  constexpr int64_t kMax = INT64_MAX / 1'000'000;
  if (ms > kMax || ms < -kMax) return false;
  out = WallTime(std::chrono::duration_cast<Duration>(std::chrono::milliseconds(ms)));
  return true;
}

int64_t plus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

}  // namespace

bool is_outcome_file(std::string_view octets) {
  ByteReader reader(octets);
  return reader.u32() == kSkippable && reader.u32() == kHeaderBytes - 8;
}

struct OutcomeWriter::Zstd {
  Zstd() {
    for (const auto& [parameter, value] :
         {std::pair{ZSTD_c_compressionLevel, kLevel}, std::pair{ZSTD_c_windowLog, kWindowLog},
          std::pair{ZSTD_c_checksumFlag, 1}}) {
      CHECK(ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) == 0);
    }
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() { ZSTD_freeCCtx(context); }
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::string buffer = std::string(ZSTD_CStreamOutSize(), '\0');
};

OutcomeWriter::OutcomeWriter(std::string_view job_id)
    : zstd_(std::make_unique<Zstd>()), octets_(file_header()) {
  ByteWriter(body_).text(job_id);
  record(static_cast<uint8_t>(OutcomeKind::kJob));
}

OutcomeWriter::~OutcomeWriter() = default;

void OutcomeWriter::record(uint8_t kind) {
  const size_t before = plain_.size();
  ByteWriter writer(plain_);
  writer.u8(kind);
  writer.text(body_);
  body_.clear();
  frame_octets_ += plain_.size() - before;
  if (plain_.size() >= kPlainBytes) compress(/*end_of_frame=*/false);
}

void OutcomeWriter::compress(bool end_of_frame) {
  ZSTD_inBuffer in{plain_.data(), plain_.size(), 0};
  size_t left = 1;
  while (in.pos < in.size || (end_of_frame && left > 0)) {
    ZSTD_outBuffer out{zstd_->buffer.data(), zstd_->buffer.size(), 0};
    left = ZSTD_compressStream2(zstd_->context, &out, &in,
                                end_of_frame ? ZSTD_e_end : ZSTD_e_continue);
    CHECK(ZSTD_isError(left) == 0);
    octets_.append(zstd_->buffer, 0, out.pos);
  }
  plain_.clear();
  if (!end_of_frame) return;
  frame_octets_ = 0;
  frame_slots_ = 0;
  slots_.clear();
  last_number_ = 0;
  last_first_ms_ = 0;
}

uint32_t OutcomeWriter::slot_of(const PackedOutcome& outcome) {
  const bool no_times = outcome.first_at == WallTime() && outcome.last_at == WallTime();
  const uint64_t key = (uint64_t{outcome.shape} << 5) |
                       (static_cast<uint64_t>(outcome.state) << 1) | (no_times ? 1U : 0U);
  const auto [place, added] = slots_.try_emplace(key, frame_slots_);
  if (!added) return place->second;
  ByteWriter writer(body_);
  writer.u8(static_cast<uint8_t>(outcome.state));
  writer.u8(static_cast<uint8_t>((outcome.maybe_delivered ? kMaybeDelivered : 0) |
                                 (outcome.dns_stale ? kDnsStale : 0) | (no_times ? kNoTimes : 0)));
  writer.varint(outcome.code);
  writer.u8(outcome.enhanced.klass);
  writer.varint(outcome.enhanced.subject);
  writer.varint(outcome.enhanced.detail);
  writer.text(outcome.exchanger);
  writer.text(outcome.source);
  writer.text(outcome.site);
  writer.text(outcome.pattern);
  record(static_cast<uint8_t>(OutcomeKind::kShape));
  return frame_slots_++;
}

void OutcomeWriter::add(uint64_t number, std::string_view address, const PackedOutcome& outcome) {
  const uint32_t slot = slot_of(outcome);
  ByteWriter writer(body_);
  writer.varint(number - last_number_);
  last_number_ = number;
  writer.varint(slot);
  writer.varint(outcome.attempts);
  writer.text(address);
  if (outcome.first_at != WallTime() || outcome.last_at != WallTime()) {
    const int64_t first = milliseconds(outcome.first_at);
    writer.varint(zigzag(first - last_first_ms_));
    writer.varint(zigzag(milliseconds(outcome.last_at) - first));
    last_first_ms_ = first;
  }
  writer.raw(outcome.holes);
  record(static_cast<uint8_t>(OutcomeKind::kRow));
  ++rows_;
  if (frame_octets_ >= kFrameOctets) compress(/*end_of_frame=*/true);
}

void OutcomeWriter::finish(OutcomeTotals totals) {
  ByteWriter writer(body_);
  for (const uint64_t number :
       {rows_, totals.rejected, totals.suppressed, totals.duplicate, totals.texts_left_out}) {
    writer.varint(number);
  }
  record(static_cast<uint8_t>(OutcomeKind::kEnd));
  compress(/*end_of_frame=*/true);
}

struct OutcomeReader::Zstd {
  Zstd() {
    CHECK(ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kWindowLogMax)) == 0);
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() { ZSTD_freeDCtx(context); }
  ZSTD_DCtx* context = ZSTD_createDCtx();
  std::string buffer = std::string(ZSTD_DStreamOutSize(), '\0');
};

OutcomeReader::OutcomeReader(std::string file)
    : file_(std::move(file)), zstd_(std::make_unique<Zstd>()) {}

OutcomeReader::~OutcomeReader() = default;

void OutcomeReader::feed(std::string_view octets) {
  packed_.erase(0, packed_begin_);
  packed_begin_ = 0;
  packed_.append(octets);
}

OutcomeReader::Step OutcomeReader::next(OutcomeRow& row) {
  while (true) {
    switch (phase_) {
      case Phase::kHeader:
        if (!read_header() && phase_ == Phase::kHeader) return Step::kMore;
        continue;
      case Phase::kEnd:
        return Step::kEnd;
      case Phase::kCorrupt:
        return Step::kCorrupt;
      case Phase::kFrames:
        break;
    }
    bool is_row = false;
    if (read_record(row, is_row)) {
      if (is_row) return Step::kRow;
      continue;
    }
    if (phase_ == Phase::kCorrupt) continue;
    if (unpack() == Unpacked::kNeedMore) return Step::kMore;
  }
}

bool OutcomeReader::read_header() {
  if (packed_.size() < kHeaderBytes) {
    if (ended_) return corrupt("it is cut short");
    return false;
  }
  const std::string_view header = std::string_view(packed_).substr(0, kHeaderBytes);
  ByteReader reader(header);
  const std::string_view frame = reader.raw(8);
  const std::string_view content = reader.raw(kMagic.size() + 4);
  if (!is_outcome_file(frame) || !content.starts_with(kMagic))
    return corrupt("it is no file of outcomes");
  if (reader.u32() != crc32c(content)) return corrupt("its header is damaged");
  ByteReader version(content.substr(kMagic.size()));
  const uint16_t number = version.u16();
  if (number != kOutcomeFileVersion) {
    return corrupt("it has version " + std::to_string(number) + ", and this program knows " +
                   std::to_string(kOutcomeFileVersion));
  }
  packed_begin_ = offset_ = kHeaderBytes;
  phase_ = Phase::kFrames;
  return true;
}

// More octets of the open frame, or the first of the next.
OutcomeReader::Unpacked OutcomeReader::unpack() {
  if (frame_whole_ && packed_begin_ == packed_.size()) {
    if (!ended_) return Unpacked::kNeedMore;
    if (seen_end_ && plain_begin_ == plain_.size()) {
      phase_ = Phase::kEnd;
    } else {
      corrupt("it is cut short");
    }
    return Unpacked::kFailed;
  }
  if (frame_whole_ && !begin_frame()) return Unpacked::kFailed;
  plain_.erase(0, plain_begin_);
  plain_begin_ = 0;
  if (plain_.size() > kRecordBytesMax) {
    corrupt("a record is too long");
    return Unpacked::kFailed;
  }
  ZSTD_inBuffer in{packed_.data(), packed_.size(), packed_begin_};
  ZSTD_outBuffer out{zstd_->buffer.data(), zstd_->buffer.size(), 0};
  const size_t left = ZSTD_decompressStream(zstd_->context, &out, &in);
  if (ZSTD_isError(left) != 0) {
    corrupt(std::string("its compressed octets are damaged (") + ZSTD_getErrorName(left) + ")");
    return Unpacked::kFailed;
  }
  offset_ += in.pos - packed_begin_;
  const bool moved = in.pos > packed_begin_ || out.pos > 0;
  packed_begin_ = in.pos;
  plain_.append(zstd_->buffer, 0, out.pos);
  frame_whole_ = left == 0;
  if (moved || frame_whole_) return Unpacked::kSome;
  if (!ended_) return Unpacked::kNeedMore;
  corrupt("it is cut short");
  return Unpacked::kFailed;
}

bool OutcomeReader::begin_frame() {
  if (plain_begin_ != plain_.size()) return corrupt("a record is cut by the end of its frame");
  if (seen_end_) return corrupt("something follows its end");
  frame_whole_ = false;
  shapes_.clear();
  last_number_ = 0;
  last_first_ms_ = 0;
  return true;
}

bool OutcomeReader::read_record(OutcomeRow& row, bool& is_row) {
  ByteReader reader(std::string_view(plain_).substr(plain_begin_));
  const uint8_t kind = reader.u8();
  const std::string_view body = reader.text();
  if (!reader.ok()) return false;
  if (body.size() > kRecordBytesMax) return corrupt("a record is too long");
  plain_begin_ = plain_.size() - reader.left();
  if (seen_end_) return corrupt("something follows its end");
  switch (static_cast<OutcomeKind>(kind)) {
    case OutcomeKind::kJob: {
      ByteReader name(body);
      job_ = name.text();
      return name.ok() || corrupt("its job is malformed");
    }
    case OutcomeKind::kShape:
      return read_shape(body) || corrupt("a shape is malformed");
    case OutcomeKind::kRow:
      is_row = true;
      return read_row(body, row) || corrupt("a row is malformed");
    case OutcomeKind::kEnd:
      return read_end(body) || corrupt("its end does not fit its rows");
  }
  return kind != 0 || corrupt("a record has no kind");
}

bool OutcomeReader::read_shape(std::string_view body) {
  ByteReader reader(body);
  Shape shape;
  const uint8_t state = reader.u8();
  const uint8_t flags = reader.u8();
  const uint64_t code = reader.varint();
  shape.outcome.enhanced.klass = reader.u8();
  const uint64_t subject = reader.varint();
  const uint64_t detail = reader.varint();
  shape.exchanger = reader.text();
  shape.source = reader.text();
  shape.site = reader.text();
  shape.pattern = reader.text();
  if (!reader.ok() || state >= kStates || code > UINT16_MAX || subject > UINT16_MAX ||
      detail > UINT16_MAX) {
    return false;
  }
  shape.outcome.state = static_cast<State>(state);
  shape.outcome.maybe_delivered = (flags & kMaybeDelivered) != 0;
  shape.outcome.dns_stale = (flags & kDnsStale) != 0;
  shape.has_times = (flags & kNoTimes) == 0;
  shape.outcome.code = static_cast<uint16_t>(code);
  shape.outcome.enhanced.subject = static_cast<uint16_t>(subject);
  shape.outcome.enhanced.detail = static_cast<uint16_t>(detail);
  shapes_.push_back(std::move(shape));
  return true;
}

bool OutcomeReader::read_row(std::string_view body, OutcomeRow& row) {
  ByteReader reader(body);
  const uint64_t step = reader.varint();
  const uint64_t slot = reader.varint();
  const uint64_t attempts = reader.varint();
  row.address = reader.text();
  if (!reader.ok() || slot >= shapes_.size() || attempts > UINT32_MAX) return false;
  row.number = last_number_ += step;
  const Shape& shape = shapes_[slot];
  std::string text = std::move(row.outcome.text);
  text.clear();
  row.outcome = shape.outcome;
  row.outcome.text = std::move(text);
  row.outcome.exchanger = shape.exchanger;
  row.outcome.source = shape.source;
  row.outcome.site = shape.site;
  row.outcome.attempts = static_cast<uint32_t>(attempts);
  if (shape.has_times) {
    last_first_ms_ = plus(last_first_ms_, unzigzag(reader.varint()));
    const int64_t last = plus(last_first_ms_, unzigzag(reader.varint()));
    if (!to_wall(last_first_ms_, row.outcome.first_at) || !to_wall(last, row.outcome.last_at)) {
      return false;
    }
  }
  ++rows_;
  return reader.ok() && join_holes(shape.pattern, reader, row.outcome.text);
}

bool OutcomeReader::read_end(std::string_view body) {
  ByteReader reader(body);
  for (uint64_t* number : {&totals_.rows, &totals_.rejected, &totals_.suppressed,
                           &totals_.duplicate, &totals_.texts_left_out}) {
    *number = reader.varint();
  }
  seen_end_ = true;
  return reader.ok() && totals_.rows == rows_;
}

bool OutcomeReader::corrupt(std::string_view what) {
  status_ = io_error(file_ + ": before octet " + std::to_string(offset_) + ": " +
                     std::string(what) + "; what stands before is good");
  phase_ = Phase::kCorrupt;
  return false;
}

}  // namespace sluice
