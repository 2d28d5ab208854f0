#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {
namespace {

// What Linux takes to give up a connection whose peer never answers (tcp_syn_retries = 6).
constexpr Duration kSilentTimeout = std::chrono::seconds(127);
constexpr uint64_t kFirstPort = 32'768;
constexpr uint64_t kPorts = 28'000;

}  // namespace

Weather Network::weather_of(const IpAddress& address) const {
  const auto found = weather_.find(address);
  return found == weather_.end() ? default_weather_ : found->second;
}

bool Network::listen(const SocketAddress& address, Server& server) {
  return servers_.emplace(address, &server).second;
}

void Network::connect(const SocketAddress& from, const SocketAddress& to, const void* owner,
                      Connected done) {
  auto line = std::make_shared<Line>();
  line->number = ++lines_;
  line->from = from;
  if (from.port == 0) {
    line->from.port = static_cast<uint16_t>(kFirstPort + world_.random().below(kPorts));
  }
  line->to = to;
  line->weather = weather_of(to.ip);
  world_.note("connect " + std::to_string(line->number) + " to " + to_string(to));
  if (dialled) dialled(*line);
  const Duration trip = delay_of(*line);
  uint32_t ports = 0;
  for (const auto& [ends, count] : open_) ports += ends.first == from.ip ? count : 0;
  if (ports >= ports_max) {
    world_.after(Duration{}, owner, [done] { done(IoError::kAddressUnusable, nullptr); });
    return;
  }
  switch (line->weather.reach) {
    case Weather::Reach::kSilent:
      world_.after(kSilentTimeout, owner, [done] { done(IoError::kTimedOut, nullptr); });
      return;
    case Weather::Reach::kUnreachable:
      world_.after(trip, owner, [done] { done(IoError::kUnreachable, nullptr); });
      return;
    case Weather::Reach::kRefused:
      world_.after(2 * trip, owner, [done] { done(IoError::kRefused, nullptr); });
      return;
    case Weather::Reach::kOpen:
      break;
  }
  world_.after(2 * trip, owner, [this, line, done] {
    const auto server = servers_.find(line->to);
    if (server == servers_.end()) {
      done(IoError::kRefused, nullptr);
      return;
    }
    line->counted = true;
    ++open_[{line->from.ip, line->to.ip}];
    done(IoError::kNone, line);
    if (!line->ends[0].closed && opened) opened(*line);
    // Whoever dialled may have given up in the meantime.
    if (!line->ends[0].closed) server->second->on_connection(line);
  });
}

uint32_t Network::lines_open(const IpAddress& from, const IpAddress& to) const {
  const auto found = open_.find({from, to});
  return found == open_.end() ? 0 : found->second;
}

uint32_t Network::lines_open() const {
  uint32_t sum = 0;
  for (const auto& [ends, count] : open_) sum += count;
  return sum;
}

Duration Network::delay_of(const Line& line) {
  return world_.between(line.weather.delay_min, line.weather.delay_max);
}

void Network::send_event(const LinePtr& line, int to_side, World::Action action) {
  Line::End& end = line->ends[static_cast<size_t>(to_side)];
  end.last_arrival = std::max(end.last_arrival, world_.now() + delay_of(*line));
  world_.at(end.last_arrival, this, std::move(action));
}

size_t Network::write(const LinePtr& line, int side, std::string_view octets) {
  const int to_side = 1 - side;
  Line::End& end = line->ends[static_cast<size_t>(to_side)];
  const size_t used = end.under_way + end.inbox.size();
  const size_t room = used < line->weather.window ? line->weather.window - used : 0;
  const size_t taken = std::min(room, octets.size());
  std::string_view rest = octets.substr(0, taken);
  end.under_way += taken;
  while (!rest.empty()) {
    size_t size = rest.size();
    if (line->weather.piece_max != 0) {
      size = std::min<size_t>(size, 1 + world_.random().below(line->weather.piece_max));
    }
    send_event(line, to_side, [this, line, to_side, piece = std::string(rest.substr(0, size))] {
      arrive(line, to_side, piece);
    });
    rest.remove_prefix(size);
  }
  return taken;
}

void Network::arrive(const LinePtr& line, int side, const std::string& piece) {
  Line::End& end = line->ends[static_cast<size_t>(side)];
  end.under_way -= piece.size();
  if (end.reset || end.ended) return;
  if (end.closed) {
    reset(line, side);
    return;
  }
  if (world_.happens(line->weather.resets_one_in)) {
    world_.note("reset in transit " + std::to_string(line->number));
    for (const int s : {0, 1}) {
      line->ends[static_cast<size_t>(s)].reset = true;
      tell(line, s);
    }
    return;
  }
  end.inbox += piece;
  tell(line, side);
}

void Network::tell(const LinePtr& line, int side) {
  Watcher* watcher = line->ends[static_cast<size_t>(side)].watcher;
  if (watcher != nullptr) watcher->on_change(*line, side);
}

std::string Network::take(const LinePtr& line, int side, size_t most) {
  Line::End& end = line->ends[static_cast<size_t>(side)];
  std::string out = end.inbox.substr(0, most);
  end.inbox.erase(0, out.size());
  if (!out.empty()) {
    send_event(line, 1 - side, [this, line, side] { tell(line, 1 - side); });
  }
  return out;
}

void Network::finish(const LinePtr& line, int side) {
  Line::End& mine = line->ends[static_cast<size_t>(side)];
  if (std::exchange(mine.finished, true) || mine.reset) return;
  const int other = 1 - side;
  send_event(line, other, [this, line, other] {
    Line::End& end = line->ends[static_cast<size_t>(other)];
    if (end.reset) return;
    end.ended = true;
    tell(line, other);
  });
}

void Network::reset(const LinePtr& line, int side) {
  Line::End& mine = line->ends[static_cast<size_t>(side)];
  mine.finished = true;
  const int other = 1 - side;
  send_event(line, other, [this, line, other] {
    Line::End& end = line->ends[static_cast<size_t>(other)];
    if (end.reset) return;
    end.reset = true;
    tell(line, other);
  });
}

void Network::close(const LinePtr& line, int side) {
  Line::End& mine = line->ends[static_cast<size_t>(side)];
  if (mine.closed) return;
  mine.closed = true;
  mine.watcher = nullptr;
  if (side == 0 && std::exchange(line->counted, false)) --open_[{line->from.ip, line->to.ip}];
  if (!mine.inbox.empty() && !mine.reset) {
    reset(line, side);
  } else {
    finish(line, side);
  }
}

}  // namespace sluice::sim
