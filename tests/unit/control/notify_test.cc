#include "engine/control/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sluice {
namespace {

// What stands in for the service manager.
class Manager {
 public:
  explicit Manager(const std::string& name) : name_(name) {
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  }
  ~Manager() {
    ::close(descriptor_);
    if (name_[0] != '@') ::unlink(name_.c_str());
  }
  std::string next() {
    char octets[4096];
    const ssize_t count = ::recv(descriptor_, octets, sizeof octets, MSG_DONTWAIT);
    return count < 0 ? "nothing" : std::string(octets, static_cast<size_t>(count));
  }

 private:
  std::string name_;
  int descriptor_ = -1;
};

TEST(Notify, SaysWhatTheProtocolAsks) {
  const std::string path =
      ::testing::TempDir() + "/sluice-notify-" + std::to_string(::getpid()) + ".sock";
  Manager manager(path);
  const Notifier notifier(path);
  EXPECT_TRUE(notifier.ready("two\nlines"));
  EXPECT_EQ(manager.next(), "READY=1\nSTATUS=two lines");
  EXPECT_TRUE(notifier.stopping());
  EXPECT_EQ(manager.next(), "STOPPING=1");
  EXPECT_TRUE(notifier.reloading(Instant(std::chrono::milliseconds(1'500))));
  EXPECT_EQ(manager.next(), "RELOADING=1\nMONOTONIC_USEC=1500000");
  EXPECT_TRUE(notifier.watchdog());
  EXPECT_EQ(manager.next(), "WATCHDOG=1");
  EXPECT_TRUE(notifier.status("sending"));
  EXPECT_EQ(manager.next(), "STATUS=sending");
  EXPECT_EQ(manager.next(), "nothing");
}

TEST(Notify, ReachesAbstractSockets) {
  const std::string name = "@sluice-notify-" + std::to_string(::getpid());
  Manager manager(name);
  EXPECT_TRUE(Notifier(name).ready());
  EXPECT_EQ(manager.next(), "READY=1");
}

TEST(Notify, NobodyToTellIsFine) {
  EXPECT_TRUE(Notifier("").ready());
  EXPECT_FALSE(Notifier("").active());
  EXPECT_FALSE(Notifier("/nonexistent/notify.sock").ready());
  EXPECT_FALSE(Notifier("relative").ready());
  EXPECT_FALSE(Notifier("/" + std::string(200, 'x')).ready());
}

TEST(Notify, WatchdogIntervalIsForThisProcess) {
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::unsetenv("WATCHDOG_PID");
  EXPECT_EQ(watchdog_interval(), Duration(std::chrono::seconds(30)));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(watchdog_interval(), std::nullopt);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_interval(), Duration(std::chrono::seconds(30)));
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(watchdog_interval(), std::nullopt);
  ::unsetenv("WATCHDOG_USEC");
  ::unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace sluice
