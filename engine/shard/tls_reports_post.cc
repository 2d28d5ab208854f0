// TLS reports by https (RFC 8460 §5.4).
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/strings.h"
#include "engine/resolve/curl_web.h"
#include "engine/resolve/resolver.h"
#include "engine/resolve/web_wait.h"
#include "engine/shard/shard.h"
#include "engine/shard/tls_reports.h"
#include "engine/shard/tls_reports_mail.h"

namespace sluice {
namespace {

constexpr Duration kRest = std::chrono::minutes(50);  // shorter than until the next try
constexpr size_t kRestingMax = 1'024;
// More than a request takes once it is its turn.
constexpr Duration kPatience = std::chrono::minutes(5);
constexpr const char* kType = "application/tlsrpt+gzip";

}  // namespace

Task<WebAnswer> TlsReports::ask_web(WebRequest request) {
  const auto wait = std::make_shared<WebWait>(home_.loop().mailbox(), pause_);
  home_.peers().web->ask(std::move(request), wait->done());
  const Instant give_up = home_.loop().now() + kPatience;
  std::optional<WebAnswer> answer = wait->take();
  while (!answer && !home_.draining() && home_.loop().now() < give_up) {
    co_await pause_.until(give_up);
    answer = wait->take();
  }
  wait->end();
  if (answer) co_return *std::move(answer);
  WebAnswer none;
  none.kind = WebAnswer::Kind::kNotAsked;
  none.detail = "no answer in time";
  co_return none;
}

Task<Status> TlsReports::post(TlsDomainResults results, std::string url) {
  std::optional<WebRequest> request = parse_https_url(url);
  if (!request) co_return invalid(escaped(url) + " is no https: URL that can be posted to");
  const WallTime now = home_.wall_now();
  std::erase_if(resting_, [now](const auto& resting) { return resting.second <= now; });
  const std::string host = request->host;
  const std::string server = host + ":" + std::to_string(request->port);
  if (resting_.contains(server)) co_return unavailable("https://" + host + " failed a while ago");
  Task<StatusOr<std::vector<IpAddress>>> looking = home_.resolver().addresses_of_web(host);
  StatusOr<std::vector<IpAddress>> addresses = co_await std::move(looking);
  if (!addresses.ok()) co_return addresses.status();
  request->addresses = *std::move(addresses);
  request->any_certificate = true;
  request->body_type = kType;
  request->body = gzipped(tls_report_json(results, tls_reporter_of(home_.config().tls)));
  if (home_.draining()) co_return unavailable("we stop");
  Task<WebAnswer> asking = ask_web(*std::move(request));
  const WebAnswer answer = co_await std::move(asking);
  constexpr long kGood = 2;
  switch (answer.kind) {
    case WebAnswer::Kind::kAnswered:
      if (answer.status / 100 == kGood) co_return Status();
      co_return unavailable("https://" + host + " answered with status " +
                            std::to_string(answer.status));
    case WebAnswer::Kind::kFailed:
      if (resting_.size() < kRestingMax) resting_[server] = now + kRest;
      co_return unavailable(answer.detail);
    case WebAnswer::Kind::kNotAsked:
      break;
  }
  co_return unavailable("https://" + host + ": " + answer.detail);
}

}  // namespace sluice
