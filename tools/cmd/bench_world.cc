#include "tools/cmd/bench_world.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/random.h"

namespace sluice::tools {
namespace {

constexpr size_t kPathMax = 80;
constexpr size_t kPieceBytes = 1UL << 20;
// Headers, the parts' heads and the lines with fields in a finished message.
constexpr uint64_t kFrameBytes = 963;

class FileWriter {
 public:
  explicit FileWriter(std::string path)
      : path_(std::move(path)),
        descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    failed_ = descriptor_ < 0;
    error_ = errno;
  }
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  FileWriter& operator<<(std::string_view text) {
    piece_ += text;
    if (piece_.size() >= kPieceBytes) flush();
    return *this;
  }
  FileWriter& operator<<(uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<size_t>(end - digits.data()));
  }
  Status finish() {
    flush();
    if (!failed_) return {};
    return cannot_create("cannot write " + path_ + ": " + std::strerror(error_));
  }

 private:
  void flush() {
    for (std::string_view rest = piece_; !failed_ && !rest.empty();) {
      const ssize_t wrote = ::write(descriptor_, rest.data(), rest.size());
      failed_ = wrote < 0 && errno != EINTR;
      error_ = errno;
      if (wrote > 0) rest.remove_prefix(static_cast<size_t>(wrote));
    }
    piece_.clear();
  }

  const std::string path_;
  const int descriptor_;
  std::string piece_;
  bool failed_ = false;
  int error_ = 0;
};

// Which domain a row is of: in turn, or drawn by Zipf's law (domain k as often as 1 / k^s).
class Domains {
 public:
  Domains(uint32_t count, double exponent) : count_(count) {
    if (exponent <= 0) return;
    double sum = 0;
    for (uint32_t k = 1; k <= count; ++k) {
      sum += std::pow(k, -exponent);
      upper_.push_back(sum);
    }
    for (double& bound : upper_) bound /= sum;
  }
  uint32_t of_row(uint64_t row) {
    if (upper_.empty()) return static_cast<uint32_t>(row % count_);
    const auto found = std::upper_bound(upper_.begin(), upper_.end(), random_.fraction());
    return std::min(static_cast<uint32_t>(found - upper_.begin()), count_ - 1);
  }

 private:
  const uint32_t count_;
  std::vector<double> upper_;
  Random random_{1};
};

Status write_text(const std::string& path, std::string_view text) {
  FileWriter file(path);
  file << text;
  return file.finish();
}

// Lines of about `bytes` octets on the wire, where each line has a CR more.
std::string filler(uint64_t bytes, std::string_view before, std::string_view after) {
  constexpr std::string_view kWords =
      "What happened this month, in a sentence that fills its line.";
  const uint64_t around = before.size() + after.size() + 2;
  std::string lines;
  while (bytes > around) {
    const uint64_t room = std::min<uint64_t>(bytes - around, kWords.size());
    lines += before;
    lines += kWords.substr(0, room);
    lines += after;
    lines += '\n';
    bytes -= room + around;
  }
  return lines;
}

std::string html_part(uint64_t bytes) {
  return "<html><body>\n<h1>Hello {{first_name}}</h1>\n"
         "<p>Here is the news for {{city}} on plan {{plan}}.</p>\n" +
         filler(bytes, "<p>", "</p>") +
         "<p>Your code is {{code}}, good until {{until}}.</p>\n</body></html>\n";
}

std::string text_part(uint64_t bytes) {
  return "Hello {{first_name}},\n\nhere is the news for {{city}} on plan {{plan}}.\n\n" +
         filler(bytes, "", "") + "\nYour code is {{code}}, good until {{until}}.\n";
}

Status write_list(const std::string& path, const BenchOptions& options, uint64_t messages) {
  Domains domains(options.domains, options.zipf);
  FileWriter list(path);
  list << "email,first_name,city,plan,code,until\n";
  for (uint64_t row = 0; row < messages; ++row) {
    list << "reader" << row << "@d" << uint64_t{domains.of_row(row)} << "." << kBenchZone
         << ",Reader " << row << ",Town " << row % 777 << (row % 3 == 0 ? ",gold," : ",basic,")
         << row * 7'919 % 999'983 << ",31 December\n";
  }
  return list.finish();
}

std::string_view shaping_of(BenchMode mode) {
  switch (mode) {
    case BenchMode::kLockstep:
      return "enable_pipelining = false\n";
    case BenchMode::kData:
      return "enable_chunking = false\n";
    case BenchMode::kChunking:
      return "blind_chunking = \"off\"\n";
    case BenchMode::kBlind:
      return "blind_chunking = \"trusted\"\n";
    case BenchMode::kEarned:
      break;
  }
  return "";
}

}  // namespace

StatusOr<BenchDirectory> BenchDirectory::make(const std::string& parent) {
  std::string path = parent + "/sluice-bench-XXXXXX";
  if (path.size() > kPathMax) {
    return invalid("the path " + parent + " is too long for the sockets that lie in it; give a " +
                   "shorter one with --spool");
  }
  if (::mkdtemp(path.data()) == nullptr) {
    return cannot_create("cannot make a directory in " + parent + ": " + std::strerror(errno) +
                         "; name another one with --spool");
  }
  return BenchDirectory(std::filesystem::absolute(path).string());
}

BenchDirectory::BenchDirectory(BenchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, std::string())) {}

BenchDirectory::~BenchDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Status BenchDirectory::clear() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    std::filesystem::remove_all(entry.path(), error);
    if (error) break;
  }
  if (!error) return {};
  return io_error("cannot clear " + path_ + ": " + error.message());
}

Status write_job(const BenchDirectory& directory, const BenchOptions& options, uint64_t messages) {
  const std::string job = directory.file("job");
  if (::mkdir(job.c_str(), 0755) != 0) {
    return cannot_create("cannot make " + job + ": " + std::strerror(errno));
  }
  RETURN_IF_ERROR(write_text(job + "/job.toml",
                             "name = \"bench\"\n"
                             "from = \"Example News <news@example.com>\"\n"
                             "subject = \"{{first_name}}, your news on plan {{plan}}\"\n"
                             "[message]\ntext = \"body.txt\"\nhtml = \"body.html\"\n"
                             "[list]\nfile = \"list.csv\"\n"));
  const uint64_t bytes = options.size - kFrameBytes;
  RETURN_IF_ERROR(write_text(job + "/body.txt", text_part(bytes / 3)));
  RETURN_IF_ERROR(write_text(job + "/body.html", html_part(bytes - bytes / 3)));
  return write_list(job + "/list.csv", options, messages);
}

Status write_configuration(const BenchDirectory& directory, const BenchOptions& options,
                           BenchMode mode, const BenchPlaces& places) {
  std::string shaping = "[\"default\"]\nconnection_limit = " + std::to_string(options.connections) +
                        "\n" + std::string(shaping_of(mode));
  if (options.per_connection > 0) {
    shaping += "max_deliveries_per_connection = " + std::to_string(options.per_connection) + "\n";
  }
  RETURN_IF_ERROR(write_text(directory.file("shaping.toml"), shaping));
  return write_text(
      directory.file("sluice.toml"),
      "[spool]\npath = \"" + directory.file("spool") + "\"\n" + "[engine]\nshards = " +
          std::to_string(options.shards) + "\n" + "[dns]\nservers = [\"" + places.dns + "\"]\n" +
          "[smtp]\nhello = \"sender.example\"\n" + "port = " + std::to_string(places.smtp_port) +
          "\n" + "allowed_networks = [\"127.0.0.0/8\"]\n" + "[shaping]\nfiles = [\"" +
          directory.file("shaping.toml") + "\"]\n" + "[record]\ndirectory = \"" +
          directory.file("record") + "\"\n" + "[admin]\nsocket = \"" +
          directory.file("admin.sock") + "\"\n");
}

}  // namespace sluice::tools
