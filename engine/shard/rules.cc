#include "engine/shard/rules.h"

#include <algorithm>
#include <queue>
#include <utility>
#include <vector>

namespace sluice {

struct Rules::Book {
  // A domain, by its place in Shaping::domains(), and when it is to be asked for.
  struct Due {
    Instant at;
    uint32_t index;
    friend bool operator<(const Due& a, const Due& b) {
      return a.at != b.at ? a.at > b.at : a.index > b.index;
    }
  };

  Book(ShapingRules rules, Instant now)
      : shaping(std::move(rules)), unlearnt(static_cast<uint32_t>(shaping.domains().size())) {
    for (uint32_t index = 0; index < unlearnt; ++index) due.push({now, index});
    answered.resize(unlearnt);
  }

  Shaping shaping;
  uint32_t unlearnt;           // domains that were never answered
  std::vector<bool> answered;  // by index: also with a failure
  std::priority_queue<Due> due;
  Instant deadline = kForever;  // of a book that is to come in force
  std::function<void()> in_force;
};

Rules::Rules(Loop& loop, Resolver& resolver, ShapingRules rules, Changed changed)
    : loop_(loop),
      resolver_(resolver),
      changed_(std::move(changed)),
      book_(std::make_shared<Book>(std::move(rules), loop.now())),
      pause_(loop),
      waiting_(loop) {}

Task<> Rules::run() {
  wait_until_ = loop_.now() + kWait;
  while (!stopping_) {
    if (next_) {
      start_lookups(next_);
      if (next_->unlearnt == 0 || loop_.now() >= next_->deadline) put_in_force();
    }
    start_lookups(book_);
    if (book_->unlearnt == 0) waiting_.notify_all();
    co_await pause_.until(next_wake());
  }
  co_await lookups_.close();
}

void Rules::stop() {
  stopping_ = true;
  pause_.cut();
  waiting_.notify_all();
}

Task<> Rules::wait() {
  const Instant latest = std::min(wait_until_, loop_.now() + kWait);
  while (book_->unlearnt > 0 && !stopping_ && loop_.now() < latest) {
    co_await waiting_.wait(latest);
  }
}

void Rules::reload(ShapingRules rules, std::function<void()> in_force) {
  if (stopping_) return;
  next_ = std::make_shared<Book>(std::move(rules), loop_.now());
  for (const std::string& domain : next_->shaping.domains()) {
    next_->shaping.set_site(domain, book_->shaping.site_of(domain));
  }
  next_->deadline = loop_.now() + kWait;
  next_->in_force = std::move(in_force);
  pause_.cut();
}

void Rules::put_in_force() {
  book_ = std::exchange(next_, nullptr);
  if (book_->in_force) std::exchange(book_->in_force, nullptr)();
  changed_({});
}

void Rules::start_lookups(const std::shared_ptr<Book>& book) {
  while (lookups_.inside_count() < kAtATime && !book->due.empty() &&
         book->due.top().at <= loop_.now()) {
    const uint32_t index = book->due.top().index;
    book->due.pop();
    lookups_.spawn(learn(book, index));
  }
}

Task<> Rules::learn(std::shared_ptr<Book> book, uint32_t index) {
  const std::string domain = book->shaping.domains()[index];
  const RoutePtr route = co_await resolver_.route(domain);
  const Instant now = loop_.now();
  if (route->usable()) {
    const std::string old_site = book->shaping.site_of(domain);
    if (book->shaping.set_site(domain, route->site) && book == book_) tell(*book, index, old_site);
  }
  book->due.push({std::clamp(route->expires, now + kAgainMin, now + kAgainMax), index});
  if (!book->answered[index]) {
    book->answered[index] = true;
    --book->unlearnt;
  }
  pause_.cut();
}

void Rules::tell(const Book& book, uint32_t index, const std::string& old_site) {
  const std::string& domain = book.shaping.domains()[index];
  if (!old_site.empty()) changed_(old_site);
  changed_(book.shaping.site_of(domain));
  if (book.shaping.is_own_site(domain)) changed_(domain);
}

Instant Rules::next_wake() const {
  Instant wake = next_ ? next_->deadline : kForever;
  if (lookups_.inside_count() >= kAtATime) return wake;
  for (const std::shared_ptr<Book>& book : {next_, book_}) {
    if (book && !book->due.empty()) wake = std::min(wake, book->due.top().at);
  }
  return wake;
}

Shaped Rules::shape(std::string_view site, std::string_view domain, const Route& route,
                    std::string_view source) const {
  return book_->shaping.shape(site, domain, route.exchangers, source);
}

const Shaping& Rules::shaping() const { return book_->shaping; }

bool Rules::is_own_site(std::string_view domain) const {
  return book_->shaping.is_own_site(domain);
}

}  // namespace sluice
