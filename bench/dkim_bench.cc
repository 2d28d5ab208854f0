// What signing a message costs one core: 10 KiB of text and HTML, hashing alone and with each kind
// of key. Not for comparing machines: relative figures only.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/compose/dkim_signer.h"
#include "engine/compose/message_template.h"

namespace {

using sluice::DkimAlgorithm;
using sluice::DkimKeys;
using sluice::DkimPlan;
using sluice::DkimSigner;
using sluice::MessageBuffer;

std::string filler(size_t octets) {
  std::string out;
  while (out.size() < octets) {
    out += "The quick brown fox jumps over the lazy dog, again and again.\n";
  }
  return out;
}

std::shared_ptr<const DkimKeys> keys_of(DkimAlgorithm algorithm) {
  const auto pem = sluice::generate_dkim_key(algorithm, 2'048);
  CHECK(pem.ok());
  sluice::DkimEntry entry;
  entry.domain = "example.com";
  entry.selector = "s2026";
  auto key = sluice::DkimKey::parse(entry, *pem);
  CHECK(key.ok());
  auto keys = std::make_shared<DkimKeys>();
  keys->add(std::move(*key));
  return keys;
}

enum class Fields { kNone, kEarly, kLate };

void compose_signed(benchmark::State& state, std::shared_ptr<const DkimKeys> keys, Fields fields) {
  sluice::JobSpec spec;
  spec.name = "bench";
  spec.from = "Example News <news@example.com>";
  spec.subject = "Hello {{first_name}}, your order {{order}}";
  spec.message.text = "body.txt";
  spec.message.html = "body.html";
  sluice::TemplateInput input;
  input.spec = &spec;
  input.columns = {"email", "first_name", "order", "city"};
  input.job_id = "bench-20261201T080000-1";
  const std::string greeting = "Dear {{first_name}} of {{city}}, order {{order}}.\n";
  input.text = (fields == Fields::kEarly ? greeting : "") + filler(3'000);
  input.html = "<p>" + filler(6'200) + (fields == Fields::kLate ? greeting : "") + "</p>\n";
  input.dkim_keys = std::move(keys);
  auto made = sluice::MessageTemplate::compile(input);
  CHECK(made.ok());
  const auto message = std::move(*made);
  MessageBuffer buffer;
  const std::array<std::string_view, 4> values = {"zoe@example.net", "Catherine", "A-10042",
                                                  "Berlin"};
  sluice::Row row;
  row.address = values[0];
  row.local_part = "zoe";
  row.domain = "example.net";
  row.values = values;
  const sluice::MessageContext context{sluice::from_unix_seconds(1'796'115'667), false};
  CHECK(message->compose(row, context, buffer).ok());
  for (auto _ : state) {
    ++row.number;
    CHECK(message->compose(row, context, buffer).ok());
    benchmark::DoNotOptimize(buffer.pieces().data());
  }
  state.counters["message_bytes"] = static_cast<double>(buffer.bytes());
}

// A message put together by hand from two constant parts and a field, and the hash of its body.
void body_hash(benchmark::State& state, size_t before_field, size_t behind_field) {
  const std::string headers = "From: <news@example.com>\r\nSubject: " + filler(500);
  std::string literals = headers.substr(0, headers.size() - 1) + "\r\n\r\n";
  const size_t body = literals.size();
  std::string text;
  for (const char c : filler(before_field + behind_field))
    text += c == '\n' ? "\r\n" : std::string(1, c);
  literals += text;
  DkimPlan plan;
  plan.literals = literals;
  plan.pieces = {{body, before_field},
                 {body + before_field, literals.size() - body - before_field}};
  plan.shared_pieces = 1;
  const auto signer = DkimSigner::make(keys_of(DkimAlgorithm::kEd25519Sha256), "example.com", plan);
  MessageBuffer buffer;
  const std::string_view all = literals;
  for (auto _ : state) {
    buffer.clear();
    buffer.append_constant(all.substr(0, body + before_field));
    buffer.append("Catherine=\r\n");
    buffer.append_constant(all.substr(body + before_field));
    benchmark::DoNotOptimize(signer->hash_body(buffer, body, false));
  }
  state.counters["message_bytes"] = static_cast<double>(buffer.bytes());
}

void unsigned_early(benchmark::State& state) { compose_signed(state, nullptr, Fields::kEarly); }
void hash_early(benchmark::State& state) { body_hash(state, 200, 10'000); }
void hash_late(benchmark::State& state) { body_hash(state, 9'200, 1'000); }
void ed25519_shared(benchmark::State& state) {
  compose_signed(state, keys_of(DkimAlgorithm::kEd25519Sha256), Fields::kNone);
}
void ed25519_early(benchmark::State& state) {
  compose_signed(state, keys_of(DkimAlgorithm::kEd25519Sha256), Fields::kEarly);
}
void ed25519_late(benchmark::State& state) {
  compose_signed(state, keys_of(DkimAlgorithm::kEd25519Sha256), Fields::kLate);
}
void rsa_early(benchmark::State& state) {
  compose_signed(state, keys_of(DkimAlgorithm::kRsaSha256), Fields::kEarly);
}

BENCHMARK(unsigned_early);
BENCHMARK(hash_early);
BENCHMARK(hash_late);
BENCHMARK(ed25519_shared);
BENCHMARK(ed25519_late);
BENCHMARK(ed25519_early);
BENCHMARK(rsa_early);

}  // namespace
