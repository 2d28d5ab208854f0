// What composing a message costs one core: 10 KiB of text and HTML with five fields, the budget
// of which is 1.5 us. Not for comparing machines: relative figures only.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/compose/message_template.h"

namespace {

using sluice::JobSpec;
using sluice::MessageBuffer;
using sluice::MessageTemplate;
using sluice::Row;
using sluice::TemplateInput;

std::string filler(size_t octets) {
  std::string out;
  while (out.size() < octets)
    out += "The quick brown fox jumps over the lazy dog, again and again.\n";
  return out;
}

// `sections`: what stands around the fields of the HTML part, in twenty places.
std::unique_ptr<const MessageTemplate> compile_ten_kib(bool sections = false) {
  JobSpec spec;
  spec.name = "bench";
  spec.from = "Example News <news@example.com>";
  spec.subject = "Hello {{first_name}}, your order {{order}}";
  spec.message.text = "body.txt";
  spec.message.html = "body.html";
  TemplateInput input;
  input.spec = &spec;
  input.columns = {"email", "first_name", "order", "city"};
  input.job_id = "bench-20261201T080000-1";
  input.text = "Dear {{first_name}},\n" + filler(3'000) + "Order {{order}}.\n";
  input.html = "<p>Dear {{first_name}},</p>\n" + filler(6'200);
  for (int i = 0; sections && i < 10; ++i) {
    input.html += "{{#city}}\n<p>In {{city}}</p>\n{{/city}}\n{{^order}}\n<p>None</p>\n{{/order}}\n";
  }
  auto made = MessageTemplate::compile(input);
  CHECK(made.ok());
  return std::move(*made);
}

void compose_with(benchmark::State& state, std::string_view first_name, bool sections = false) {
  const auto message = compile_ten_kib(sections);
  MessageBuffer buffer;
  const std::array<std::string_view, 4> values = {"zoe@example.net", first_name, "A-10042",
                                                  "Berlin"};
  Row row;
  row.address = values[0];
  row.local_part = "zoe";
  row.domain = "example.net";
  row.values = values;
  const sluice::MessageContext context{sluice::from_unix_seconds(1'796'115'667)};
  uint64_t bytes = 0;
  for (auto _ : state) {
    ++row.number;
    const sluice::ComposeResult result = message->compose(row, context, buffer);
    CHECK(result.ok());
    benchmark::DoNotOptimize(buffer.pieces().data());
    bytes += buffer.bytes();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.counters["message_bytes"] = static_cast<double>(buffer.bytes());
  state.counters["pieces"] = static_cast<double>(buffer.pieces().size());
}

void compose_ascii(benchmark::State& state) { compose_with(state, "Catherine"); }
void compose_encoded_word(benchmark::State& state) { compose_with(state, "Zo\xC3\xAB"); }
void compose_sections(benchmark::State& state) { compose_with(state, "Catherine", true); }

BENCHMARK(compose_ascii);
BENCHMARK(compose_sections);
BENCHMARK(compose_encoded_word);

}  // namespace
