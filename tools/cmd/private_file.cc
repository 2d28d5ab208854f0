#include "tools/cmd/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tools/cmd/descriptor.h"

namespace sluice::tools {
namespace {

// An RSA key of 4,096 bits takes 3.3 KiB.
constexpr size_t kFileBytesMax = 64UL << 10;

std::string reason() { return std::strerror(errno); }

std::string octal(mode_t mode) {
  std::array<char, 16> out{};
  std::snprintf(out.data(), out.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return out.data();
}

// Looked at after it was opened, so that nobody can put another in its place.
Status check_open_file(int file, const std::string& path, std::string_view harm) {
  struct stat found {};
  if (::fstat(file, &found) != 0) return misconfigured(path + ": cannot be looked at: " + reason());
  if (!S_ISREG(found.st_mode)) return misconfigured(path + " is not a regular file");
  if ((found.st_mode & 0007) != 0) {
    return misconfigured(path + " is open to everybody (mode " + octal(found.st_mode) +
                         "), and whoever has read it can " + std::string(harm) + ": chmod 600 " +
                         path +
                         ", or 640 for a group that sluice is in; make a new key if others may "
                         "have seen it");
  }
  if ((found.st_mode & 0020) != 0) {
    return misconfigured(path + " may be changed by its group (mode " + octal(found.st_mode) +
                         "): chmod g-w " + path);
  }
  if (static_cast<uint64_t>(found.st_size) > kFileBytesMax) {
    return misconfigured(path + " is larger than 64 KiB, which no key is");
  }
  return {};
}

// Gives a whole file its name, never in another's place; returns errno or 0. FUSE file systems
// often lack link(2), and NFS lacks the flag of renameat2(2): whichever there is.
int publish(const std::string& unfinished, const std::string& path) {
  if (::renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (::link(unfinished.c_str(), path.c_str()) != 0) return errno;
  ::unlink(unfinished.c_str());
  return 0;
}

}  // namespace

Status read_private_file(const std::string& path, std::string_view harm, std::string_view mend,
                         std::string& contents) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) {
    return misconfigured(path + ": the key cannot be read: " + reason() + "; " + std::string(mend));
  }
  RETURN_IF_ERROR(check_open_file(file.get(), path, harm));
  // No growing: a moved text would leave a copy of the key behind.
  contents.resize(kFileBytesMax);
  size_t done = 0;
  while (done < contents.size()) {
    const ssize_t count = ::read(file.get(), contents.data() + done, contents.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return misconfigured(path + ": cannot be read: " + reason());
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  contents.resize(done);
  return {};
}

Status write_private_file(const std::string& path, const std::string& contents) {
  // Under another name until it is whole: a key that was cut short would stop every start.
  const std::string unfinished = path + ".new";
  const auto cannot = [](const std::string& name, const char* what) {
    return cannot_create(name + ": cannot be " + what + ": " + reason());
  };
  const auto give_up = [&] {
    Status failed = cannot(unfinished, "written");
    ::unlink(unfinished.c_str());
    return failed;
  };
  {
    const Descriptor file(
        ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return cannot(unfinished, "created");
    size_t done = 0;
    while (done < contents.size()) {
      const ssize_t count = ::write(file.get(), contents.data() + done, contents.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return give_up();
      done += static_cast<size_t>(count);
    }
    if (::fsync(file.get()) != 0) return give_up();
  }
  const int error = publish(unfinished, path);
  if (error != 0) {
    ::unlink(unfinished.c_str());
    if (error == EEXIST) return absl::AlreadyExistsError(path + " exists already");
    errno = error;
    return cannot(path, "created");
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return cannot(path, "kept");
  return {};
}

}  // namespace sluice::tools
