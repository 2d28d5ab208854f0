#include "engine/resolve/curl_web.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

WebAnswer no_answer(WebAnswer::Kind kind, std::string detail) {
  WebAnswer answer;
  answer.kind = kind;
  answer.detail = std::move(detail);
  return answer;
}
WebAnswer failed(std::string detail) {
  return no_answer(WebAnswer::Kind::kFailed, std::move(detail));
}
WebAnswer not_asked(std::string detail) {
  return no_answer(WebAnswer::Kind::kNotAsked, std::move(detail));
}

// Names that a URL may hold as they are.
bool is_plain_name(std::string_view name) {
  constexpr size_t kNameMax = 253;
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

// Its last label is a number: some would take it for an IPv4 address.
bool is_number_like(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last.starts_with("0x") || std::all_of(last.begin(), last.end(), is_digit);
}

std::optional<IpAddress> address_of(const curl_sockaddr& to) {
  IpAddress address;
  if (to.family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &to.addr, sizeof ipv4);
    std::memcpy(address.octets.data(), &ipv4.sin_addr, sizeof ipv4.sin_addr);
    return address;
  }
  if (to.family != AF_INET6 || to.addrlen < sizeof(sockaddr_in6)) return std::nullopt;
  // curl's struct ends with a sockaddr behind which the longer address goes on.
  address.family = Family::kIpv6;
  const char* const begin = reinterpret_cast<const char*>(&to.addr);
  std::memcpy(address.octets.data(), begin + offsetof(sockaddr_in6, sin6_addr),
              address.octets.size());
  return address;
}

// Once in the process; never undone, since others may use curl as well.
bool set_curl_up() {
  static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return done;
}

}  // namespace

class CurlWeb::Impl {
 public:
  explicit Impl(const CurlWebOptions& options) : options_(options), multi_(curl_multi_init()) {}
  ~Impl();

  Status start();
  void ask(WebRequest request, Done done);

 private:
  struct Waiting {
    WebRequest request;
    Done done;
  };
  // One under way; the client's thread alone knows it.
  struct Transfer {
    ~Transfer() {
      curl_easy_cleanup(easy);
      curl_slist_free_all(resolve);
      curl_slist_free_all(head);
    }
    const Impl* impl = nullptr;
    CURL* easy = nullptr;
    curl_slist* resolve = nullptr;
    curl_slist* head = nullptr;
    WebRequest request;
    std::string text;
    size_t head_bytes = 0;
    std::string trouble;  // why we have ended it
    char error[CURL_ERROR_SIZE] = {};
    Done done;
  };

  static size_t take_text(char* octets, size_t size, size_t count, void* transfer);
  static size_t take_head(char* octets, size_t size, size_t count, void* transfer);
  static curl_socket_t open_socket(void* transfer, curlsocktype purpose, curl_sockaddr* to);

  void run();
  bool begin_waiting();
  void begin(Waiting waiting);
  bool set_up(Transfer& transfer) const;
  bool end_finished();
  static WebAnswer result_of(Transfer& transfer, CURLcode code);
  bool may_connect(const IpAddress& address) const;
  void end_all();

  const CurlWebOptions options_;
  CURLM* const multi_;
  std::thread thread_;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> transfers_;  // of the thread

  std::mutex mutex_;  // guards all below
  std::deque<Waiting> waiting_;
  bool closing_ = false;
};

CurlWeb::Impl::~Impl() {
  if (thread_.joinable()) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
  }
  end_all();
  curl_multi_cleanup(multi_);
}

Status CurlWeb::Impl::start() {
  if (multi_ == nullptr) return unavailable("libcurl cannot be set up");
  // The thread inherits the mask: signals are for those who wait for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void CurlWeb::Impl::ask(WebRequest request, Done done) {
  std::unique_lock<std::mutex> lock(mutex_);
  const bool full = waiting_.size() >= options_.waiting_max;
  if (closing_ || full) {
    const char* const why =
        closing_ ? "the program is closing" : "too many requests wait for their turn";
    lock.unlock();
    done(not_asked(why));
    return;
  }
  waiting_.push_back({std::move(request), std::move(done)});
  lock.unlock();
  curl_multi_wakeup(multi_);
}

void CurlWeb::Impl::run() {
  constexpr int kPollMilliseconds = 1'000;
  while (begin_waiting()) {
    int running = 0;
    curl_multi_perform(multi_, &running);
    if (end_finished()) continue;  // there is room for who waits
    // Woken by ask() and the destructor.
    curl_multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
  }
}

// False: the client is closing.
bool CurlWeb::Impl::begin_waiting() {
  std::vector<Waiting> next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closing_) return false;
    while (!waiting_.empty() && transfers_.size() + next.size() < options_.requests_max) {
      next.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  for (Waiting& waiting : next) begin(std::move(waiting));
  return true;
}

void CurlWeb::Impl::begin(Waiting waiting) {
  auto transfer = std::make_unique<Transfer>();
  transfer->impl = this;
  transfer->request = std::move(waiting.request);
  transfer->done = std::move(waiting.done);
  const WebRequest& request = transfer->request;
  if (!is_plain_name(request.host)) {
    transfer->done(failed("no URL holds the host's name"));
    return;
  }
  if (request.addresses.empty()) {
    transfer->done(failed("https://" + request.host + ": the host has no address"));
    return;
  }
  transfer->easy = curl_easy_init();
  if (!set_up(*transfer) || curl_multi_add_handle(multi_, transfer->easy) != CURLM_OK) {
    transfer->done(not_asked("libcurl cannot be set up"));
    return;
  }
  CURL* const easy = transfer->easy;
  transfers_.emplace(easy, std::move(transfer));
}

bool CurlWeb::Impl::set_up(Transfer& transfer) const {
  CURL* const easy = transfer.easy;
  if (easy == nullptr) return false;
  const WebRequest& request = transfer.request;
  const std::string port = std::to_string(request.port);
  const std::string url = "https://" + request.host + ":" + port + request.target;
  // "+": forgotten after a while, as an answer of DNS would be.
  std::string entry = "+" + request.host + ":" + port + ":";
  for (size_t i = 0; i < request.addresses.size(); ++i) {
    if (i > 0) entry += ",";
    const IpAddress& address = request.addresses[i];
    const bool v6 = address.family == Family::kIpv6;
    entry += v6 ? "[" + to_string(address) + "]" : to_string(address);
  }
  transfer.resolve = curl_slist_append(nullptr, entry.c_str());
  if (transfer.resolve == nullptr) return false;

  const auto milliseconds = [](Duration duration) {
    return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
  };
  bool good = true;
  const auto set = [easy, &good](CURLoption option, auto value) {
    good = good && curl_easy_setopt(easy, option, value) == CURLE_OK;
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_RESOLVE, transfer.resolve);
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, milliseconds(options_.timeout));
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options_.connect_timeout));
  set(CURLOPT_MAXFILESIZE, static_cast<long>(WebAnswer::kTextMax));
  set(CURLOPT_SSL_VERIFYPEER, request.any_certificate ? 0L : 1L);
  set(CURLOPT_SSL_VERIFYHOST, request.any_certificate ? 0L : 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  // With a folder of roots besides the file curl would read the file anew for each connection.
  set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(transfer.error));
  set(CURLOPT_WRITEFUNCTION, &Impl::take_text);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_HEADERFUNCTION, &Impl::take_head);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_OPENSOCKETFUNCTION, &Impl::open_socket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&transfer));
  if (request.body_type.empty()) return good;
  const std::string type = "Content-Type: " + request.body_type;
  transfer.head = curl_slist_append(nullptr, type.c_str());
  if (transfer.head == nullptr || curl_slist_append(transfer.head, "Expect:") == nullptr) {
    return false;
  }
  set(CURLOPT_MAXFILESIZE, 0L);
  set(CURLOPT_HTTPHEADER, transfer.head);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
  set(CURLOPT_POSTFIELDS, request.body.data());
  return good;
}

size_t CurlWeb::Impl::take_text(char* octets, size_t size, size_t count, void* transfer) {
  Transfer& self = *static_cast<Transfer*>(transfer);
  const size_t bytes = size * count;
  // What is said to a POST is for people.
  if (!self.request.body_type.empty()) {
    self.text.append(octets, std::min(bytes, WebAnswer::kTextMax - self.text.size()));
    return bytes;
  }
  if (self.text.size() + bytes > WebAnswer::kTextMax) {
    self.trouble = "the answer is larger than 64 KiB";
    return 0;
  }
  self.text.append(octets, bytes);
  return bytes;
}

size_t CurlWeb::Impl::take_head(char* octets, size_t size, size_t count, void* transfer) {
  static_cast<void>(octets);
  Transfer& self = *static_cast<Transfer*>(transfer);
  const size_t bytes = size * count;
  self.head_bytes += bytes;
  if (self.head_bytes <= WebAnswer::kTextMax) return bytes;
  self.trouble = "the answer's head is larger than 64 KiB";
  return 0;
}

curl_socket_t CurlWeb::Impl::open_socket(void* transfer, curlsocktype purpose, curl_sockaddr* to) {
  static_cast<void>(purpose);
  Transfer& self = *static_cast<Transfer*>(transfer);
  const std::optional<IpAddress> address = address_of(*to);
  if (!address || !self.impl->may_connect(*address)) {
    self.trouble = "a private or other special address (see [smtp] allowed_networks)";
    if (address) self.trouble = to_string(*address) + " is " + self.trouble;
    return CURL_SOCKET_BAD;
  }
  return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

bool CurlWeb::Impl::may_connect(const IpAddress& address) const {
  if (!is_special_purpose(address)) return true;
  return std::any_of(options_.allowed_networks.begin(), options_.allowed_networks.end(),
                     [&address](const Network& network) { return network.contains(address); });
}

// Whether there were any.
bool CurlWeb::Impl::end_finished() {
  bool any = false;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    CURL* const easy = message->easy_handle;
    curl_multi_remove_handle(multi_, easy);
    const auto at = transfers_.find(easy);
    CHECK(at != transfers_.end());
    const std::unique_ptr<Transfer> transfer = std::move(at->second);
    transfers_.erase(at);
    transfer->done(result_of(*transfer, code));
    any = true;
  }
  return any;
}

WebAnswer CurlWeb::Impl::result_of(Transfer& transfer, CURLcode code) {
  if (code != CURLE_OK) {
    // Another address may have been tried after one that was refused.
    std::string words = transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(code);
    const bool by_us = code == CURLE_WRITE_ERROR || code == CURLE_COULDNT_CONNECT;
    if (by_us && !transfer.trouble.empty()) words = transfer.trouble;
    WebAnswer answer = failed("https://" + transfer.request.host + ": " + escaped(words, 300));
    answer.bad_certificate = code == CURLE_PEER_FAILED_VERIFICATION;
    return answer;
  }
  WebAnswer answer;
  answer.kind = WebAnswer::Kind::kAnswered;
  const char* type = nullptr;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_easy_getinfo(transfer.easy, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) answer.type = type;
  answer.text = std::move(transfer.text);
  return answer;
}

// After the thread's end.
void CurlWeb::Impl::end_all() {
  for (auto& [easy, transfer] : transfers_) {
    curl_multi_remove_handle(multi_, easy);
    transfer->done(not_asked("the program is closing"));
  }
  transfers_.clear();
  for (Waiting& waiting : waiting_) waiting.done(not_asked("the program is closing"));
  waiting_.clear();
}

CurlWeb::CurlWeb(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

CurlWeb::~CurlWeb() = default;

StatusOr<std::unique_ptr<CurlWeb>> CurlWeb::create(const CurlWebOptions& options) {
  if (!set_curl_up()) return unavailable("libcurl cannot be set up");
  auto impl = std::make_unique<Impl>(options);
  RETURN_IF_ERROR(impl->start());
  return std::unique_ptr<CurlWeb>(new CurlWeb(std::move(impl)));
}

void CurlWeb::ask(WebRequest request, Done done) {
  impl_->ask(std::move(request), std::move(done));
}

std::optional<WebRequest> parse_https_url(const std::string& url) {
  // RFC 3986: others are percent-encoded.
  const auto is_visible = [](char c) { return c > ' ' && c < '\x7F'; };
  if (!std::all_of(url.begin(), url.end(), is_visible)) return std::nullopt;
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return std::nullopt;
  }
  const auto part = [&parsed](CURLUPart which, unsigned flags = 0) {
    char* octets = nullptr;
    std::string out;
    if (curl_url_get(parsed.get(), which, &octets, flags) == CURLUE_OK) out = octets;
    curl_free(octets);
    return out;
  };
  if (part(CURLUPART_SCHEME) != "https" || !part(CURLUPART_USER).empty()) return std::nullopt;
  WebRequest request;
  request.host = to_lower(part(CURLUPART_HOST));
  if (request.host.ends_with('.')) request.host.pop_back();
  if (!is_plain_name(request.host) || is_number_like(request.host)) return std::nullopt;
  const std::string port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const auto number = parse_decimal(port);
  if (!number || *number == 0 || *number > UINT16_MAX) return std::nullopt;
  request.port = static_cast<uint16_t>(*number);
  request.target = part(CURLUPART_PATH);
  const std::string query = part(CURLUPART_QUERY);
  if (!query.empty()) request.target += "?" + query;
  return request;
}

}  // namespace sluice
