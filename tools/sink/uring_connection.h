// A connection of the sink's worker. Only uring_worker.cc uses this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/sink/conversation.h"
#include "tools/sink/uring_worker.h"

namespace sluice::sink {

// Lives in a slot that is used again and again; `generation` counts its lives. The slot is free
// when fd is -1. Everything that the kernel reads (`sending`) stays until the operation has
// completed.
struct UringWorker::Connection {
  explicit Connection(uint32_t place) : index(place) {}

  void begin(int socket, uint32_t listener, SessionContext& context, bool offers_tls) {
    fd = socket;
    host = listener;
    conversation.emplace(context, offers_tls);
  }
  void end() {
    fd = -1;
    ++generation;
    conversation.reset();
    out = std::string();
    sending = std::string();
    sent_bytes = 0;
    delayed = 0;
    receiving = sending_now = over = closing = close_after_send = peer_ended = lingers = false;
    counted = false;
  }

  const uint32_t index;
  uint32_t generation = 0;
  int fd = -1;
  uint32_t host = 0;
  uint64_t number = 0;            // in the log of events
  uint32_t delayed = 0;           // groups of replies that wait for their time
  bool dirty = false;             // stands in the list of those that have something to send
  bool receiving = false;         // a multishot receive is in flight
  bool sending_now = false;       // a send is in flight
  bool over = false;              // input is read and thrown away
  bool peer_ended = false;        // the client has sent its FIN
  bool close_after_send = false;  // when the last reply is on its way
  bool lingers = false;           // our FIN is sent
  bool counted = false;           // among the connections at a time: until either side has ended it
  bool closing = false;           // waits for its operations to end
  std::optional<Conversation> conversation;
  std::string out;      // replies to send next
  std::string sending;  // what the kernel has
  size_t sent_bytes = 0;
};

}  // namespace sluice::sink
