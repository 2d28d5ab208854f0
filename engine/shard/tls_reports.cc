#include "engine/shard/tls_reports.h"

#include <utility>

#include "engine/base/crc32c.h"
#include "engine/base/log.h"
#include "engine/resolve/resolver.h"
#include "engine/resolve/sts_store.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"
#include "engine/shard/tls_reports_mail.h"
#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

constexpr Duration kLookAgain = std::chrono::hours(1);
constexpr Duration kDropAgain = std::chrono::minutes(10);

std::string words_of(const TlsDay day, const std::string& domain) {
  return "TLS report to " + domain + " of " + to_string_of_day(day);
}

}  // namespace

// In keep_house(), before the first session ends.
void Intake::begin_tls_reports() {
  if (home_.config().tls.report_from.empty()) return;
  tls_reports_ = std::make_unique<TlsReports>(home_);
  home_.services().spawn(tls_reports_->run());
}

void Intake::add_tls_result(const TlsResult& result) {
  if (tls_reports_ != nullptr) tls_reports_->add(result);
}

Duration tls_report_delay(const std::string& domain) {
  using std::chrono::seconds;
  const auto spread = std::chrono::floor<seconds>(TlsReports::kSpread).count();
  return seconds(crc32c(domain) % static_cast<uint32_t>(spread));
}

TlsReports::TlsReports(Shard& home) : home_(home), pause_(home.loop()) {}

void TlsReports::add(const TlsResult& result) {
  results_.add(tls_day_of(home_.wall_now()), result);
}

Task<> TlsReports::run() {
  co_await load();
  while (!home_.draining()) {
    take_failures();
    co_await send_due();
    co_await save();
    if (home_.draining()) break;
    co_await pause_.lasting(kSaveInterval);
  }
  take_failures();
  co_await save();
}

// Of the fetches of MTA-STS policies.
void TlsReports::take_failures() {
  StsStore* const store = home_.peers().sts_store;
  if (store == nullptr) return;
  for (StsFailure& failure : store->take_failures()) {
    TlsResult result;
    result.domain = std::move(failure.domain);
    result.applied.type = TlsPolicyType::kSts;
    TlsFailed failed;
    failed.result = tls_result_type(failure.fault);
    failed.reason = std::move(failure.reason);
    result.failed = std::move(failed);
    add(result);
  }
}

Task<> TlsReports::load() {
  const std::string path =
      SpoolPaths::child(home_.peers().spool.root, std::string(kTlsResultsFileName));
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const StatusOr<std::string> text = co_await files->read_whole(path, kTlsResultsFileBytesMax);
  if (absl::IsNotFound(text.status())) co_return;
  const StatusOr<TlsResultsFile> file = text.ok() ? parse_tls_results(*text) : text.status();
  if (!file.ok()) {
    log(LogLevel::kWarning,
        path + ": " + message_of(file.status()) + "; what it told is in no TLS report");
    co_return;
  }
  if (file->left_out > 0) {
    log(LogLevel::kWarning, path + ": " + std::to_string(file->left_out) +
                                " results make no sense and are in no TLS report");
  }
  const bool nothing_new = results_.empty();
  for (const TlsDomainResults& results : file->results) results_.add(results);
  if (nothing_new) saved_ = results_.version();
}

Task<> TlsReports::save() {
  if (results_.left_out() != left_out_) {
    left_out_ = results_.left_out();
    log(LogLevel::kWarning, grouped(left_out_) +
                                " sessions since the start are in no TLS report, "
                                "for want of room");
  }
  const uint64_t version = results_.version();
  if (version == saved_) co_return;
  const std::string path =
      SpoolPaths::child(home_.peers().spool.root, std::string(kTlsResultsFileName));
  const auto files = std::make_unique<FileTasks>(home_.loop());
  std::string text = results_.file_text();
  const Status written = co_await files->write_durably(path, std::move(text));
  if (written.ok()) {
    saved_ = version;
    complaint_.clear();
    co_return;
  }
  const std::string why = message_of(written);
  if (std::exchange(complaint_, why) == why) co_return;
  log(LogLevel::kWarning, "results for TLS reports do not outlive this process: " + why);
}

Task<> TlsReports::send_due() {
  const WallTime now = home_.wall_now();
  std::vector<Key> due;
  for (const Key& key : results_.ended(tls_day_of(now))) {
    const auto waiting = waiting_.find(key);
    if (now < begin_of(key.first + 1) + tls_report_delay(key.second)) continue;
    if (waiting == waiting_.end() || waiting->second.again_at <= now) due.push_back(key);
  }
  if (due.empty()) co_return;
  // What takes longer goes on in the next round, behind a save.
  const Instant end = home_.now() + kSaveInterval;
  for (const Key& key : due) {
    if (home_.draining() || home_.now() >= end) co_return;
    co_await send(key);
  }
}

// The domain's results are told, or nobody wants them: they go.
Task<> TlsReports::send(Key key) {
  const TlsDomainResults* const found = results_.find(key.first, key.second);
  if (found == nullptr) co_return;
  const TlsDomainResults results = *found;
  Task<StatusOr<std::vector<std::string>>> asking =
      home_.resolver().texts("_smtp._tls." + key.second);
  const StatusOr<std::vector<std::string>> texts = co_await std::move(asking);
  if (home_.draining()) co_return;
  bool over = false;
  if (texts.ok()) {
    Task<bool> telling = tell(key, results, parse_tls_report_record(*texts));
    over = co_await std::move(telling);
  } else {
    over = try_again(key, "its TXT record cannot be looked up: " + message_of(texts.status()),
                     kLookAgain);
  }
  if (!over) co_return;
  waiting_.erase(key);
  results_.remove(key.first, key.second);
}

// False: not all of them have it yet.
Task<bool> TlsReports::tell(Key key, TlsDomainResults results,
                            std::optional<TlsReportTargets> targets) {
  if (!targets) co_return true;
  Waiting& waiting = waiting_[key];  // stays: nobody else takes it away
  bool over = true;
  std::vector<std::string> by_mail = targets->addresses;
  std::erase_if(by_mail,
                [&](const std::string& address) { return waiting.told.contains(address); });
  if (!by_mail.empty()) {
    Task<Status> dropping = drop(results, by_mail);
    const Status dropped = co_await std::move(dropping);
    if (dropped.ok()) {
      waiting.told.insert(by_mail.begin(), by_mail.end());
      log(LogLevel::kInfo, words_of(key.first, key.second) + ": goes to " + join(by_mail, ", "));
    } else {
      over = try_again(key, message_of(dropped), kDropAgain);
    }
  }
  for (const std::string& url : targets->urls) {
    if (home_.draining()) co_return false;
    if (waiting.told.contains(url)) continue;
    Task<Status> posting = post(results, url);
    const Status posted = co_await std::move(posting);
    if (home_.draining()) co_return false;
    if (absl::IsInvalidArgument(posted)) {
      waiting.told.insert(url);
      log(LogLevel::kWarning,
          words_of(key.first, key.second) + " does not go everywhere: " + message_of(posted));
    } else if (posted.ok()) {
      waiting.told.insert(url);
      log(LogLevel::kInfo, words_of(key.first, key.second) + ": posted to " + escaped(url));
    } else {
      const bool last = try_again(key, message_of(posted), kLookAgain);
      over = over && last;
    }
  }
  co_return over;
}

// To one target. False: later. True: it has been tried for long enough, and is given up.
bool TlsReports::try_again(const Key& key, const std::string& why, Duration pause) {
  const WallTime now = home_.wall_now();
  const bool last = now > begin_of(key.first + 1) + kGiveUp;
  Waiting& waiting = waiting_[key];
  if (last || waiting.said.insert(why).second) {
    log(LogLevel::kWarning,
        words_of(key.first, key.second) + " " + (last ? "is given up" : "waits") + ": " + why);
  }
  const bool sooner = waiting.again_at <= now || now + pause < waiting.again_at;
  if (sooner) waiting.again_at = now + pause;
  return last;
}

// As whoever drops a job does: under a name that nobody takes, then renamed.
Task<Status> TlsReports::drop(TlsDomainResults results, std::vector<std::string> recipients) {
  const SpoolPaths& spool = home_.peers().spool;
  const std::string name = tls_report_job_name(results);
  const std::string hidden = spool.incoming_job("." + name);
  const TlsReportFiles made = tls_report_files(results, recipients, home_.config());
  const Status directory = home_.io().make_directory(hidden, 0750);
  if (!directory.ok()) co_return directory;
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const std::pair<std::string, const std::string*> parts[] = {
      {"message.eml", &made.message}, {"list.csv", &made.list}, {"job.toml", &made.job_toml}};
  for (const auto& [file, octets] : parts) {
    const std::string path = SpoolPaths::child(hidden, file);
    const Status written = co_await files->write_durably(path, *octets);
    if (!written.ok()) co_return written;
  }
  const Status renamed = home_.io().rename(hidden, spool.incoming_job(name));
  if (!renamed.ok()) co_return renamed;
  const Status synced = co_await files->sync_directory(spool.incoming);
  co_return synced;
}

}  // namespace sluice
