// Counts what is allocated while messages go by.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "engine/converse/dialog.h"

namespace {
size_t allocation_count = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocation_count;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice {
namespace {

constexpr std::string_view kSender = "bounce+abcdefghijklmnopqrstuvwxyz234567@news.example.com";
constexpr std::string_view kRecipient = "a.rather.long.recipient@mail.example.org";

// As many messages as asked for, each accepted or, where `refuse`, its recipient refused.
size_t converse(Dialog& dialog, size_t messages, bool refuse) {
  size_t verdicts = 0;
  size_t taken = 0;
  Dialog::Output out[8];
  const auto exchange = [&](std::string_view replies) {
    dialog.receive(replies);
    while (dialog.next_verdict() != nullptr) ++verdicts;
    while (taken < messages && dialog.wants_message()) {
      dialog.take(++taken, {kSender, kRecipient, 10'000, false, false});
    }
    dialog.sent(dialog.gather(out));
  };
  exchange("");
  while (!dialog.idle()) {
    switch (*dialog.waiting_for()) {
      case 'M':
        exchange("250 2.1.0 sender is fine with us, thank you\r\n");
        break;
      case 'R':
        if (dialog.waiting_for()[1] == 'S') {
          exchange("250 2.0.0 forgotten\r\n");
        } else {
          exchange(refuse ? "550 5.1.1 the account that you tried to reach does not exist\r\n"
                          : "250 2.1.5 recipient is fine with us, thank you\r\n");
        }
        break;
      case 'D':
        exchange(refuse ? "503 5.5.1 no recipient\r\n" : "354 go ahead, end with a dot\r\n");
        break;
      default:
        exchange("250 2.0.0 taken and queued as 4F0E8A7B6C5D4E3F2A1B, a long name for it\r\n");
    }
  }
  return verdicts;
}

TEST(DialogAllocation, NoneForAMessageInSteadyState) {
  DialogOptions options;
  options.hello = "me.example";
  options.refusals_max = 0;
  for (const bool refuse : {false, true}) {
    Dialog dialog(options);
    Dialog::Output out[8];
    dialog.receive("220 mx\r\n");
    dialog.sent(dialog.gather(out));
    dialog.receive("250-mx\r\n250-SIZE 0\r\n250 PIPELINING\r\n");
    EXPECT_EQ(converse(dialog, 100, refuse), 100U);
    const size_t before = allocation_count;
    EXPECT_EQ(converse(dialog, 10'000, refuse), 10'000U);
    EXPECT_EQ(allocation_count, before);
  }
}

}  // namespace
}  // namespace sluice
