#include "engine/resolve/curl_web.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "engine/resolve/sts_web.h"
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

class CurlWebTest : public ::testing::Test {
 protected:
  CurlWebTest() : root_(make_identity("a root", nullptr)) {
    // The server's thread writes to connections that the client has ended.
    ::signal(SIGPIPE, SIG_IGN);
    char path[] = "/tmp/sluice_sts_XXXXXX";
    directory_ = ::mkdtemp(path);
    options_.ca_file = directory_ + "/root.pem";
    std::ofstream(options_.ca_file) << root_.pem();
    options_.allowed_networks = {*parse_network("127.0.0.0/8")};
    options_.timeout = std::chrono::seconds(20);
  }
  ~CurlWebTest() override { std::filesystem::remove_all(directory_); }

  // A server for that host; the client asks its port.
  HttpsServer& serve(HttpsServer::Answer how, const std::string& host = "mta-sts.example.com",
                     int days = 30) {
    identity_ = make_identity(host, &root_, days);
    server_ = std::make_unique<HttpsServer>(identity_, std::move(how));
    return *server_;
  }
  HttpsServer& serve(const std::string& octets) {
    return serve([octets](const std::string&) { return octets; });
  }
  CurlWeb& client() {
    if (!client_) {
      auto made = CurlWeb::create(options_);
      EXPECT_TRUE(made.ok()) << made.status().ToString();
      client_ = std::move(*made);
    }
    return *client_;
  }
  std::future<StsFetched> begin(const std::string& domain, const std::string& address) {
    auto promise = std::make_shared<std::promise<StsFetched>>();
    std::future<StsFetched> future = promise->get_future();
    WebRequest request = sts_request(domain, {*parse_ip(address)});
    request.port = server_->port();
    client().ask(std::move(request), [promise, domain](WebAnswer answer) {
      promise->set_value(sts_fetched_of(domain, std::move(answer)));
    });
    return future;
  }
  WebAnswer ask(WebRequest request) {
    std::promise<WebAnswer> promise;
    request.port = server_->port();
    client().ask(std::move(request),
                 [&promise](WebAnswer answer) { promise.set_value(std::move(answer)); });
    return promise.get_future().get();
  }
  static WebRequest post_of(const std::string& body) {
    WebRequest request;
    request.host = "mta-sts.example.com";
    request.target = "/v1/reports?of=example.com";
    request.addresses = {*parse_ip("127.0.0.1")};
    request.body_type = "application/tlsrpt+gzip";
    request.body = body;
    return request;
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
  CurlWebOptions options_;
  Identity identity_;
  std::unique_ptr<HttpsServer> server_;
  std::unique_ptr<CurlWeb> client_;  // ends before the server
};

TEST_F(CurlWebTest, APolicy) {
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

TEST_F(CurlWebTest, ManyAtOnce) {
  options_.requests_max = 3;
  serve([](const std::string&) { return answer(kPolicy); });
  std::vector<std::future<StsFetched>> all;
  for (int i = 0; i < 20; ++i) all.push_back(begin("example.com", "127.0.0.1"));
  for (auto& one : all) EXPECT_EQ(one.get().text, kPolicy);
  EXPECT_EQ(server_->requests(), 20);
}

TEST_F(CurlWebTest, ARedirectIsNotFollowed) {
  const std::string where = "Location: /elsewhere.txt\r\n";
  for (const char* status : {"301 Moved", "302 Found", "307 Temporary", "308 Permanent"}) {
    client_.reset();
    serve(answer(kPolicy, where, "text/plain", status));
    expect_failure(fetch(), std::string("status ") + std::string(status).substr(0, 3));
    EXPECT_EQ(server_->requests(), 1);
  }
}

TEST_F(CurlWebTest, OtherStatusesAndTypesAreNoPolicy) {
  for (const char* status : {"404 Not Found", "500 Error", "201 Created", "206 Partial"}) {
    client_.reset();
    serve(answer(kPolicy, "", "text/plain", status));
    expect_failure(fetch(), "instead of 200");
  }
  for (const char* type : {"text/html", "application/octet-stream", "text/plainer", ""}) {
    client_.reset();
    serve(answer(kPolicy, "", type));
    const StsFetched fetched = fetch();
    expect_failure(fetched, "not text/plain");
    EXPECT_EQ(fetched.fault, StsFault::kInvalid);
  }
  client_.reset();
  serve("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  expect_failure(fetch(), "not text/plain");
}

TEST_F(CurlWebTest, TooLargeIsRefused) {
  serve(answer(std::string(WebAnswer::kTextMax, 'x')));
  EXPECT_EQ(fetch().text.size(), WebAnswer::kTextMax);
  client_.reset();
  serve(answer(std::string(WebAnswer::kTextMax + 1, 'x')));
  expect_failure(fetch(), "Maximum file size exceeded");
  // Without a length it is noticed as it comes.
  client_.reset();
  serve("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" +
        std::string(WebAnswer::kTextMax + 1, 'x'));
  expect_failure(fetch(), "the answer is larger than 64 KiB");
  client_.reset();
  std::string head;
  for (int i = 0; i < 70; ++i) head += "X-Header: " + std::string(1'000, 'x') + "\r\n";
  serve(answer(kPolicy, head));
  expect_failure(fetch(), "the answer's head is larger than 64 KiB");
}

TEST_F(CurlWebTest, ACutAnswerIsRefused) {
  serve("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n" + kPolicy);
  EXPECT_EQ(fetch().kind, Kind::kFailed);
  client_.reset();
  serve("garbage\r\n\r\n");
  EXPECT_EQ(fetch().kind, Kind::kFailed);
}

TEST_F(CurlWebTest, ACertificateForAnotherHostIsRefused) {
  for (const char* host : {"example.com", "mta-sts.example.net", "www.mta-sts.example.com"}) {
    client_.reset();
    serve([](const std::string&) { return answer(kPolicy); }, host);
    const StsFetched fetched = fetch();
    expect_failure(fetched, "no alternative certificate subject name matches");
    EXPECT_EQ(fetched.fault, StsFault::kCertificate);
    EXPECT_EQ(server_->requests(), 0);
  }
}

TEST_F(CurlWebTest, ACertificateOfAnUnknownRootOrAnExpiredOneIsRefused) {
  serve([](const std::string&) { return answer(kPolicy); }, "mta-sts.example.com", -1);
  const StsFetched expired = fetch();
  expect_failure(expired, "certificate has expired");
  EXPECT_EQ(expired.fault, StsFault::kCertificate);
  EXPECT_EQ(server_->requests(), 0);

  client_.reset();
  options_.ca_file.clear();  // the system's
  serve(answer(kPolicy));
  expect_failure(fetch(), "unable to get local issuer certificate");
  EXPECT_EQ(server_->requests(), 0);
}

TEST_F(CurlWebTest, OurOwnNetworkIsNotConnectedTo) {
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

TEST_F(CurlWebTest, AProxyOfTheEnvironmentIsNotAsked) {
  ::setenv("https_proxy", "http://127.0.0.1:1", 1);
  ::setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  serve(answer(kPolicy));
  EXPECT_EQ(fetch().text, kPolicy);
  ::unsetenv("https_proxy");
  ::unsetenv("ALL_PROXY");
}

TEST_F(CurlWebTest, ASilentServerIsGivenUp) {
  options_.timeout = std::chrono::milliseconds(300);
  serve([](const std::string&) { return std::string(); });
  const StsFetched fetched = fetch();
  expect_failure(fetched, "timed out");
  EXPECT_EQ(fetched.fault, StsFault::kFetch);
}

TEST_F(CurlWebTest, NamesThatNoUrlHoldsAreNotAsked) {
  serve(answer(kPolicy));
  for (const char* domain : {"a\\032b.example", "a/b", "a:1", "a@b", "A.example"}) {
    EXPECT_EQ(fetch(domain).detail, "no URL holds the host's name") << domain;
  }
  EXPECT_EQ(fetch(std::string(250, 'a')).kind, Kind::kFailed);
  EXPECT_EQ(server_->connections(), 0);
}

TEST_F(CurlWebTest, ClosingEndsWhatIsUnderWayAndWhatWaits) {
  options_.requests_max = 1;
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
  EXPECT_EQ(refused.detail, "too many requests wait for their turn");
  client_.reset();
  EXPECT_EQ(under_way.get().kind, Kind::kNotAsked);
  EXPECT_EQ(waiting.get().detail, "the program is closing");
}

TEST_F(CurlWebTest, APost) {
  std::promise<std::string> seen;
  serve([&seen](const std::string& request) {
    seen.set_value(request);
    return answer("thanks", "", "text/html", "201 Created");
  });
  const std::string body = std::string("\x1f\x8b\0octets", 9) + std::string(100'000, 'x');
  const WebAnswer got = ask(post_of(body));
  EXPECT_EQ(got.kind, WebAnswer::Kind::kAnswered) << got.detail;
  EXPECT_EQ(got.status, 201);
  EXPECT_EQ(got.type, "text/html");
  EXPECT_EQ(got.text, "thanks");
  const std::string request = seen.get_future().get();
  EXPECT_EQ(request.find("POST /v1/reports?of=example.com HTTP/1.1\r\n"), 0U);
  EXPECT_NE(request.find("\r\nContent-Type: application/tlsrpt+gzip\r\n"), std::string::npos);
  EXPECT_EQ(request.find("Expect"), std::string::npos);
  EXPECT_EQ(request.substr(request.find("\r\n\r\n") + 4), body);
}

TEST_F(CurlWebTest, WhatIsSaidToAPostMayBeLong) {
  serve(answer(std::string(WebAnswer::kTextMax + 1'000, 'x'), "", "text/html", "201 Created"));
  const WebAnswer got = ask(post_of("x"));
  EXPECT_EQ(got.kind, WebAnswer::Kind::kAnswered) << got.detail;
  EXPECT_EQ(got.status, 201);
  EXPECT_EQ(got.text.size(), WebAnswer::kTextMax);
}

TEST_F(CurlWebTest, AnyCertificateIsTakenWhereTheRequestSaysSo) {
  serve([](const std::string&) { return answer(""); }, "elsewhere.example", -1);
  EXPECT_EQ(ask(post_of("x")).kind, WebAnswer::Kind::kFailed);
  WebRequest request = post_of("x");
  request.any_certificate = true;
  const WebAnswer got = ask(std::move(request));
  EXPECT_EQ(got.kind, WebAnswer::Kind::kAnswered) << got.detail;
  EXPECT_EQ(got.status, 200);
}

TEST(ParseHttpsUrl, HostPortAndTarget) {
  const auto request = parse_https_url("https://Reports.Example.com./v1/tls?a=b&c=%20#top");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->host, "reports.example.com");
  EXPECT_EQ(request->port, 443);
  EXPECT_EQ(request->target, "/v1/tls?a=b&c=%20");
  EXPECT_EQ(parse_https_url("https://a.example:8443")->port, 8443);
  EXPECT_EQ(parse_https_url("https://a.example")->target, "/");
}

TEST(ParseHttpsUrl, WhatIsNone) {
  for (const char* url :
       {"", "http://a.example/", "https://", "https://me@a.example/",
        "https://me:secret@a.example/", "https://127.0.0.1/", "https://[::1]/",
        "https://2130706433/", "https://0x7f.1/", "https://127.1./", "https://127%2E1/",
        "https://a.0x1/", "https://a.example:0/", "https://a.example:99999/", "ftp://a.example/",
        "https://a b.example/", "https://a.example/\r\nHost: b", "https://b\xC3\xBC.example/"}) {
    EXPECT_FALSE(parse_https_url(url)) << url;
  }
}

}  // namespace
}  // namespace sluice
