// Any message.eml with any values: what compiles makes messages that are well-formed on the wire,
// and no value adds, ends or breaks a header line.
#include <string>
#include <string_view>

#include "tests/fuzz/input.h"
#include "tests/fuzz/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  JobSpec spec;
  spec.name = "july";
  spec.message.eml = "message.eml";
  TemplateInput given;
  given.spec = &spec;
  given.columns = fuzz::Composer::columns();
  given.job_id = "july-20261201T080000Z-abcdef";
  given.eml = input.field();
  spec.from = input.flag() ? "{{name}} <news@example.com>" : "news@example.com";
  if (input.flag()) spec.subject = "About {{x}}";
  if (input.flag()) spec.headers = {{"X-Fuzz", "{{x}}"}};
  const std::string_view name = input.field();
  const std::string_view x = input.rest();

  const auto message = MessageTemplate::compile(given);
  if (!message.ok()) {
    CHECK(message_of(message.status()).find(':') != std::string::npos);
    return 0;
  }
  fuzz::Composer composer(**message);
  const std::string wire = composer.compose("Zoe", "1");
  if (!(*message)->eight_bit()) CHECK(is_ascii(wire));
  const std::string narrow = composer.compose("Zoe", "1", /*eight_bit=*/false);
  CHECK(is_ascii(narrow));
  if (is_ascii(wire)) CHECK(narrow == wire);
  fuzz::check_values(**message, name, x, false);
  return 0;
}
