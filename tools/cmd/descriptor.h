// A file descriptor that closes itself. One owner; any thread.
#pragma once

#include <unistd.h>

namespace sluice::tools {

class Descriptor {
 public:
  // Takes it over; negative: none.
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  const int number_;
};

}  // namespace sluice::tools
