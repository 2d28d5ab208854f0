// Composing allocates nothing once a buffer has seen a message of its kind.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/unit/compose/decode.h"

namespace {
thread_local size_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice {
namespace {

using testing::ComposeTest;

TEST_F(ComposeTest, AllocatesNothingInSteadyState) {
  spec.from = "{{name}} <news@example.com>";
  spec.headers = {{"X-Value", "a {{x}} b"}};
  spec.message.html = "body.html";
  input.text = std::string(4'000, 'x') + "{{name}} {{x}}\n{{email}}";
  input.html = "<p>{{name}} {{x}} {{row}}</p>" + std::string(4'000, 'y');
  compile();
  const std::string name = "Zo\xC3\xAB <x>";
  const std::string value(6'000, 'v');
  ASSERT_TRUE(try_row(name, value).ok());
  const size_t before = allocations;
  for (int i = 0; i < 10; ++i) {
    ++row.number;
    const ComposeResult result =
        message->compose(row, {from_unix_seconds(1'796'115'667 + i)}, buffer);
    ASSERT_TRUE(result.ok());
  }
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace sluice
