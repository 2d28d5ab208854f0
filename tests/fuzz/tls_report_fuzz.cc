// What a domain says of where its TLS reports go, and the file of results.
// Each is taken or refused; what was taken is within its bounds, and written again it is the same.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/record/tls_report.h"
#include "engine/record/tls_results.h"
#include "engine/resolve/curl_web.h"
#include "tests/fuzz/input.h"

namespace sluice {
namespace {

void check_url(std::string_view url) {
  const std::optional<WebRequest> request = parse_https_url(std::string(url));
  if (!request) return;
  CHECK(request->port > 0 && request->target.starts_with('/'));
  CHECK(!request->host.empty() && !parse_ip(request->host));
  // It becomes a line of a request, and an entry of a list of names.
  const auto is_plain = [](char c) { return c > ' ' && c < '\x7F'; };
  CHECK(std::all_of(request->target.begin(), request->target.end(), is_plain));
  CHECK(request->host.find_first_of(":,/@[] ") == std::string::npos);
  const std::string again =
      "https://" + request->host + ":" + std::to_string(request->port) + request->target;
  const std::optional<WebRequest> twin = parse_https_url(again);
  CHECK(twin && twin->host == request->host && twin->target == request->target);
}

void check_record(std::string_view all) {
  std::vector<std::string> texts;
  for (const std::string_view text : split(all, fuzz::kFieldEnd)) texts.emplace_back(text);
  const std::optional<TlsReportTargets> targets = parse_tls_report_record(texts);
  if (!targets) return;
  CHECK(targets->addresses.size() + targets->urls.size() <= kTlsReportTargetsMax);
  // An address is a row of a list.
  for (const std::string& address : targets->addresses) {
    CHECK(address.find_first_of("\r\n,\"") == std::string::npos);
    CHECK(address.find('@') != std::string::npos);
  }
  for (const std::string& url : targets->urls) check_url(url);
  texts.emplace_back("v=TLSRPTv1; rua=mailto:a@b.example");
  CHECK(!parse_tls_report_record(texts));
}

void check_results(std::string_view text) {
  const StatusOr<TlsResultsFile> file = parse_tls_results(text);
  if (!file.ok()) return;
  TlsResults results;
  for (const TlsDomainResults& each : file->results) results.add(each);
  const std::string again = results.file_text();
  const StatusOr<TlsResultsFile> twin = parse_tls_results(again);
  CHECK(twin.ok() && twin->left_out == 0);
  TlsResults same;
  for (const TlsDomainResults& each : twin->results) same.add(each);
  CHECK(same.file_text() == again);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  constexpr void (*kChecks[])(std::string_view) = {check_record, check_url, check_results};
  const auto check = kChecks[input.choice() % std::size(kChecks)];
  check(input.rest());
  return 0;
}
