// Any template with any values: what compiles makes messages that are well-formed on the wire, and
// no value adds, ends or breaks a header line.
#include <string>
#include <string_view>
#include <utility>

#include "tests/fuzz/input.h"
#include "tests/fuzz/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  JobSpec spec;
  spec.name = "july";
  TemplateInput given;
  given.spec = &spec;
  given.columns = fuzz::Composer::columns();
  given.job_id = "july-20261201T080000Z-abcdef";
  spec.message.text = "body.txt";
  given.text = input.field();
  if (input.flag()) {
    spec.message.html = "body.html";
    given.html = input.field();
  }
  spec.subject = input.field();
  spec.from = input.field();
  if (spec.from.empty()) spec.from = "{{name}} <news@example.com>";
  spec.reply_to = input.field();
  const std::string header(input.field());
  if (!header.empty()) spec.headers = {{"X-Fuzz", header}, {"List-ID", "News <{{x}}.example>"}};
  if (spec.message.html.empty() ? input.flag() : false) {
    spec.message.text.clear();
    spec.message.html = "body.html";
    spec.message.text_from_html = input.flag();
    std::swap(given.html, given.text);
  }
  if (input.flag()) {
    given.partials = {{"part.txt", std::string(input.field())}, {"part.html", "<p>{{> part}}</p>"}};
  }
  if (input.flag()) {
    spec.message.attachments = {"a.png"};
    given.attachments = {std::string(input.field())};
  }
  const std::string_view name = input.field();
  const std::string_view x = input.rest();

  const auto message = MessageTemplate::compile(given);
  if (!message.ok()) {
    const std::string error = message_of(message.status());
    CHECK(error.find(':') != std::string::npos);
    return 0;
  }
  CHECK(!(*message)->eight_bit());
  // No other tag, which could be a section around them or other delimiters.
  const size_t fields = spec.subject.find("{{name}}{{x}}");
  const bool both = fields != std::string::npos && fields == spec.subject.find("{{") &&
                    fields + 8 == spec.subject.rfind("{{");
  fuzz::check_values(**message, name, x, both);
  return 0;
}
