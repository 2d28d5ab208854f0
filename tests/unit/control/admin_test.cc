#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/control/admin_client.h"
#include "engine/control/admin_server.h"
#include "engine/control/documents.h"
#include "engine/control/route_document.h"
#include "tests/unit/control/fake_view.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

class Admin : public ::testing::Test {
 protected:
  Admin() {
    static int number = 0;
    directory_ = ::testing::TempDir() + "/sluice-admin-" + std::to_string(::getpid()) + "-" +
                 std::to_string(number++);
    socket_ = directory_ + "/run/sluice.sock";
    view_.set_jobs({job_with("july-20231114T221320Z-abcdef", "sending", 7, 3)});
    view_.set_sites({site_with("mx.example.com", "s1", 4, 2, "451 later")});
  }
  ~Admin() override {
    server_.stop();
    ::unlink(socket_.c_str());
    ::rmdir((directory_ + "/run").c_str());
    ::rmdir(directory_.c_str());
  }
  Status start() { return server_.start({.socket = socket_, .listen = ""}); }
  std::string get(const std::string& target) {
    const auto body = admin_get(socket_, target);
    return body.ok() ? *body : "error: " + message_of(body.status());
  }

  std::string directory_;
  std::string socket_;
  FakeView view_;
  AdminServer server_{view_};
};

TEST_F(Admin, CommandsGoThroughTheSocket) {
  ASSERT_TRUE(start().ok());
  EXPECT_TRUE(admin_post(socket_, "/api/v1/jobs/july/pause").ok());
  EXPECT_TRUE(admin_post(socket_, "/api/v1/jobs/july/cancel").ok());
  EXPECT_TRUE(
      admin_post(socket_, "/api/v1/sites/pause?site=" + query_value("(a|b).example c")).ok());
  EXPECT_THAT(view_.commands(),
              ::testing::ElementsAre("july 0", "july 2", "pause (a|b).example c"));
  EXPECT_EQ(admin_post(socket_, "/api/v1/jobs/none/resume").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(admin_post(socket_, "/api/v1/jobs/july/explode").ok());
}

TEST_F(Admin, AnswersItsPages) {
  ASSERT_TRUE(start().ok());
  const auto jobs = parse_jobs_document(get("/api/v1/jobs"));
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_EQ(jobs->size(), 1U);
  EXPECT_EQ((*jobs)[0].counts[State::kDelivered], 7);

  const auto job = parse_job_document(get("/api/v1/jobs/july-20231114T221320Z-abcdef"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->phase, "sending");
  EXPECT_EQ(job->counts.total(), 10);
  EXPECT_EQ(job->created, from_unix_seconds(1'700'000'000));
  EXPECT_EQ(job->finished, WallTime());

  const auto sites = parse_sites_document(get("/api/v1/sites"));
  ASSERT_TRUE(sites.ok()) << sites.status();
  ASSERT_EQ(sites->size(), 1U);
  EXPECT_EQ((*sites)[0].last_failure, "451 later");

  EXPECT_THAT(get("/metrics"), HasSubstr("sluice_site_connections{site=\"mx.example.com\"} 2\n"));
  EXPECT_THAT(get("/metrics"), HasSubstr("sluice_recipients_total{state=\"delivered\"} 7\n"));
  EXPECT_THAT(get("/healthz"), HasSubstr("ok"));
}

TEST_F(Admin, RoutesAndRowsInFlight) {
  ASSERT_TRUE(start().ok());
  const auto route = parse_route_document(get("/api/v1/resolve?domain=x.example"));
  ASSERT_TRUE(route.ok()) << route.status();
  EXPECT_EQ(route->route->site, "(a|b).mx.example");
  EXPECT_TRUE(route->route->stale);
  EXPECT_TRUE(route->route->usable());
  ASSERT_EQ(route->route->exchangers.size(), 1U);
  EXPECT_EQ(to_string(route->route->exchangers[0].addresses.at(0)), "192.0.2.1");
  EXPECT_EQ(route->lives, std::chrono::seconds(77));
  ASSERT_EQ(route->trace.facts.size(), 1U);
  EXPECT_EQ(route->trace.facts[0].name, "x.example");
  EXPECT_EQ(route->trace.facts[0].source, "stale");
  EXPECT_TRUE(route->trace.facts[0].ad);
  EXPECT_EQ(route->trace.facts[0].lives, std::chrono::milliseconds(1'500));
  EXPECT_EQ(route->trace.facts[0].records.size(), 2U);
  ASSERT_EQ(route->trace.unusable.size(), 1U);
  EXPECT_EQ(route->trace.unusable[0].address, "10.0.0.1");
  EXPECT_THAT(get("/api/v1/resolve?domain=slow.example"), HasSubstr("DNS does not answer"));
  EXPECT_THAT(get("/api/v1/resolve"), HasSubstr("name the domain"));
  EXPECT_FALSE(parse_route_document("{\"site\":7}").ok());
  EXPECT_FALSE(parse_route_document("[").ok());

  const auto rows = parse_in_flight_document(get("/api/v1/jobs/busy/in_flight"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, ::testing::ElementsAre(RowPlace{0, 5}, RowPlace{3, 7}));
  EXPECT_FALSE(parse_in_flight_document("{\"in_flight\":[[1]]}").ok());
  EXPECT_THAT(get("/metrics"), HasSubstr("sluice_journal_commits_total 12\n"));
}

TEST_F(Admin, UnknownJobAndPageAre404WithJson) {
  ASSERT_TRUE(start().ok());
  const auto job = admin_get(socket_, "/api/v1/jobs/nobody");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(message_of(job.status()), HasSubstr("{\"error\":\"no job nobody"));
  const auto page = admin_get(socket_, "/nothing");
  EXPECT_EQ(page.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(message_of(page.status()), HasSubstr("\"error\""));
}

TEST_F(Admin, EngineTroubleIs503) {
  ASSERT_TRUE(start().ok());
  view_.set_trouble(unavailable("shard 0 does not answer"));
  for (const char* page :
       {"/api/v1/jobs", "/api/v1/jobs/x", "/api/v1/sites", "/metrics", "/healthz"}) {
    const auto body = admin_get(socket_, page);
    EXPECT_EQ(body.status().code(), absl::StatusCode::kUnavailable) << page;
    EXPECT_THAT(message_of(body.status()), HasSubstr("shard 0")) << page;
  }
  view_.set_trouble({});
  view_.set_halted(true);
  EXPECT_THAT(get("/healthz"), HasSubstr("journal"));
  EXPECT_THAT(get("/metrics"), HasSubstr("sluice_halted 1\n"));
}

TEST_F(Admin, SocketHasItsModeAndGoesAtTheEnd) {
  ASSERT_TRUE(start().ok());
  struct stat there {};
  ASSERT_EQ(::stat(socket_.c_str(), &there), 0);
  EXPECT_TRUE(S_ISSOCK(there.st_mode));
  EXPECT_EQ(there.st_mode & 07777, 0660U);
  server_.stop();
  EXPECT_NE(::stat(socket_.c_str(), &there), 0);
  const auto body = admin_get(socket_, "/healthz");
  EXPECT_EQ(body.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(message_of(body.status()), HasSubstr("no sluice is running on " + socket_));
}

TEST_F(Admin, RefusesASocketThatIsInUse) {
  ASSERT_TRUE(start().ok());
  AdminServer second(view_);
  const Status status = second.start({.socket = socket_, .listen = ""});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(message_of(status), HasSubstr("another sluice listens"));
  second.stop();
  EXPECT_THAT(get("/healthz"), HasSubstr("ok"));
}

TEST_F(Admin, ReplacesAStaleSocketButNoOtherFile) {
  ::mkdir(directory_.c_str(), 0755);
  ::mkdir((directory_ + "/run").c_str(), 0755);
  const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(socket_.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  ASSERT_EQ(::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(stale);
  ASSERT_TRUE(start().ok());
  EXPECT_THAT(get("/healthz"), HasSubstr("ok"));
  server_.stop();

  std::FILE* file = std::fopen(socket_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  AdminServer second(view_);
  EXPECT_EQ(second.start({.socket = socket_, .listen = ""}).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Admin, PathsThatAreTooLongAreRefused) {
  const std::string path = "/tmp/" + std::string(200, 'x') + "/s.sock";
  EXPECT_EQ(admin_get(path, "/healthz").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Admin, ListensOnTcpWhenAsked) {
  // A port that was free a moment ago.
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  ASSERT_EQ(::bind(probe, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  ::close(probe);
  const int port = ntohs(address.sin_port);
  ASSERT_TRUE(
      server_.start({.socket = socket_, .listen = "127.0.0.1:" + std::to_string(port)}).ok());
  httplib::Client client("127.0.0.1", port);
  const auto result = client.Get("/healthz");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  const auto posted = client.Post("/api/v1/jobs", "x", "text/plain");
  ASSERT_TRUE(posted);
  EXPECT_GE(posted->status, 400);
  EXPECT_THAT(get("/healthz"), HasSubstr("ok"));

  AdminServer second(view_);
  EXPECT_EQ(second.start({.socket = "", .listen = "127.0.0.1:" + std::to_string(port)}).code(),
            absl::StatusCode::kFailedPrecondition);
  AdminServer third(view_);
  EXPECT_EQ(third.start({.socket = "", .listen = "localhost"}).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Admin, ManyAskAtOnce) {
  ASSERT_TRUE(start().ok());
  std::vector<std::thread> askers;
  std::atomic<int> answered{0};
  for (int i = 0; i < 40; ++i) {
    askers.emplace_back([&] {
      if (admin_get(socket_, "/api/v1/jobs").ok()) ++answered;
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(answered, 40);
}

TEST(Documents, SurviveOctetsThatAreNoText) {
  JobReport job = job_with("j", "failed", 0, 0);
  job.error = "bad \xff octet";
  const auto back = parse_job_document(job_document(job));
  ASSERT_TRUE(back.ok());
  EXPECT_THAT(back->error, HasSubstr("bad "));
  for (const char* text : {"", "{", "[]", "{}", "{\"jobs\":3}", "{\"jobs\":[3]}"}) {
    EXPECT_FALSE(parse_jobs_document(text).ok()) << text;
    EXPECT_FALSE(parse_job_document(text).ok()) << text;
    EXPECT_FALSE(parse_sites_document(text).ok()) << text;
  }
}

}  // namespace
}  // namespace sluice
