#include "engine/shard/hash_files.h"

#include <algorithm>
#include <queue>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/ring/gate.h"

namespace sluice {
namespace {

constexpr size_t kBucketHashes = 256;
constexpr size_t kBucketBitsMax = 16;
constexpr size_t kSliceHashes = 4'096;
constexpr size_t kReadBlocks = 16;
constexpr size_t kWriteBytes = 256UL << 10;

Status stopping() { return unavailable("sluice is stopping"); }

}  // namespace

// Hashes are even: buckets by their first bits are about equally full.
Task<> sort_in_slices(std::vector<Hash128>& hashes) {
  size_t bits = 0;
  while (bits < kBucketBitsMax && hashes.size() >> bits > kBucketHashes) ++bits;
  if (bits == 0) {
    std::sort(hashes.begin(), hashes.end(), hash_less);
    co_return;
  }
  const auto bucket_of = [bits](const Hash128& hash) { return hash.high >> (64 - bits); };
  std::vector<size_t> ends(size_t{1} << bits, 0);
  for (size_t i = 0; i < hashes.size(); ++i) {
    ++ends[bucket_of(hashes[i])];
    if (i % kSliceHashes == 0) co_await yield();
  }
  size_t begin = 0;
  for (size_t& end : ends) begin += std::exchange(end, begin);
  std::vector<Hash128> sorted(hashes.size());
  for (size_t i = 0; i < hashes.size(); ++i) {
    sorted[ends[bucket_of(hashes[i])]++] = hashes[i];
    if (i % kSliceHashes == 0) co_await yield();
  }
  hashes.swap(sorted);
  begin = 0;
  size_t since_yield = 0;
  for (const size_t end : ends) {
    const auto from = hashes.begin() + static_cast<std::ptrdiff_t>(begin);
    std::sort(from, hashes.begin() + static_cast<std::ptrdiff_t>(end), hash_less);
    since_yield += end - begin;
    begin = end;
    if (since_yield < kSliceHashes / 4) continue;
    since_yield = 0;
    co_await yield();
  }
}

// --- asking --------------------------------------------------------------------------------------

Task<StatusOr<HashRunPtr>> HashRunFiles::open(std::string path) {
  const StatusOr<FileStat> stat = loop_.io().stat(path);
  if (!stat.ok()) co_return stat.status();
  if (stat->bytes < kHashRunFooterBytes) co_return io_error(path + ": it is cut short");
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const StatusOr<std::string> end = co_await files_.read_part(
      *file, path, stat->bytes - kHashRunFooterBytes, kHashRunFooterBytes);
  Status status = end.status();
  if (status.ok() && end->size() != kHashRunFooterBytes) status = io_error("it is cut short");
  HashRunIndex index;
  if (status.ok()) {
    const StatusOr<HashRunFooter> footer = parse_hash_run_footer(*end, stat->bytes);
    status = footer.status();
    if (status.ok()) {
      const StatusOr<std::string> tail =
          co_await files_.read_part(*file, path, footer->tail_offset(), footer->tail_bytes());
      status = tail.status();
      if (status.ok()) {
        StatusOr<HashRunIndex> parsed = HashRunIndex::parse(*footer, *tail);
        status = parsed.status();
        if (status.ok()) index = std::move(*parsed);
      }
    }
  }
  loop_.io().close(*file);
  if (!status.ok()) co_return annotate(status, path);
  co_return std::make_shared<const HashRun>(HashRun{path, std::move(index)});
}

Task<StatusOr<bool>> HashRunFiles::contains(HashRunPtr run, Hash128 hash) {
  const std::optional<uint64_t> block = run->index.block_of(hash);
  if (!block) co_return false;
  const StatusOr<Handle> file = loop_.io().open_file(run->path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const StatusOr<std::string> octets =
      co_await files_.read_part(*file, run->path, *block * kHashBlockBytes, kHashBlockBytes);
  loop_.io().close(*file);
  if (!octets.ok()) co_return octets.status();
  if (octets->size() != kHashBlockBytes) co_return io_error(run->path + ": it is cut short");
  const StatusOr<bool> found = hash_block_contains(*octets, hash);
  if (!found.ok()) co_return annotate(found.status(), run->path);
  co_return *found;
}

Task<Status> HashRunFiles::fill(HashRunPtr run, HashFilter& filter,
                                const std::function<bool()>& stop) {
  const StatusOr<Handle> file = loop_.io().open_file(run->path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  Status status;
  std::vector<Hash128> hashes;
  for (uint64_t block = 0; block < run->index.blocks() && status.ok(); block += kReadBlocks) {
    const uint64_t count = std::min<uint64_t>(kReadBlocks, run->index.blocks() - block);
    const StatusOr<std::string> octets = co_await files_.read_part(
        *file, run->path, block * kHashBlockBytes, count * kHashBlockBytes);
    status = octets.status();
    if (status.ok() && octets->size() != count * kHashBlockBytes) {
      status = io_error(run->path + ": it is cut short");
    }
    for (uint64_t i = 0; i < count && status.ok(); ++i) {
      hashes.clear();
      const std::string_view one =
          std::string_view(*octets).substr(i * kHashBlockBytes, kHashBlockBytes);
      status = annotate(read_hash_block(one, hashes), run->path);
      for (const Hash128& hash : hashes) filter.insert(hash);
    }
    co_await yield();
    if (stop()) status = stopping();
  }
  loop_.io().close(*file);
  co_return status;
}

// --- sorting -------------------------------------------------------------------------------------

// Ascending hashes: of a run, or, without a file, of memory.
struct HashSorter::Input {
  HashRunPtr run;
  Handle file = kNoHandle;
  uint64_t next_block = 0;
  std::vector<Hash128> hashes;
  size_t next = 0;

  bool exhausted() const { return next == hashes.size(); }
  bool can_refill() const { return run != nullptr && next_block < run->index.blocks(); }
};

// A file being written at its end.
struct HashSorter::Output {
  explicit Output(Loop& to_loop) : loop(to_loop) {}

  Task<Status> flush() {
    size_t written = 0;
    while (written < octets.size()) {
      piece = {octets.data() + written, octets.size() - written};
      loop.io().write(op, file, std::span(&piece, 1), offset);
      while (!op.done()) co_await done;
      const IoResult result = op.take();
      if (!result.ok()) {
        const std::string text = "cannot write " + path + ": " + std::string(name_of(result.error));
        co_return result.error == IoError::kNoSpace ? exhausted(text) : io_error(text);
      }
      written += static_cast<size_t>(result.value);
      offset += static_cast<uint64_t>(result.value);
    }
    octets.clear();
    co_return Status();
  }

  Loop& loop;
  Signal done;
  Operation op{done};
  iovec piece{};
  std::string path;
  Handle file = kNoHandle;
  uint64_t offset = 0;
  std::string octets;
  HashRunWriter writer;
};

HashSorter::HashSorter(Loop& loop, std::string stem, size_t chunk_entries,
                       std::function<bool()> stop)
    : loop_(loop),
      stem_(std::move(stem)),
      chunk_entries_(chunk_entries),
      stop_(std::move(stop)),
      files_(loop) {
  CHECK(chunk_entries > 0);
}

HashSorter::~HashSorter() { remove_temporary(); }

void HashSorter::remove_temporary() {
  for (const HashRunPtr& run : runs_) (void)loop_.io().remove_file(run->path);
  runs_.clear();
}

Task<Status> HashSorter::spill() {
  if (chunk_.empty()) co_return Status();
  // Too many runs become one.
  const bool all = runs_.size() >= kRunsMax;
  std::vector<HashRunPtr> kept;
  if (!all) kept.swap(runs_);
  StatusOr<HashRunPtr> made =
      co_await write(nullptr, stem_ + std::to_string(runs_made_++), std::string(), false);
  if (!all) runs_.swap(kept);
  if (!made.ok()) co_return made.status();
  if (all) remove_temporary();
  runs_.push_back(std::move(*made));
  co_return Status();
}

Task<StatusOr<HashRunPtr>> HashSorter::merge(HashRunPtr before, std::string path,
                                             std::string meta) {
  StatusOr<HashRunPtr> made = co_await write(before, path, meta, true);
  remove_temporary();
  chunk_.clear();
  chunk_.shrink_to_fit();
  co_return made;
}

Task<StatusOr<HashRunPtr>> HashSorter::write_run(std::string path) {
  StatusOr<HashRunPtr> made = co_await write(nullptr, path, std::string(), false);
  if (made.ok()) {
    remove_temporary();
  } else {
    runs_.clear();  // they stay
  }
  co_return made;
}

// The chunk, the temporary runs and `before`, as one file. The chunk is empty then.
Task<StatusOr<HashRunPtr>> HashSorter::write(HashRunPtr before, std::string path, std::string meta,
                                             bool durably) {
  co_await sort_in_slices(chunk_);
  std::vector<std::unique_ptr<Input>> inputs;
  inputs.push_back(std::make_unique<Input>());
  inputs.back()->hashes.swap(chunk_);
  std::vector<HashRunPtr> runs = runs_;
  if (before != nullptr) runs.push_back(before);
  Status status;
  for (const HashRunPtr& run : runs) {
    const StatusOr<Handle> file = loop_.io().open_file(run->path, OpenMode::kRead);
    status = file.status();
    if (!status.ok()) break;
    inputs.push_back(std::make_unique<Input>());
    inputs.back()->run = run;
    inputs.back()->file = *file;
  }
  const auto output = std::make_unique<Output>(loop_);
  output->path = durably ? path + ".new" : path;
  HashRunIndex index;
  if (status.ok()) {
    if (loop_.io().stat(output->path).ok()) status = loop_.io().remove_file(output->path);
  }
  if (status.ok()) {
    const StatusOr<Handle> file = loop_.io().open_file(output->path, OpenMode::kCreate);
    status = file.status();
    if (file.ok()) output->file = *file;
  }
  if (status.ok()) {
    status = co_await merge_inputs(inputs, *output);
    if (status.ok()) {
      index = output->writer.finish(meta, output->octets);
      status = co_await output->flush();
    }
    if (status.ok() && durably) {
      status = co_await files_.sync_handle(output->file, output->path);
    }
  }
  for (const std::unique_ptr<Input>& input : inputs) {
    if (input->file != kNoHandle) loop_.io().close(input->file);
  }
  inputs.front()->hashes.clear();
  inputs.front()->hashes.swap(chunk_);  // its memory serves again
  if (output->file != kNoHandle) loop_.io().close(output->file);
  if (status.ok() && durably) status = loop_.io().rename(output->path, path);
  if (!status.ok()) {
    (void)loop_.io().remove_file(output->path);
    co_return status;
  }
  if (durably) status = co_await files_.sync_directory(parent_of(path));
  if (!status.ok()) co_return status;
  co_return std::make_shared<const HashRun>(HashRun{path, std::move(index)});
}

Task<Status> HashSorter::refill(Input& input) {
  const uint64_t count =
      std::min<uint64_t>(kReadBlocks, input.run->index.blocks() - input.next_block);
  const StatusOr<std::string> octets = co_await files_.read_part(
      input.file, input.run->path, input.next_block * kHashBlockBytes, count * kHashBlockBytes);
  if (!octets.ok()) co_return octets.status();
  if (octets->size() != count * kHashBlockBytes) {
    co_return io_error(input.run->path + ": it is cut short");
  }
  input.next_block += count;
  input.hashes.clear();
  input.next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view one =
        std::string_view(*octets).substr(i * kHashBlockBytes, kHashBlockBytes);
    const Status read = read_hash_block(one, input.hashes);
    if (!read.ok()) co_return annotate(read, input.run->path);
  }
  co_return Status();
}

Task<Status> HashSorter::merge_inputs(std::vector<std::unique_ptr<Input>>& inputs, Output& output) {
  using Head = std::pair<Hash128, size_t>;
  const auto later = [](const Head& a, const Head& b) { return hash_less(b.first, a.first); };
  std::priority_queue<Head, std::vector<Head>, decltype(later)> heads(later);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]->exhausted() && inputs[i]->can_refill()) {
      const Status filled = co_await refill(*inputs[i]);
      if (!filled.ok()) co_return filled;
    }
    if (!inputs[i]->exhausted()) heads.push({inputs[i]->hashes[inputs[i]->next++], i});
  }
  size_t since_yield = 0;
  while (!heads.empty()) {
    const Head head = heads.top();
    heads.pop();
    output.writer.add(head.first, output.octets);
    Input& input = *inputs[head.second];
    if (input.exhausted() && input.can_refill()) {
      const Status filled = co_await refill(input);
      if (!filled.ok()) co_return filled;
    }
    if (!input.exhausted()) heads.push({input.hashes[input.next++], head.second});
    if (output.octets.size() >= kWriteBytes) {
      const Status flushed = co_await output.flush();
      if (!flushed.ok()) co_return flushed;
    }
    if (++since_yield < kSliceHashes / 2) continue;
    since_yield = 0;
    co_await yield();
    if (stop_()) co_return stopping();
  }
  co_return Status();
}

}  // namespace sluice
