// Composing allocates nothing once a buffer has seen a message of its kind.
#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "tests/unit/compose/decode.h"
#include "tests/unit/compose/dkim_verify.h"

namespace {
thread_local size_t allocations = 0;
size_t libcrypto_allocations = 0;

void* libcrypto_malloc(size_t octets, const char* /*file*/, int /*line*/) {
  ++libcrypto_allocations;
  return std::malloc(octets);
}
void* libcrypto_realloc(void* memory, size_t octets, const char* /*file*/, int /*line*/) {
  ++libcrypto_allocations;
  return std::realloc(memory, octets);
}
void libcrypto_free(void* memory, const char* /*file*/, int /*line*/) { std::free(memory); }

// libcrypto takes these only before its own first allocation.
const bool kCountsLibcrypto =
    CRYPTO_set_mem_functions(libcrypto_malloc, libcrypto_realloc, libcrypto_free) == 1;
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
  spec.headers = {{"X-Value", "a {{x}} b{{#name}} {{.}}{{/name}}{{^name}}none{{/name}}"},
                  {"X-Url", "{{#urlencode}}{{x}}{{/urlencode}}"}};
  spec.message.html = "body.html";
  input.text = std::string(4'000, 'x') + "{{name}} {{x}}\n{{email}}";
  input.html =
      "<p>{{name}} {{x}} {{row}}</p>" + std::string(4'000, 'y') +
      "{{#name}}<a href=\"?{{#urlencode}}{{x}}{{/urlencode}}\">{{^x}}no{{/x}}</a>{{/name}}";
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

// Outside OpenSSL, which calls malloc itself.
TEST_F(ComposeTest, SigningAllocatesNothingInSteadyState) {
  auto keys = std::make_shared<DkimKeys>();
  keys->add(testing::new_key("example.com", "r", DkimAlgorithm::kRsaSha256));
  keys->add(testing::new_key("example.com", "e", DkimAlgorithm::kEd25519Sha256));
  input.dkim_keys = keys;
  input.text = "Dear {{name}},\n" + std::string(4'000, 'x') + "{{x}}\n";
  compile();
  ASSERT_TRUE(try_row("Zoe", "  y  ").ok());
  const size_t before = allocations;
  for (int i = 0; i < 10; ++i) {
    ++row.number;
    const ComposeResult result =
        message->compose(row, {from_unix_seconds(1'796'115'667 + i)}, buffer);
    ASSERT_TRUE(result.ok());
  }
  EXPECT_EQ(allocations, before);
}

// What OpenSSL 3.0 asks for is its own affair, but it stays a small number.
TEST_F(ComposeTest, LibcryptoAllocatesLittle) {
  ASSERT_TRUE(kCountsLibcrypto);
  struct Case {
    const char* name;
    DkimAlgorithm algorithm;
    double most;
  };
  for (const Case& each : {Case{"RSA-2048", DkimAlgorithm::kRsaSha256, 40},
                           Case{"Ed25519", DkimAlgorithm::kEd25519Sha256, 15}}) {
    auto keys = std::make_shared<DkimKeys>();
    keys->add(testing::new_key("example.com", "s", each.algorithm, 2'048));
    input.dkim_keys = keys;
    input.text = "Dear {{name}},\n" + std::string(4'000, 'x') + "{{x}}\n";
    compile();
    ASSERT_TRUE(try_row("Zoe", "y").ok());
    constexpr int kMessages = 100;
    const size_t before = libcrypto_allocations;
    for (int i = 0; i < kMessages; ++i) {
      ++row.number;
      const ComposeResult result =
          message->compose(row, {from_unix_seconds(1'796'115'667 + i)}, buffer);
      ASSERT_TRUE(result.ok());
    }
    const double each_message = static_cast<double>(libcrypto_allocations - before) / kMessages;
    std::printf("%s: libcrypto allocates %.1f times a message\n", each.name, each_message);
    EXPECT_GT(each_message, 0);
    EXPECT_LE(each_message, each.most);
  }
}

}  // namespace
}  // namespace sluice
