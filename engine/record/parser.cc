#include "engine/record/parser.h"

#include <limits>

#include "engine/base/crc32c.h"
#include "engine/record/holes.h"

namespace sluice {
namespace {

constexpr size_t kCompactAt = 1UL << 20;

// Microseconds that fit into a WallTime; false else. Differences wrap harmlessly before.
bool to_wall(int64_t microseconds, WallTime& time) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 1'000;
  if (microseconds > kMost || microseconds < -kMost) return false;
  time = WallTime(std::chrono::microseconds(microseconds));
  return true;
}

int64_t plus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t minus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

bool read_peer(ByteReader& reader, SocketAddress& peer) {
  peer = {};
  const uint8_t family = reader.u8();
  if (family == 0) return reader.ok();
  if (family != 4 && family != 6) return false;
  peer.ip.family = family == 4 ? Family::kIpv4 : Family::kIpv6;
  for (size_t i = 0; i < (family == 4 ? 4U : 16U); ++i) peer.ip.octets[i] = reader.u8();
  peer.port = reader.u16();
  return reader.ok();
}

// Behind the peer, where TLS was to be used.
bool read_tls(ByteReader& reader, TlsNote& tls) {
  if (!reader.ok() || reader.left() == 0) return reader.ok();
  tls.policy = reader.text();
  tls.resumed = (reader.u8() & kResumedFlag) != 0;
  tls.protocol = reader.text();
  tls.cipher = reader.text();
  tls.passed = reader.text();
  tls.reason = reader.text();
  return reader.ok();
}

}  // namespace

JournalParser::JournalParser(std::string file) : file_(std::move(file)) {}

void JournalParser::feed(std::string_view octets) {
  if (phase_ == Phase::kEnd || phase_ == Phase::kCorrupt) return;
  if (begin_ == buffer_.size() || begin_ >= kCompactAt) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(octets);
}

void JournalParser::consume(size_t count) {
  begin_ += count;
  offset_ += count;
}

JournalParser::Step JournalParser::next(JournalEntry& entry) {
  while (true) {
    switch (phase_) {
      case Phase::kHeader:
        if (!read_file_header()) return Step::kMore;
        break;
      case Phase::kFrames:
        if (!read_frame()) return Step::kMore;
        break;
      case Phase::kRecords:
        if (frame_begin_ == frame_.size()) {
          sound_bytes_ = whole_bytes_;
          phase_ = Phase::kFrames;
        } else if (read_record(entry)) {
          return Step::kEntry;
        }
        break;
      case Phase::kDamaged:
        if (!search_frame_behind_damage()) return Step::kMore;
        break;
      case Phase::kEnd:
        return Step::kEnd;
      case Phase::kCorrupt:
        return Step::kCorrupt;
    }
  }
}

// The next three return false when they need more octets, true when the phase has changed.

bool JournalParser::read_file_header() {
  const std::string_view octets = pending();
  if (octets.size() <= kFileHeaderBytes && !ended_) return false;
  if (octets.size() < kFileHeaderBytes) {
    cut_tail();
    return true;
  }
  StatusOr<JournalFileHeader> header = decode_file_header(octets.substr(0, kFileHeaderBytes));
  if (!header.ok()) {
    // The header is durable before the first frame: without one, this is a cut creation.
    if (octets.size() == kFileHeaderBytes) {
      cut_tail();
    } else {
      corrupt(message_of(header.status()));
    }
    return true;
  }
  header_ = *header;
  seed_ = seed_of(octets.substr(0, kFileHeaderBytes));
  last_at_us_ =
      std::chrono::floor<std::chrono::microseconds>(header_.created.time_since_epoch()).count();
  consume(kFileHeaderBytes);
  whole_bytes_ = sound_bytes_ = offset_;
  phase_ = Phase::kFrames;
  return true;
}

bool JournalParser::read_frame() {
  const std::string_view octets = pending();
  if (octets.size() < kFrameHeaderBytes) {
    if (!ended_) return false;
    if (octets.empty()) {
      phase_ = Phase::kEnd;
    } else {
      cut_tail();
    }
    return true;
  }
  damage_offset_ = offset_;
  const std::optional<FrameHeader> header =
      read_frame_header(octets.substr(0, kFrameHeaderBytes), seed_, offset_);
  if (!header) {
    consume(1);
    phase_ = Phase::kDamaged;
    return true;
  }
  const size_t total = kFrameHeaderBytes + header->payload_bytes;
  if (octets.size() < total) {
    if (!ended_) return false;
    cut_tail();
    return true;
  }
  const std::string_view payload = octets.substr(kFrameHeaderBytes, header->payload_bytes);
  if (crc32c(payload, seed_) != header->payload_checksum) {
    consume(1);
    phase_ = Phase::kDamaged;
    return true;
  }
  frame_.assign(payload);
  frame_begin_ = 0;
  consume(total);
  whole_bytes_ = offset_;
  phase_ = Phase::kRecords;
  return true;
}

bool JournalParser::search_frame_behind_damage() {
  while (pending().size() >= kFrameHeaderBytes) {
    if (read_frame_header(pending().substr(0, kFrameHeaderBytes), seed_, offset_)) {
      corrupt("octets up to " + std::to_string(offset_) + " are damaged, and frames follow");
      return true;
    }
    consume(1);
  }
  if (!ended_) return false;
  offset_ = damage_offset_;
  cut_tail();
  return true;
}

void JournalParser::cut_tail() {
  torn_ = !pending().empty() || offset_ > whole_bytes_;
  phase_ = Phase::kEnd;
}

bool JournalParser::corrupt(std::string_view what) {
  // damage_offset_: 0 in the file header, else the beginning of the frame.
  status_ = io_error(file_ + ": offset " + std::to_string(damage_offset_) + ": " +
                     std::string(what) + "; sluice record-cat shows what stands before it");
  phase_ = Phase::kCorrupt;
  return false;
}

bool JournalParser::read_record(JournalEntry& entry) {
  ByteReader reader(std::string_view(frame_).substr(frame_begin_));
  const uint8_t kind = reader.u8();
  const std::string_view body = reader.text();
  if (!reader.ok() || kind == 0) return corrupt("a frame with a good checksum has a broken record");
  frame_begin_ = frame_.size() - reader.left();
  switch (static_cast<RecordKind>(kind)) {
    case RecordKind::kDefine:
      define(body);
      return false;
    case RecordKind::kVerdict:
      return read_verdict(body, entry);
    case RecordKind::kJobEvent:
      return read_job_event(body, entry);
  }
  return false;
}

bool JournalParser::define(std::string_view body) {
  ByteReader reader(body);
  const uint8_t table = reader.u8();
  const uint64_t slot = reader.varint();
  const std::string_view octets = reader.raw(reader.left());
  if (!reader.ok() || table >= kTables || slot >= kTableSlots[table] ||
      octets.size() > kDefinitionBytesMax ||
      (static_cast<Table>(table) == Table::kJob && octets.empty())) {
    return corrupt("a definition is malformed");
  }
  std::vector<Definition>& definitions = tables_[table];
  if (slot >= definitions.size()) definitions.resize(slot + 1);
  Definition& definition = definitions[slot];
  definition.present = true;
  definition.octets.assign(octets);
  if (jobs_ != nullptr && static_cast<Table>(table) == Table::kJob) jobs_->emplace(octets);
  return true;
}

bool JournalParser::look_up(Table table, uint64_t slot, std::string_view& value) {
  const std::vector<Definition>& definitions = tables_[static_cast<size_t>(table)];
  if (slot >= definitions.size() || !definitions[slot].present) return false;
  value = definitions[slot].octets;
  return true;
}

bool JournalParser::read_shape(std::string_view shape, JournalEntry& entry,
                               std::string_view& pattern) {
  ByteReader reader(shape);
  const uint8_t state = reader.u8();
  const uint8_t scope = reader.u8();
  const uint8_t flags = reader.u8();
  entry.maybe_delivered = (flags & kMaybeDeliveredFlag) != 0;
  entry.dns_stale = (flags & kDnsStaleFlag) != 0;
  const uint64_t code = reader.varint();
  entry.enhanced.klass = reader.u8();
  const uint64_t subject = reader.varint();
  const uint64_t detail = reader.varint();
  entry.command = reader.text();
  pattern = reader.raw(reader.left());
  if (!reader.ok() || state >= kStates || scope > static_cast<uint8_t>(Scope::kSource) ||
      code > UINT16_MAX || subject > UINT16_MAX || detail > UINT16_MAX) {
    return false;
  }
  entry.state = static_cast<State>(state);
  entry.scope = static_cast<Scope>(scope);
  entry.code = static_cast<uint16_t>(code);
  entry.enhanced.subject = static_cast<uint16_t>(subject);
  entry.enhanced.detail = static_cast<uint16_t>(detail);
  return entry.state == State::kDeferred || is_final(entry.state);
}

bool JournalParser::read_verdict(std::string_view body, JournalEntry& entry) {
  entry = {};
  entry.kind = JournalEntry::Kind::kVerdict;
  ByteReader reader(body);
  std::string_view path;
  std::string_view shape;
  std::string_view pattern;
  std::string_view sender;
  const uint64_t job = reader.varint();
  const uint64_t segment = reader.varint();
  const uint64_t row = reader.varint();
  const uint64_t path_slot = reader.varint();
  const uint64_t shape_slot = reader.varint();
  const uint64_t sender_slot = reader.varint();
  const uint64_t attempts = reader.varint();
  if (!reader.ok() || segment > UINT32_MAX || row > UINT32_MAX || attempts > UINT32_MAX ||
      !look_up(Table::kJob, job, entry.job)) {
    return corrupt("a verdict is malformed or refers to what is not defined");
  }
  if (!is_wanted(entry.job, static_cast<SegmentNumber>(segment))) {
    last_at_us_ = plus(last_at_us_, unzigzag(reader.varint()));
    return false;
  }
  if (!look_up(Table::kPath, path_slot, path) || !look_up(Table::kShape, shape_slot, shape) ||
      !look_up(Table::kSender, sender_slot, sender) || !read_shape(shape, entry, pattern)) {
    return corrupt("a verdict refers to what is not defined");
  }
  entry.segment = static_cast<SegmentNumber>(segment);
  entry.row = static_cast<SegmentRow>(row);
  entry.attempts = static_cast<uint32_t>(attempts);

  last_at_us_ = plus(last_at_us_, unzigzag(reader.varint()));
  const int64_t first_us = minus(last_at_us_, unzigzag(reader.varint()));
  bool times = to_wall(last_at_us_, entry.at) && to_wall(first_us, entry.first_at);
  if (entry.state == State::kDeferred) {
    times = times && to_wall(plus(last_at_us_, unzigzag(reader.varint())), entry.next_at);
  }
  entry.size = reader.varint();
  entry.session = reader.varint();

  ByteReader parts(path);
  entry.site = parts.text();
  entry.exchanger = parts.text();
  entry.source = parts.text();
  if (!times || !reader.ok() || !read_peer(parts, entry.peer) || !read_tls(parts, entry.tls)) {
    return corrupt("a verdict has an impossible time or address");
  }
  sender_.clear();
  text_.clear();
  if (!join_holes(sender, reader, sender_) || !join_holes(pattern, reader, text_)) {
    return corrupt("a verdict's text is malformed");
  }
  entry.sender = sender_;
  entry.text = text_;
  return true;
}

bool JournalParser::read_job_event(std::string_view body, JournalEntry& entry) {
  entry = {};
  entry.kind = JournalEntry::Kind::kJobEvent;
  ByteReader reader(body);
  const uint64_t job = reader.varint();
  const uint8_t event = reader.u8();
  last_at_us_ = plus(last_at_us_, unzigzag(reader.varint()));
  if (!reader.ok() || event >= kJobEvents || !look_up(Table::kJob, job, entry.job) ||
      !to_wall(last_at_us_, entry.at)) {
    return corrupt("a job's event is malformed");
  }
  entry.event = static_cast<JobEvent>(event);
  return !only_job_ || entry.job == *only_job_;
}

void JournalParser::only(std::string job, SegmentNumber first, SegmentNumber end) {
  only_job_ = std::move(job);
  first_segment_ = first;
  segments_end_ = end;
}

bool JournalParser::is_wanted(std::string_view job, SegmentNumber segment) {
  if (!only_job_) return true;
  if (job != *only_job_) return false;
  span_.first = std::min(span_.first, segment);
  span_.last = std::max(span_.last, segment);
  return segment >= first_segment_ && segment < segments_end_;
}

}  // namespace sluice
