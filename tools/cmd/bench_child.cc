#include "tools/cmd/bench_child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

#include "engine/base/strings.h"

namespace sluice::tools {
namespace {

constexpr size_t kTextMax = 16UL << 20;
constexpr const char* kSelf = "/proc/self/exe";

Duration duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

// The number behind `name` in a file of lines such as "write_bytes: 4096" and "VmHWM:  12 kB".
uint64_t number_of(const std::string& path, std::string_view name) {
  std::ifstream lines(path);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, name.size(), name) != 0) continue;
    std::string_view rest = trim(std::string_view(line).substr(name.size()));
    rest = rest.substr(0, rest.find(' '));
    return parse_decimal(rest).value_or(0);
  }
  return 0;
}

// In the child, between fork and exec.
[[noreturn]] void become(const BenchChild::Plan& plan, std::vector<char*>& arguments, int output,
                         pid_t parent) {
  const auto give_up = [](const char* what) {
    const std::string line =
        "sluice bench: " + std::string(what) + ": " + std::strerror(errno) + "\n";
    const ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
    (void)ignored;
    ::_exit(127);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  // An interrupt from the terminal is the benchmark's to handle.
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*plan.core, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0) give_up("cannot pin to a core");
  }
  if (::dup2(output, STDOUT_FILENO) < 0) give_up("cannot redirect");
  if (!plan.errors.empty()) {
    const int file = ::open(plan.errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || ::dup2(file, STDERR_FILENO) < 0) give_up("cannot write the log");
  }
  for (const auto& [name, value] : plan.variables) ::setenv(name.c_str(), value.c_str(), 1);
  ::execv(kSelf, arguments.data());
  give_up("cannot run myself");
  ::_exit(127);
}

}  // namespace

StatusOr<BenchChild> BenchChild::start(const Plan& plan) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
    return unavailable("cannot make a pipe: " + std::string(std::strerror(errno)));
  }
  std::vector<std::string> words = {"sluice"};
  words.insert(words.end(), plan.arguments.begin(), plan.arguments.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process == 0) become(plan, arguments, pipe[1], parent);
  ::close(pipe[1]);
  const int ended = process < 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  BenchChild child(process, ended, pipe[0]);
  if (process < 0 || ended < 0) {
    return unavailable("cannot start a process: " + std::string(std::strerror(errno)));
  }
  return child;
}

BenchChild::BenchChild(BenchChild&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      ended_(std::exchange(other.ended_, -1)),
      output_(std::exchange(other.output_, -1)),
      text_(std::move(other.text_)),
      user_(other.user_),
      system_(other.system_),
      written_(other.written_),
      status_(other.status_) {}

BenchChild::~BenchChild() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    reap();
  }
  if (ended_ >= 0) ::close(ended_);
  if (output_ >= 0) ::close(output_);
}

bool BenchChild::read_some(Duration patience) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
  pollfd readable{output_, POLLIN, 0};
  if (::poll(&readable, 1, static_cast<int>(milliseconds)) <= 0) return false;
  std::array<char, 65'536> piece;
  const ssize_t got = ::read(output_, piece.data(), piece.size());
  if (got <= 0) return false;
  if (text_.size() < kTextMax) text_.append(piece.data(), static_cast<size_t>(got));
  return true;
}

std::string BenchChild::read_line(Duration patience) {
  while (text_.find('\n') == std::string::npos) {
    if (!read_some(patience)) return {};
  }
  const size_t end = text_.find('\n');
  std::string line = text_.substr(0, end);
  text_.erase(0, end + 1);
  return line;
}

StatusOr<BenchUsage> BenchChild::usage() const {
  BenchUsage usage;
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(process_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    return unavailable("cannot read the CPU time of a process: " +
                       std::string(std::strerror(errno)));
  }
  usage.cpu = std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  const std::string directory = "/proc/" + std::to_string(process_);
  usage.write_bytes = written();
  usage.memory_peak = number_of(directory + "/status", "VmHWM:") << 10;
  return usage;
}

uint64_t BenchChild::written() const {
  return number_of("/proc/" + std::to_string(process_) + "/io", "write_bytes:");
}

std::string BenchChild::stop() {
  if (process_ > 0) {
    ::kill(process_, SIGTERM);
    constexpr Duration kPatience = std::chrono::seconds(60);
    while (read_some(kPatience)) {
    }
    pollfd ended{ended_, POLLIN, 0};
    constexpr int kPatienceMilliseconds = 60'000;
    if (::poll(&ended, 1, kPatienceMilliseconds) != 1) ::kill(process_, SIGKILL);
    written_ = written();  // until it is reaped the kernel still knows
    reap();
  }
  return std::move(text_);
}

void BenchChild::reap() {
  rusage usage{};
  while (::wait4(process_, &status_, 0, &usage) < 0 && errno == EINTR) {
  }
  user_ = duration_of(usage.ru_utime);
  system_ = duration_of(usage.ru_stime);
  process_ = -1;
}

Duration busy_time_of_core(uint32_t core) {
  std::ifstream lines("/proc/stat");
  const std::string name = "cpu" + std::to_string(core) + " ";
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, name.size(), name) != 0) continue;
    // user nice system idle iowait irq softirq steal
    const std::vector<std::string_view> fields = split(line, ' ');
    constexpr std::array<size_t, 5> kBusy = {1, 2, 3, 6, 7};
    uint64_t ticks = 0;
    for (const size_t field : kBusy) {
      if (field < fields.size()) ticks += parse_decimal(fields[field]).value_or(0);
    }
    return Duration(std::chrono::seconds(ticks)) / ::sysconf(_SC_CLK_TCK);
  }
  return Duration(0);
}

}  // namespace sluice::tools
