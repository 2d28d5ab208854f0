#include "engine/shard/suppress_file.h"

#include <algorithm>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/crc32c.h"
#include "engine/base/digest.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/ring/gate.h"

namespace sluice {
namespace {

constexpr uint64_t kMetaVersion = 1;
constexpr std::string_view kRunEnd = ".run";
constexpr size_t kFedAtOnce = 8'192;
// A file that was changed so lately may be changed again within the same tick of its clock.
constexpr Duration kTick = std::chrono::seconds(2);

uint64_t nanoseconds_of(WallTime time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

void append_position(ByteWriter& writer, const SuppressList::Position& position) {
  writer.varint(position.bytes);
  writer.varint(position.lines);
  writer.varint(position.bad);
  writer.varint(position.first_bad_line);
  writer.u8(static_cast<uint8_t>((position.kinds.addresses ? 1 : 0) |
                                 (position.kinds.domains ? 2 : 0) |
                                 (position.kinds.digests ? 4 : 0)));
}

SuppressList::Position read_position(ByteReader& reader) {
  SuppressList::Position position;
  position.bytes = reader.varint();
  position.lines = reader.varint();
  position.bad = reader.varint();
  position.first_bad_line = reader.varint();
  const uint8_t kinds = reader.u8();
  position.kinds = {(kinds & 1) != 0, (kinds & 2) != 0, (kinds & 4) != 0};
  return position;
}

}  // namespace

SuppressFile::SuppressFile(const SuppressPlace& place, std::string name)
    : place_(place), name_(std::move(name)), files_(place.loop) {}

// Lists' names are others' choice: their hash names the run.
std::string SuppressFile::run_name(std::string_view list, uint64_t generation) {
  const Hash128 hash = sip_hash_128(SipKey{}, list);
  std::string octets;
  ByteWriter(octets).u64(hash.high);
  ByteWriter(octets).u64(hash.low);
  std::string digits = std::to_string(generation);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return to_hex(octets) + "-" + digits + std::string(kRunEnd);
}

std::optional<uint64_t> SuppressFile::parse_run_name(std::string_view name) {
  constexpr size_t kHashDigits = 32;
  if (!name.ends_with(kRunEnd) || name.size() < kHashDigits + 2 + kRunEnd.size()) {
    return std::nullopt;
  }
  if (name[kHashDigits] != '-') return std::nullopt;
  name.remove_suffix(kRunEnd.size());
  return parse_decimal(name.substr(kHashDigits + 1));
}

std::string SuppressFile::list_of(const HashRun& run) {
  ByteReader reader(run.index.meta());
  if (reader.varint() != kMetaVersion) return {};
  return std::string(reader.text());
}

std::string SuppressFile::meta_of(const State& state) const {
  std::string meta;
  ByteWriter writer(meta);
  writer.varint(kMetaVersion);
  writer.text(name_);
  writer.u64(verified_bytes_);
  writer.u64(nanoseconds_of(verified_modified_));
  append_position(writer, state.checkpoint.position);
  writer.varint(state.checkpoint.sums.size());
  for (const uint32_t sum : state.checkpoint.sums) writer.u32(sum);
  return meta;
}

Task<Status> SuppressFile::restore(std::string path, uint64_t generation) {
  const auto runs = std::make_unique<HashRunFiles>(place_.loop);
  const StatusOr<HashRunPtr> run = co_await runs->open(path);
  if (!run.ok()) co_return run.status();
  ByteReader reader((*run)->index.meta());
  const bool is_mine = reader.varint() == kMetaVersion && reader.text() == name_;
  if (!is_mine) co_return io_error(path + ": it is of another list");
  State state;
  const uint64_t bytes = reader.u64();
  const uint64_t modified = reader.u64();
  state.checkpoint.position = read_position(reader);
  const uint64_t sums = reader.varint();
  for (uint64_t i = 0; i < sums && reader.ok(); ++i) state.checkpoint.sums.push_back(reader.u32());
  if (!reader.ok()) co_return io_error(path + ": its meta octets are cut short");
  state.run = *run;
  state_ = std::move(state);
  kinds_ = state_.checkpoint.position.kinds;
  verified_bytes_ = bytes;
  verified_modified_ = WallTime(std::chrono::nanoseconds(static_cast<int64_t>(modified)));
  generation_ = generation;
  bytes_ = 0;
  modified_ = {};
  reread_ = false;
  co_return Status();
}

std::unique_ptr<HashSorter> SuppressFile::make_sorter() {
  return std::make_unique<HashSorter>(place_.loop, place_.index + "/sorting.",
                                      place_.limits.suppress_sort_entries, place_.stop);
}

Task<StatusOr<bool>> SuppressFile::piece_is_the_same(Handle file, size_t piece) {
  const size_t bytes = place_.limits.suppress_piece_bytes;
  const StatusOr<std::string> octets =
      co_await files_.read_part(file, path(), piece * bytes, bytes);
  if (!octets.ok()) co_return octets.status();
  co_return octets->size() == bytes&& crc32c(*octets) == state_.checkpoint.sums[piece];
}

Task<Status> SuppressFile::read(FileStat stat) {
  const StatusOr<Handle> file = place_.loop.io().open_beneath(place_.lists, name_);
  if (!file.ok()) co_return file.status();
  State next;
  // A line may be so long that the last one before a piece's end begins far before it.
  const uint64_t checked = checked_bytes(state_);
  bool goes_on = !reread_ && checked > 0 && stat.bytes >= checked &&
                 checked - state_.checkpoint.position.bytes <= place_.limits.suppress_piece_bytes;
  Status status;
  if (goes_on) {
    const StatusOr<bool> same =
        co_await piece_is_the_same(*file, state_.checkpoint.sums.size() - 1);
    status = same.status();
    goes_on = same.ok() && *same;
  }
  if (goes_on) {
    const auto kept = static_cast<std::ptrdiff_t>(state_.checkpoint.keys);
    next.run = state_.run;
    next.keys.assign(state_.keys.begin(), state_.keys.begin() + kept);
    next.checkpoint = state_.checkpoint;
  }
  const bool is_as_verified = stat.bytes == verified_bytes_ && stat.modified == verified_modified_;
  const uint64_t verified_bytes = verified_bytes_;
  const WallTime verified_modified = verified_modified_;
  if (!goes_on) {
    verified_bytes_ = stat.bytes;
    verified_modified_ = stat.modified;
  }
  const auto sorter = make_sorter();
  if (status.ok()) status = co_await read_from(*file, next, *sorter);
  place_.loop.io().close(*file);
  if (!status.ok()) {
    verified_bytes_ = verified_bytes;
    verified_modified_ = verified_modified;
    co_return status;
  }
  const HashRunPtr before = state_.run;
  state_ = std::move(next);
  if (before != nullptr && before != state_.run) retired_.push_back(before->path);
  unverified_ = goes_on && (unverified_ || !is_as_verified);
  reread_ = false;
  bytes_ = stat.bytes;
  modified_ = stat.modified;
  if (place_.loop.io().wall_now() - stat.modified < kTick) modified_ = {};
  co_return Status();
}

// Reads from the checkpoint of `state` to the file's end.
Task<Status> SuppressFile::read_from(Handle file, State& state, HashSorter& sorter) {
  const size_t piece_bytes = place_.limits.suppress_piece_bytes;
  SuppressList list(state.checkpoint.position);
  uint64_t offset = state.checkpoint.position.bytes;
  while (true) {
    // A read ends where a piece ends. The piece's first octets may be before the checkpoint.
    const uint64_t piece_begin = checked_bytes(state);
    const uint64_t piece_end = piece_begin + piece_bytes;
    const uint64_t from = std::min<uint64_t>(offset, piece_begin);
    const StatusOr<std::string> octets =
        co_await files_.read_part(file, path(), from, piece_end - from);
    if (!octets.ok()) co_return octets.status();
    const std::string_view read = *octets;
    const Status fed =
        co_await feed(read.substr(std::min(read.size(), offset - from)), list, state.keys);
    if (!fed.ok()) co_return fed;
    offset = std::max(offset, from + read.size());
    if (from + read.size() < piece_end) break;
    state.checkpoint.sums.push_back(crc32c(read.substr(piece_begin - from)));
    state.checkpoint.position = list.position();
    state.checkpoint.keys = state.keys.size();
    // The line that goes on behind the piece is read again from its beginning.
    if (state.keys.size() >= place_.limits.suppress_sort_entries) {
      sorter.chunk().swap(state.keys);
      state.keys.clear();
      state.checkpoint.keys = 0;
      const Status spilled = co_await sorter.spill();
      if (!spilled.ok()) co_return spilled;
    }
  }
  complain(list.position());
  kinds_ = list.position().kinds;
  list.end(state.keys, kinds_);
  if (sorter.has_spilled()) co_return co_await make_run(state, sorter);
  co_return Status();
}

Task<Status> SuppressFile::feed(std::string_view octets, SuppressList& list,
                                std::vector<Hash128>& keys) {
  while (!octets.empty()) {
    const std::string_view some = octets.substr(0, kFedAtOnce);
    list.feed(some, keys);
    octets.remove_prefix(some.size());
    co_await yield();
    if (place_.stop()) co_return unavailable("sluice is stopping");
  }
  co_return Status();
}

// Keys of lines before the checkpoint, and what was spilled, become the run.
Task<Status> SuppressFile::make_run(State& state, HashSorter& sorter) {
  const auto stable = state.keys.begin() + static_cast<std::ptrdiff_t>(state.checkpoint.keys);
  sorter.chunk().insert(sorter.chunk().end(), state.keys.begin(), stable);
  const std::string path = place_.index + "/" + run_name(name_, generation_ + 1);
  const std::string meta = meta_of(state);
  const StatusOr<HashRunPtr> made = co_await sorter.merge(state.run, path, meta);
  if (!made.ok()) co_return made.status();
  ++generation_;
  state.run = *made;
  state.keys.erase(state.keys.begin(), stable);
  state.checkpoint.keys = 0;
  co_return Status();
}

Task<Status> SuppressFile::put_on_disk() {
  if (state_.checkpoint.keys == 0) co_return Status();
  const auto sorter = make_sorter();
  const HashRunPtr before = state_.run;
  const Status made = co_await make_run(state_, *sorter);
  if (!made.ok()) co_return made;
  if (before != nullptr) retired_.push_back(before->path);
  co_return Status();
}

Task<Status> SuppressFile::verify() {
  const StatusOr<FileStat> stat = place_.loop.io().stat(path());
  if (!stat.ok()) co_return stat.status();
  const StatusOr<Handle> file = place_.loop.io().open_beneath(place_.lists, name_);
  if (!file.ok()) co_return file.status();
  Status status;
  bool same = true;
  for (size_t piece = 0; piece < state_.checkpoint.sums.size() && same && status.ok(); ++piece) {
    const StatusOr<bool> compared = co_await piece_is_the_same(*file, piece);
    status = compared.status();
    same = status.ok() && *compared;
    co_await yield();
    if (place_.stop()) status = unavailable("sluice is stopping");
  }
  place_.loop.io().close(*file);
  if (!status.ok()) co_return status;
  unverified_ = false;
  reread_ = !same;
  if (same) {
    verified_bytes_ = stat->bytes;
    verified_modified_ = stat->modified;
  }
  co_return Status();
}

void SuppressFile::retire_run() {
  if (state_.run != nullptr) retired_.push_back(state_.run->path);
  state_.run = nullptr;
}

void SuppressFile::complain(const SuppressList::Position& position) {
  if (position.bad == told_bad_ && position.first_bad_line == told_line_) return;
  told_bad_ = position.bad;
  told_line_ = position.first_bad_line;
  if (position.bad == 0) return;
  std::string text = escaped(path()) + ":" + std::to_string(position.first_bad_line) +
                     ": neither an address, nor \"@\" and a domain, nor a SHA-256 in 64 "
                     "hexadecimal digits; the line is passed by";
  if (position.bad > 1) text += ", and so are " + grouped(position.bad - 1) + " behind it";
  log(LogLevel::kWarning, text);
}

}  // namespace sluice
