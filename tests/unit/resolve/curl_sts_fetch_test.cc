#include "engine/resolve/curl_sts_fetch.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "engine/resolve/sts_policy.h"
#include "tests/unit/resolve/https_server.h"

namespace sluice {
namespace {

using Kind = StsFetched::Kind;

const std::string kPolicy =
    "version: STSv1\r\nmode: enforce\r\nmx: a.example\r\nmax_age: 86400\r\n";

std::string answer(const std::string& body, const std::string& head = "",
                   const std::string& type = "text/plain", const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\n" + head +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class CurlStsFetchTest : public ::testing::Test {
 protected:
  CurlStsFetchTest() : root_(make_identity("a root", nullptr)) {
    // The server's thread writes to connections that the fetcher has ended.
    ::signal(SIGPIPE, SIG_IGN);
    char path[] = "/tmp/sluice_sts_XXXXXX";
    directory_ = ::mkdtemp(path);
    options_.ca_file = directory_ + "/root.pem";
    std::ofstream(options_.ca_file) << root_.pem();
    options_.allowed_networks = {*parse_network("127.0.0.0/8")};
    options_.timeout = std::chrono::seconds(20);
  }
  ~CurlStsFetchTest() override { std::filesystem::remove_all(directory_); }

  // A server for that host; the fetcher asks its port.
  HttpsServer& serve(HttpsServer::Answer how, const std::string& host = "mta-sts.example.com",
                     int days = 30) {
    identity_ = make_identity(host, &root_, days);
    server_ = std::make_unique<HttpsServer>(identity_, std::move(how));
    options_.port = server_->port();
    return *server_;
  }
  HttpsServer& serve(const std::string& octets) {
    return serve([octets](const std::string&) { return octets; });
  }
  CurlStsFetcher& fetcher() {
    if (!fetcher_) {
      auto made = CurlStsFetcher::create(options_);
      EXPECT_TRUE(made.ok()) << made.status().ToString();
      fetcher_ = std::move(*made);
    }
    return *fetcher_;
  }
  std::future<StsFetched> begin(const std::string& domain, const std::string& address) {
    auto promise = std::make_shared<std::promise<StsFetched>>();
    std::future<StsFetched> future = promise->get_future();
    StsRequest request{domain, {*parse_ip(address)}};
    fetcher().fetch(std::move(request),
                    [promise](StsFetched fetched) { promise->set_value(std::move(fetched)); });
    return future;
  }
  StsFetched fetch(const std::string& domain = "example.com",
                   const std::string& address = "127.0.0.1") {
    return begin(domain, address).get();
  }
  void expect_failure(const StsFetched& fetched, const std::string& words) {
    EXPECT_EQ(fetched.kind, Kind::kFailed);
    EXPECT_EQ(fetched.text, "");
    EXPECT_NE(fetched.detail.find(words), std::string::npos) << fetched.detail;
    EXPECT_EQ(fetched.detail.find("https://mta-sts.example.com: "), 0U) << fetched.detail;
  }

  const Identity root_;
  std::string directory_;
  CurlStsOptions options_;
  Identity identity_;
  std::unique_ptr<HttpsServer> server_;
  std::unique_ptr<CurlStsFetcher> fetcher_;  // ends before the server
};

TEST_F(CurlStsFetchTest, APolicy) {
  std::promise<std::string> seen;
  serve([&seen](const std::string& head) {
    seen.set_value(head);
    return answer(kPolicy, "", "Text/Plain; charset=utf-8");
  });
  const StsFetched fetched = fetch();
  EXPECT_EQ(fetched.kind, Kind::kText) << fetched.detail;
  EXPECT_EQ(fetched.text, kPolicy);
  const std::string head = seen.get_future().get();
  EXPECT_EQ(head.find("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.com:"), 0U)
      << head;
  EXPECT_EQ(head.find("Accept-Encoding"), std::string::npos) << head;
}

TEST_F(CurlStsFetchTest, ManyAtOnce) {
  options_.fetches_max = 3;
  serve([](const std::string&) { return answer(kPolicy); });
  std::vector<std::future<StsFetched>> all;
  for (int i = 0; i < 20; ++i) all.push_back(begin("example.com", "127.0.0.1"));
  for (auto& one : all) EXPECT_EQ(one.get().text, kPolicy);
  EXPECT_EQ(server_->requests(), 20);
}

TEST_F(CurlStsFetchTest, ARedirectIsNotFollowed) {
  const std::string where = "Location: /elsewhere.txt\r\n";
  for (const char* status : {"301 Moved", "302 Found", "307 Temporary", "308 Permanent"}) {
    fetcher_.reset();
    serve(answer(kPolicy, where, "text/plain", status));
    expect_failure(fetch(), std::string("status ") + std::string(status).substr(0, 3));
    EXPECT_EQ(server_->requests(), 1);
  }
}

TEST_F(CurlStsFetchTest, OtherStatusesAndTypesAreNoPolicy) {
  for (const char* status : {"404 Not Found", "500 Error", "201 Created", "206 Partial"}) {
    fetcher_.reset();
    serve(answer(kPolicy, "", "text/plain", status));
    expect_failure(fetch(), "instead of 200");
  }
  for (const char* type : {"text/html", "application/octet-stream", "text/plainer", ""}) {
    fetcher_.reset();
    serve(answer(kPolicy, "", type));
    expect_failure(fetch(), "not text/plain");
  }
  fetcher_.reset();
  serve("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  expect_failure(fetch(), "not text/plain");
}

TEST_F(CurlStsFetchTest, TooLargeIsRefused) {
  serve(answer(std::string(kStsTextMax, 'x')));
  EXPECT_EQ(fetch().text.size(), kStsTextMax);
  fetcher_.reset();
  serve(answer(std::string(kStsTextMax + 1, 'x')));
  expect_failure(fetch(), "Maximum file size exceeded");
  // Without a length it is noticed as it comes.
  fetcher_.reset();
  serve("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + std::string(kStsTextMax + 1, 'x'));
  expect_failure(fetch(), "the policy is larger than 64 KiB");
  fetcher_.reset();
  std::string head;
  for (int i = 0; i < 70; ++i) head += "X-Header: " + std::string(1'000, 'x') + "\r\n";
  serve(answer(kPolicy, head));
  expect_failure(fetch(), "the answer's head is larger than 64 KiB");
}

TEST_F(CurlStsFetchTest, ACutAnswerIsRefused) {
  serve("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n" + kPolicy);
  EXPECT_EQ(fetch().kind, Kind::kFailed);
  fetcher_.reset();
  serve("garbage\r\n\r\n");
  EXPECT_EQ(fetch().kind, Kind::kFailed);
}

TEST_F(CurlStsFetchTest, ACertificateForAnotherHostIsRefused) {
  for (const char* host : {"example.com", "mta-sts.example.net", "www.mta-sts.example.com"}) {
    fetcher_.reset();
    serve([](const std::string&) { return answer(kPolicy); }, host);
    expect_failure(fetch(), "no alternative certificate subject name matches");
    EXPECT_EQ(server_->requests(), 0);
  }
}

TEST_F(CurlStsFetchTest, ACertificateOfAnUnknownRootOrAnExpiredOneIsRefused) {
  serve([](const std::string&) { return answer(kPolicy); }, "mta-sts.example.com", -1);
  expect_failure(fetch(), "certificate has expired");
  EXPECT_EQ(server_->requests(), 0);

  fetcher_.reset();
  options_.ca_file.clear();  // the system's
  serve(answer(kPolicy));
  expect_failure(fetch(), "unable to get local issuer certificate");
  EXPECT_EQ(server_->requests(), 0);
}

TEST_F(CurlStsFetchTest, OurOwnNetworkIsNotConnectedTo) {
  options_.allowed_networks.clear();
  serve(answer(kPolicy));
  expect_failure(fetch(), "127.0.0.1 is a private or other special address");
  EXPECT_EQ(server_->connections(), 0);
  expect_failure(fetch("example.com", "::ffff:127.0.0.1"), "private or other special address");
  expect_failure(fetch("example.com", "::1"), "private or other special address");
  expect_failure(fetch("example.com", "fe80::1"), "private or other special address");
  expect_failure(fetch("example.com", "169.254.169.254"), "private or other special address");
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(CurlStsFetchTest, AProxyOfTheEnvironmentIsNotAsked) {
  ::setenv("https_proxy", "http://127.0.0.1:1", 1);
  ::setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  serve(answer(kPolicy));
  EXPECT_EQ(fetch().text, kPolicy);
  ::unsetenv("https_proxy");
  ::unsetenv("ALL_PROXY");
}

TEST_F(CurlStsFetchTest, ASilentServerIsGivenUp) {
  options_.timeout = std::chrono::milliseconds(300);
  serve([](const std::string&) { return std::string(); });
  expect_failure(fetch(), "timed out");
}

TEST_F(CurlStsFetchTest, NamesThatNoUrlHoldsAreNotAsked) {
  serve(answer(kPolicy));
  for (const char* domain : {"a\\032b.example", "a/b", "a:1", "a@b", "A.example"}) {
    EXPECT_EQ(fetch(domain).detail, "the name of the policy's host cannot be asked for") << domain;
  }
  EXPECT_EQ(fetch(std::string(250, 'a')).kind, Kind::kFailed);
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(CurlStsFetchTest, ClosingEndsWhatIsUnderWayAndWhatWaits) {
  options_.fetches_max = 1;
  options_.waiting_max = 1;
  std::promise<void> asked;
  serve([&asked](const std::string&) {
    asked.set_value();
    return std::string();
  });
  std::future<StsFetched> under_way = begin("example.com", "127.0.0.1");
  asked.get_future().wait();
  std::future<StsFetched> waiting = begin("example.com", "127.0.0.1");
  const StsFetched refused = fetch();
  EXPECT_EQ(refused.kind, Kind::kNotAsked);
  EXPECT_EQ(refused.detail, "too many policies wait to be fetched");
  fetcher_.reset();
  EXPECT_EQ(under_way.get().kind, Kind::kNotAsked);
  EXPECT_EQ(waiting.get().detail, "the fetcher is closing");
}

}  // namespace
}  // namespace sluice
