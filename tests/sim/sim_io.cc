#include "tests/sim/sim_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/check.h"

namespace sluice::sim {
namespace {

// What a look at the clock costs: a turn that looks often comes to the end of its budget.
constexpr Duration kLookCost = std::chrono::microseconds(20);
const IpAddress kOwnAddress = *parse_ip("198.51.100.1");
const IpAddress kOwnAddress6 = *parse_ip("2001:db8:ffff::1");

IoResult failed(IoError error) {
  IoResult result;
  result.error = error;
  result.raw_errno = EIO;
  return result;
}

}  // namespace

SimIo::SimIo(World& world, Network& network, std::shared_ptr<Disk> disk, uint64_t seed)
    : world_(&world),
      network_(&network),
      disk_(std::move(disk)),
      random_(seed),
      now_(world.now()) {}

SimIo::~SimIo() {
  CHECK(pending_.empty() && completed_.empty());
  while (!descriptors_.empty()) close(descriptors_.begin()->first);
  world_->forget(this);
}

Instant SimIo::precise_now() {
  // Between two turns it is the end of the last one: from there on the thread waits.
  worked_ += kLookCost;
  return now_ + worked_;
}

void SimIo::submit_and_wait(Instant) {
  now_ = world_->now();
  worked_ = {};
  cpu_time_ += turn_cost;
  const auto completed = std::exchange(completed_, {});
  for (const auto& [op, result] : completed) complete(*op, result);
}

uint64_t SimIo::start(Operation& op, Handle handle) {
  const uint64_t id = ++last_id_;
  begin(op, id);
  pending_[id] = {&op, handle, {}, {}, nullptr};
  if (const auto found = descriptors_.find(handle); found != descriptors_.end()) {
    ++found->second.in_flight;
  }
  return id;
}

void SimIo::end(uint64_t id, IoResult result) {
  const auto found = pending_.find(id);
  CHECK(found != pending_.end());
  if (const auto of = descriptors_.find(found->second.handle); of != descriptors_.end()) {
    Descriptor& descriptor = of->second;
    --descriptor.in_flight;
    if (descriptor.receiving == id) descriptor.receiving = 0;
    if (descriptor.sending == id) descriptor.sending = 0;
    if (descriptor.listener) std::erase(descriptor.listener->accepts, id);
  }
  completed_.emplace_back(found->second.op, result);
  pending_.erase(found);
}

void SimIo::sever(World& limbo, Network& nowhere) {
  world_->forget(this);
  for (auto& [handle, descriptor] : descriptors_) {
    if (descriptor.line) {
      descriptor.line->ends[static_cast<size_t>(descriptor.side)].watcher = nullptr;
      network_->reset(descriptor.line, descriptor.side);
      network_->close(descriptor.line, descriptor.side);
      descriptor.line = nullptr;
    }
    if (descriptor.listener) network_->unlisten(descriptor.listener->address);
  }
  by_line_.clear();
  world_ = &limbo;
  network_ = &nowhere;
  while (!pending_.empty()) {
    const auto& [id, pending] = *pending_.begin();
    const IoResult result = pending.finish ? pending.finish() : failed(IoError::kReset);
    end(id, result);
  }
}

// --- sockets -------------------------------------------------------------------------------------

Handle SimIo::add(Descriptor descriptor) {
  descriptors_.emplace(++last_handle_, std::move(descriptor));
  return last_handle_;
}

StatusOr<Handle> SimIo::open_socket(const SocketOptions& options) {
  if (descriptors_.size() >= descriptors_max) return exhausted("socket: too many open files");
  Descriptor socket;
  socket.source =
      options.source.value_or(options.family == Family::kIpv4 ? kOwnAddress : kOwnAddress6);
  return add(std::move(socket));
}

StatusOr<Handle> SimIo::open_listener(const SocketAddress& address, bool) {
  Descriptor socket;
  socket.listener = std::make_unique<Listener>(*this);
  socket.listener->address = address;
  if (!network_->listen(address, *socket.listener)) {
    return misconfigured("cannot listen on " + to_string(address) + ": address in use");
  }
  return add(std::move(socket));
}

StatusOr<Handle> SimIo::open_udp(const SocketAddress& address, bool) {
  return unavailable("no datagrams in this world, asked for " + to_string(address));
}

void SimIo::adopt(Descriptor& socket, const LinePtr& line, int side) {
  socket.line = line;
  socket.side = side;
  line->ends[static_cast<size_t>(side)].watcher = this;
}

void SimIo::connect(Operation& op, Handle socket, const SocketAddress& to) {
  const uint64_t id = start(op, socket);
  const SocketAddress from{*descriptors_.at(socket).source, 0};
  network_->connect(from, to, this, [this, id, socket](IoError error, const LinePtr& line) {
    if (pending_.count(id) == 0) {
      if (line) network_->close(line, 0);
      return;
    }
    if (error != IoError::kNone) {
      end(id, failed(error));
      return;
    }
    adopt(descriptors_.at(socket), line, 0);
    by_line_[line->number * 2] = socket;
    end(id, {});
  });
}

void SimIo::Listener::on_connection(const LinePtr& line) {
  backlog.push_back(line);
  io.give_backlog(*this);
}

void SimIo::give_backlog(Listener& listener) {
  while (!listener.backlog.empty() && !listener.accepts.empty()) {
    const LinePtr line = listener.backlog.front();
    listener.backlog.erase(listener.backlog.begin());
    const uint64_t id = listener.accepts.front();
    const Handle handle = add({});
    adopt(descriptors_.at(handle), line, 1);
    by_line_[line->number * 2 + 1] = handle;
    end(id, {handle, IoError::kNone, 0});
  }
}

void SimIo::accept(Operation& op, Handle listener) {
  const uint64_t id = start(op, listener);
  Listener& at = *descriptors_.at(listener).listener;
  at.accepts.push_back(id);
  give_backlog(at);
}

void SimIo::on_change(Line& line, int side) {
  const auto found = by_line_.find(line.number * 2 + static_cast<uint64_t>(side));
  if (found == by_line_.end()) return;
  Descriptor& socket = descriptors_.at(found->second);
  try_receive(socket);
  try_send(socket);
}

void SimIo::send(Operation& op, Handle socket, std::span<const iovec> pieces) {
  CHECK(!pieces.empty() && pieces.size() <= 1'024);
  const uint64_t id = start(op, socket);
  pending_.at(id).pieces = pieces;
  Descriptor& at = descriptors_.at(socket);
  CHECK(at.sending == 0);
  at.sending = id;
  try_send(at);
}

void SimIo::try_send(Descriptor& socket) {
  const uint64_t id = socket.sending;
  if (id == 0) return;
  if (!socket.line || socket.line->ends[static_cast<size_t>(socket.side)].reset) {
    end(id, failed(IoError::kReset));
    return;
  }
  size_t most = SIZE_MAX;
  if (send_max != 0) most = 1 + world_->random().below(send_max);
  size_t sent = 0;
  for (const iovec& piece : pending_.at(id).pieces) {
    const size_t size = std::min(piece.iov_len, most - sent);
    const std::string_view octets(static_cast<const char*>(piece.iov_base), size);
    const size_t taken = network_->write(socket.line, socket.side, octets);
    sent += taken;
    if (taken < piece.iov_len) break;
  }
  if (sent > 0) end(id, {static_cast<int32_t>(sent), IoError::kNone, 0});
}

void SimIo::receive(Operation& op, Handle socket, std::span<char> buffer) {
  const uint64_t id = start(op, socket);
  pending_.at(id).buffer = buffer;
  Descriptor& at = descriptors_.at(socket);
  CHECK(at.receiving == 0);
  at.receiving = id;
  try_receive(at);
}

void SimIo::try_receive(Descriptor& socket) {
  const uint64_t id = socket.receiving;
  if (id == 0) return;
  if (!socket.line) {
    end(id, failed(IoError::kReset));
    return;
  }
  const Line::End& mine = socket.line->ends[static_cast<size_t>(socket.side)];
  // As Linux does: what was read before a reset is still there.
  if (!mine.inbox.empty()) {
    const std::span<char> buffer = pending_.at(id).buffer;
    const std::string octets = network_->take(socket.line, socket.side, buffer.size());
    std::memcpy(buffer.data(), octets.data(), octets.size());
    end(id, {static_cast<int32_t>(octets.size()), IoError::kNone, 0});
  } else if (mine.reset) {
    end(id, failed(IoError::kReset));
  } else if (mine.ended) {
    end(id, {});
  }
}

void SimIo::poll(Operation& op, int, uint32_t) { start(op, kNoHandle); }

void SimIo::cancel(Operation& op) {
  if (!op.in_flight()) return;
  const auto found = pending_.find(id_of(op));
  // Completed already, or on its way to the disk: it ends as it ends.
  if (found == pending_.end() || found->second.finish) return;
  end(found->first, failed(IoError::kCancelled));
}

void SimIo::close(Handle handle) {
  const auto found = descriptors_.find(handle);
  CHECK(found != descriptors_.end());
  CHECK(found->second.in_flight == 0);
  Descriptor& closed = found->second;
  if (closed.line) {
    by_line_.erase(closed.line->number * 2 + static_cast<uint64_t>(closed.side));
    network_->close(closed.line, closed.side);
  }
  if (closed.listener) network_->unlisten(closed.listener->address);
  descriptors_.erase(found);
}

}  // namespace sluice::sim
