#include "engine/record/encoder.h"

#include <algorithm>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/record/holes.h"

namespace sluice {
namespace {

constexpr uint32_t kWays = 4;
constexpr uint32_t kNoSlot = UINT32_MAX;

std::string_view cut(std::string_view text, size_t octets_max) {
  return text.substr(0, std::min(text.size(), octets_max));
}

int64_t microseconds(WallTime t) {
  return std::chrono::floor<std::chrono::microseconds>(t.time_since_epoch()).count();
}

void put_record(std::string& out, RecordKind kind, std::string_view body) {
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(kind));
  writer.text(body);
}

void put_definition(std::string& out, Table table, uint32_t slot, std::string_view octets) {
  CHECK(octets.size() <= kDefinitionBytesMax);
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(RecordKind::kDefine));
  writer.varint(1 + (slot < 0x80 ? 1U : 2U) + octets.size());
  writer.u8(static_cast<uint8_t>(table));
  writer.varint(slot);
  writer.raw(octets);
}

void put_peer(ByteWriter& writer, const SocketAddress& peer) {
  if (peer.port == 0) {
    writer.u8(0);
    return;
  }
  const bool v4 = peer.ip.family == Family::kIpv4;
  writer.u8(v4 ? 4 : 6);
  for (size_t i = 0; i < (v4 ? 4U : 16U); ++i) writer.u8(peer.ip.octets[i]);
  writer.u16(peer.port);
}

void put_tls(ByteWriter& writer, const TlsNote& tls) {
  writer.text(cut(tls.policy, kTlsTextBytesMax));
  writer.u8(tls.resumed ? kResumedFlag : 0);
  writer.text(cut(tls.protocol, kTlsTextBytesMax));
  writer.text(cut(tls.cipher, kTlsTextBytesMax));
  writer.text(cut(tls.passed, kTlsTextBytesMax));
  writer.text(cut(tls.reason, kTlsReasonBytesMax));
}

}  // namespace

JournalEncoder::SlotTable::SlotTable(Table table, uint32_t slots) : table_(table), slots_(slots) {
  CHECK(slots % kWays == 0 && slots < (1U << 14));
}

void JournalEncoder::SlotTable::clear() {
  clock_ = 0;
  for (Slot& slot : slots_) slot.used = 0;
}

uint32_t JournalEncoder::SlotTable::slot_of(std::string_view key, std::string& out) {
  const uint32_t hash = crc32c(key);
  const uint32_t first = hash % (static_cast<uint32_t>(slots_.size()) / kWays) * kWays;
  uint32_t oldest = first;
  // A file of 64 MiB has far fewer uses than the clock has values; a longer one only forgets worse.
  const uint32_t now = ++clock_ == 0 ? ++clock_ : clock_;
  for (uint32_t i = first; i < first + kWays; ++i) {
    Slot& slot = slots_[i];
    if (slot.used != 0 && slot.hash == hash && slot.key == key) {
      slot.used = now;
      return i;
    }
    if (slot.used < slots_[oldest].used) oldest = i;
  }
  Slot& slot = slots_[oldest];
  slot.hash = hash;
  slot.used = now;
  slot.key.assign(key);
  put_definition(out, table_, oldest, key);
  return oldest;
}

JournalEncoder::JournalEncoder()
    : job_slots_(kTableSlots[static_cast<size_t>(Table::kJob)]),
      paths_(Table::kPath, kTableSlots[static_cast<size_t>(Table::kPath)]),
      shapes_(Table::kShape, kTableSlots[static_cast<size_t>(Table::kShape)]),
      senders_(Table::kSender, kTableSlots[static_cast<size_t>(Table::kSender)]) {}

void JournalEncoder::begin_file(WallTime created) {
  std::fill(job_slots_.begin(), job_slots_.end(), 0);
  paths_.clear();
  shapes_.clear();
  senders_.clear();
  last_sender_slot_ = kNoSlot;
  last_at_us_ = microseconds(created);
}

uint32_t JournalEncoder::job_slot(std::string& out, std::string_view job_id, JobIndex job) {
  const uint32_t slot = job % static_cast<uint32_t>(job_slots_.size());
  const uint64_t holder = uint64_t{job} + 1;
  if (job_slots_[slot] != holder) {
    job_slots_[slot] = holder;
    put_definition(out, Table::kJob, slot, cut(job_id, kNameBytesMax));
  }
  return slot;
}

uint32_t JournalEncoder::path_slot(std::string& out, const Attempt& attempt) {
  key_.clear();
  ByteWriter writer(key_);
  writer.text(cut(attempt.site, kNameBytesMax));
  writer.text(cut(attempt.exchanger, kNameBytesMax));
  writer.text(cut(attempt.source, kNameBytesMax));
  put_peer(writer, attempt.peer);
  if (!attempt.tls.policy.empty()) put_tls(writer, attempt.tls);
  return paths_.slot_of(key_, out);
}

uint32_t JournalEncoder::shape_slot(std::string& out, const Verdict& verdict,
                                    const Attempt& attempt) {
  pattern_.clear();
  text_holes_.clear();
  split_holes(cut(verdict.reply.text, kTextBytesMax), Words::kAddressesAreHoles, pattern_,
              text_holes_);
  key_.clear();
  ByteWriter writer(key_);
  writer.u8(static_cast<uint8_t>(verdict.state));
  writer.u8(static_cast<uint8_t>(verdict.scope));
  writer.u8(static_cast<uint8_t>((verdict.maybe_delivered ? kMaybeDeliveredFlag : 0) |
                                 (attempt.dns_stale ? kDnsStaleFlag : 0)));
  writer.varint(verdict.reply.code);
  writer.u8(verdict.reply.enhanced.klass);
  writer.varint(verdict.reply.enhanced.subject);
  writer.varint(verdict.reply.enhanced.detail);
  const char* command = verdict.command != nullptr ? verdict.command : "";
  writer.text(cut(command, kCommandBytesMax));
  writer.raw(pattern_);
  return shapes_.slot_of(key_, out);
}

uint32_t JournalEncoder::sender_slot(std::string& out, std::string_view sender) {
  if (last_sender_slot_ == kNoSlot || sender != last_sender_) {
    pattern_.clear();
    sender_holes_.clear();
    split_holes(sender, Words::kAddressesStay, pattern_, sender_holes_);
    last_sender_.assign(sender);
    last_sender_slot_ = senders_.slot_of(pattern_, out);
  }
  return last_sender_slot_;
}

int64_t JournalEncoder::time_step(WallTime at) {
  const int64_t now = microseconds(at);
  const int64_t step = now - last_at_us_;
  last_at_us_ = now;
  return step;
}

void JournalEncoder::verdict(std::string& out, std::string_view job_id, const RowId& row,
                             const Verdict& verdict, const Attempt& attempt) {
  CHECK(verdict.state == State::kDeferred || is_final(verdict.state));
  const uint32_t job = job_slot(out, job_id, row.job);
  const uint32_t path = path_slot(out, attempt);
  const uint32_t shape = shape_slot(out, verdict, attempt);
  const uint32_t sender = sender_slot(out, cut(attempt.sender, kNameBytesMax));

  body_.clear();
  ByteWriter writer(body_);
  writer.varint(job);
  writer.varint(row.segment);
  writer.varint(row.row);
  writer.varint(path);
  writer.varint(shape);
  writer.varint(sender);
  writer.varint(attempt.number);
  writer.varint(zigzag(time_step(attempt.at)));
  writer.varint(zigzag(microseconds(attempt.at) - microseconds(attempt.first_at)));
  if (verdict.state == State::kDeferred) {
    writer.varint(zigzag(microseconds(attempt.next_at) - microseconds(attempt.at)));
  }
  writer.varint(attempt.size);
  writer.varint(attempt.session);
  writer.raw(sender_holes_);
  writer.raw(text_holes_);
  put_record(out, RecordKind::kVerdict, body_);
}

void JournalEncoder::job_event(std::string& out, std::string_view job_id, JobIndex job,
                               JobEvent event, WallTime at) {
  const uint32_t slot = job_slot(out, job_id, job);
  body_.clear();
  ByteWriter writer(body_);
  writer.varint(slot);
  writer.u8(static_cast<uint8_t>(event));
  writer.varint(zigzag(time_step(at)));
  put_record(out, RecordKind::kJobEvent, body_);
}

}  // namespace sluice
