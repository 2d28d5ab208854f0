// Plays the stories of *.smtp against a Dialog: whole replies, and octet by octet.
//
// A story is read line by line:
//   # words                            for people
//   mail SENDER RECIPIENT [size=N] [utf8]   a message that waits
//   S: text                            the receiver says this line
//   C: text                            then exactly these lines are sent; [content 1]: a message
//   depth [blind=N] [probe] [data] [one]   how far to go, said when it is ready, or from now on
//   quit                               no mail is left: QUIT, as soon as nothing is under way
//   closed, reset, timeout             how the connection ends
//   = 1 delivered recipient 250 .      verdicts, in order: message, state, scope, code, command
//   session: deferred ...              why the session as a whole failed
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

class Play {
 public:
  explicit Play(bool octets) : octets_(octets), driver_(options_for_tests()) {}

  void read(const std::string& line) {
    if (line.empty() || line[0] == '#') return;
    if (line.starts_with("S: ")) {
      if (!expected_.empty()) compare();
      said_ += line.substr(3) + "\r\n";
    } else if (line.starts_with("C: ")) {
      speak();
      expected_ += line.substr(3) + "\r\n";
    } else if (line.starts_with("= ")) {
      settle();
      verdicts_.push_back(line.substr(2));
    } else if (line.starts_with("session: ")) {
      session_ = line.substr(9);
    } else if (line.starts_with("depth")) {
      settle();
      set_depth(line.substr(5));
    } else if (line.starts_with("mail ")) {
      add_mail(line.substr(5));
    } else {
      settle();
      happens(line);
    }
  }

  void end() {
    settle();
    EXPECT_EQ(driver_.verdicts, verdicts_);
    const Verdict* failure = driver_.dialog.session_failure();
    EXPECT_EQ(failure == nullptr ? "" : describe(*failure), session_);
  }

 private:
  void add_mail(std::string_view words) {
    Envelope envelope;
    for (const std::string_view word : split(words, ' ')) {
      if (word == "utf8") {
        envelope.smtputf8 = true;
      } else if (word.starts_with("size=")) {
        envelope.size = parse_decimal(word.substr(5)).value();
      } else {
        (envelope.sender.empty() ? envelope.sender : envelope.recipient) =
            *texts_.emplace(word).first;
      }
    }
    driver_.mail.push_back(envelope);
  }

  void set_depth(std::string_view words) {
    DialogDepth depth;
    for (const std::string_view word : split(words, ' ')) {
      if (word.starts_with("blind=")) {
        depth.blind = static_cast<uint32_t>(parse_decimal(word.substr(6)).value());
      }
      if (word == "probe") depth.probe = true;
      if (word == "data") depth.chunking = false;
      if (word == "one") depth.one_at_a_time = true;
    }
    driver_.depth = depth;
    driver_.work();
  }

  void speak() {
    if (said_.empty()) return;
    driver_.output.clear();
    driver_.says(std::exchange(said_, {}), octets_);
  }

  // What was sent since the receiver spoke.
  void compare() {
    EXPECT_EQ(driver_.output, expected_);
    driver_.output.clear();
    expected_.clear();
  }

  void settle() {
    speak();
    compare();
  }

  void happens(const std::string& what) {
    if (what == "quit") {
      ASSERT_TRUE(driver_.dialog.idle());
      driver_.dialog.quit();
      driver_.work();
    } else if (what == "closed") {
      driver_.fails(Fault::kClosed);
    } else if (what == "reset") {
      driver_.fails(Fault::kReset);
    } else if (what == "timeout") {
      driver_.fails(Fault::kTimedOut);
    } else {
      FAIL() << "what is \"" << what << "\"?";
    }
  }

  const bool octets_;
  Driver driver_;
  std::set<std::string, std::less<>> texts_;
  std::string said_;
  std::string expected_;
  std::vector<std::string> verdicts_;
  std::string session_;
};

TEST(Cases, Smtp) {
  std::set<std::filesystem::path> stories;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_CASES)) {
    if (entry.path().extension() == ".smtp") stories.insert(entry.path());
  }
  EXPECT_GE(stories.size(), 12U);
  for (const auto& path : stories) {
    for (const bool octets : {false, true}) {
      SCOPED_TRACE(path.filename().string() + (octets ? ", octet by octet" : ""));
      std::ifstream file(path);
      Play play(octets);
      for (std::string line; std::getline(file, line);) play.read(line);
      play.end();
    }
  }
}

}  // namespace
}  // namespace sluice
