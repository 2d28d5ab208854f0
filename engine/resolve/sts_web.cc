#include "engine/resolve/sts_web.h"

#include <string_view>
#include <utility>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr long kOk = 200;

bool is_text_plain(std::string_view type) {
  return equals_ignore_case(trim(type.substr(0, type.find(';'))), "text/plain");
}

}  // namespace

std::string sts_host_of(const std::string& domain) { return "mta-sts." + domain; }

WebRequest sts_request(const std::string& domain, std::vector<IpAddress> addresses) {
  WebRequest request;
  request.host = sts_host_of(domain);
  request.target = "/.well-known/mta-sts.txt";
  request.addresses = std::move(addresses);
  return request;
}

StsFetched sts_fetched_of(const std::string& domain, WebAnswer answer) {
  if (answer.kind == WebAnswer::Kind::kNotAsked) {
    return {StsFetched::Kind::kNotAsked, "", std::move(answer.detail), StsFault::kFetch};
  }
  std::string why;
  StsFault fault = StsFault::kFetch;
  if (answer.kind == WebAnswer::Kind::kFailed) {
    why = std::move(answer.detail);
    if (answer.bad_certificate) fault = StsFault::kCertificate;
  } else if (answer.status != kOk) {
    why = "https://" + sts_host_of(domain) + ": status " + std::to_string(answer.status) +
          " instead of 200";
  } else if (!is_text_plain(answer.type)) {
    why = "https://" + sts_host_of(domain) + ": the policy is not text/plain";
    fault = StsFault::kInvalid;
  } else {
    return {StsFetched::Kind::kText, std::move(answer.text), "", fault};
  }
  return {StsFetched::Kind::kFailed, "", std::move(why), fault};
}

}  // namespace sluice
