// What a domain says about its TLS: policies, TXT records, TLSA records and the file of policies.
// Each is taken or refused; what was taken is within its bounds, and written again it is the same.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/resolve/dane.h"
#include "engine/resolve/sts_file.h"
#include "engine/resolve/sts_policy.h"
#include "tests/fuzz/input.h"

namespace sluice {
namespace {

void check_pattern(const std::string& pattern, const StsPolicy& policy) {
  CHECK(sts_pattern_of(pattern) == pattern);
  CHECK(is_ascii(pattern) && to_lower(pattern) == pattern);
  const bool wildcard = pattern.substr(0, 2) == "*.";
  CHECK(pattern.find('*', wildcard ? 1 : 0) == std::string::npos);
  StsPolicy alone;
  alone.mx = {pattern};
  if (wildcard) {
    const std::string suffix = pattern.substr(1);
    CHECK(sts_matches(policy, "x" + suffix));
    CHECK(!sts_matches(alone, suffix) && !sts_matches(alone, suffix.substr(1)));
    CHECK(!sts_matches(alone, "x.y" + suffix));
  } else {
    CHECK(sts_matches(policy, pattern));
    CHECK(!sts_matches(alone, "x" + pattern) && !sts_matches(alone, "x." + pattern));
  }
  CHECK(!sts_matches(alone, pattern + ".example"));
}

void check_policy(std::string_view text) {
  const StatusOr<StsPolicy> policy = parse_sts_policy(text);
  if (!policy.ok()) {
    CHECK(!message_of(policy.status()).empty() && is_ascii(message_of(policy.status())));
    return;
  }
  CHECK(policy->max_age >= Duration(0) && policy->max_age <= kStsMaxAge);
  CHECK(policy->mx.size() <= kStsPatternsMax);
  CHECK(policy->mode == StsMode::kNone || !policy->mx.empty());
  for (const std::string& pattern : policy->mx) check_pattern(pattern, *policy);

  const auto seconds = std::chrono::floor<std::chrono::seconds>(policy->max_age).count();
  std::string again = "version: STSv1\nmode: ";
  again += name_of(policy->mode);
  again += "\nmax_age: " + std::to_string(seconds) + "\n";
  for (const std::string& pattern : policy->mx) again += "mx: " + pattern + "\n";
  const StatusOr<StsPolicy> twin = parse_sts_policy(again);
  CHECK(twin.ok() && *twin == *policy);
}

void check_texts(std::string_view all) {
  std::vector<std::string> texts;
  for (const std::string_view text : split(all, fuzz::kFieldEnd)) texts.emplace_back(text);
  const std::optional<std::string> id = sts_id_of(texts);
  if (!id) return;
  CHECK(is_sts_id(*id));
  const std::vector<std::string> again = {"v=STSv1; id=" + *id + ";"};
  CHECK(sts_id_of(again) == id);
  // A second one names two policies; a record of something else does not matter.
  texts.push_back(again[0]);
  CHECK(!sts_id_of(texts));
  texts.back() = "v=spf1 -all";
  CHECK(sts_id_of(texts) == id);
}

void check_tlsa(std::string_view all) {
  Finding finding;
  finding.asked = true;
  finding.secure = true;
  finding.kind = resolver_cache::AnswerKind::kPositive;
  size_t usable = 0;
  for (const std::string_view rdata : split(all, fuzz::kFieldEnd)) {
    finding.items.push_back({0, std::string(rdata)});
    CHECK(is_ascii(tlsa_text(rdata)));
    const std::optional<TlsaRecord> record = usable_tlsa(rdata);
    if (!record) continue;
    if (finding.items.size() <= kTlsaUsedMax) ++usable;
    CHECK(record->usage == 2 || record->usage == 3);
    CHECK(record->selector <= 1 && record->matching <= 2 && !record->data.empty());
    CHECK(record->matching != 1 || record->data.size() == 32);
    CHECK(record->matching != 2 || record->data.size() == 64);
    std::string again;
    for (const uint8_t number : {record->usage, record->selector, record->matching}) {
      again += static_cast<char>(number);
    }
    CHECK(again + record->data == rdata);
  }
  const TlsaVerdict verdict = judge_tlsa(finding);
  CHECK(verdict.tlsa.size() <= usable);
  CHECK(verdict.state == (usable == 0 ? DaneState::kUnusable : DaneState::kRecords));
  CHECK(verdict.tlsa.empty() == (usable == 0));
  finding.secure = false;
  CHECK(judge_tlsa(finding).state == DaneState::kAbsent);
}

void check_file(std::string_view text) {
  const StatusOr<StsFile> file = parse_sts_file(text);
  if (!file.ok()) return;
  const StatusOr<StsFile> again = parse_sts_file(sts_file_text(file->policies));
  CHECK(again.ok() && again->left_out == 0 && again->policies == file->policies);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  constexpr void (*kChecks[])(std::string_view) = {check_policy, check_texts, check_tlsa,
                                                   check_file};
  const auto check = kChecks[input.choice() % std::size(kChecks)];
  check(input.rest());
  return 0;
}
