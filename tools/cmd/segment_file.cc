#include "tools/cmd/segment_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/strings.h"

namespace sluice::tools {

StatusOr<std::unique_ptr<SegmentFile>> SegmentFile::open(int descriptor, const std::string& name) {
  std::unique_ptr<SegmentFile> file(new SegmentFile(descriptor, name));
  const Status status = file->read_index();
  if (!status.ok()) return annotate(status, name);
  return file;
}

SegmentFile::~SegmentFile() { ::close(descriptor_); }

Status SegmentFile::read(uint64_t offset, size_t count, std::string& octets) const {
  octets.resize(count);
  for (size_t done = 0; done < count;) {
    const ssize_t got =
        ::pread(descriptor_, octets.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error(std::string("cannot read it: ") + std::strerror(errno));
    if (got == 0) return io_error("it ends at octet " + std::to_string(offset + done));
    done += static_cast<size_t>(got);
  }
  return {};
}

Status SegmentFile::read_index() {
  struct stat there {};
  if (::fstat(descriptor_, &there) != 0) {
    return io_error(std::string("cannot read it: ") + std::strerror(errno));
  }
  if (!S_ISREG(there.st_mode)) return io_error("it is no file");
  bytes_ = static_cast<uint64_t>(there.st_size);
  if (bytes_ < kSegmentHeaderBytes + kSegmentTrailerBytes) {
    return io_error("segment: only " + std::to_string(bytes_) +
                    " octets; it is no segment, or cut short");
  }
  if (bytes_ > kSegmentFileBytesMax) {
    return io_error("segment: " + grouped(bytes_) + " octets, more than any segment has");
  }
  std::string octets;
  RETURN_IF_ERROR(read(0, kSegmentHeaderBytes, octets));
  RETURN_IF_ERROR(check_segment_header(octets));
  RETURN_IF_ERROR(read(bytes_ - kSegmentTrailerBytes, kSegmentTrailerBytes, octets));
  ASSIGN_OR_RETURN(const SegmentTrailer trailer, parse_segment_trailer(octets, bytes_));
  RETURN_IF_ERROR(read(trailer.index_offset, trailer.index_bytes, octets));
  ASSIGN_OR_RETURN(index_, SegmentIndex::parse(octets, trailer));
  return {};
}

Status SegmentFile::open_block(uint32_t block, BlockReader& reader) {
  const BlockEntry entry = index_.block(block);
  Status status = read(entry.offset, entry.bytes, octets_);
  if (status.ok()) status = reader.open(index_, block, octets_);
  return in_block(status, block);
}

Status SegmentFile::in_block(const Status& status, uint32_t block) const {
  const BlockEntry entry = index_.block(block);
  return annotate(status, name_ + ": block " + std::to_string(block) + " (" +
                              escaped(entry.domain) + ") at octet " + std::to_string(entry.offset));
}

}  // namespace sluice::tools
