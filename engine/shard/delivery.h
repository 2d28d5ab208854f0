// The story of a connection: dial, talk, record, close.
//
// deliver() is one coroutine a connection. It asks the lane for rows while the dialog's window is
// open, composes each at once, sends what the dialog says, feeds it what comes, and records every
// verdict. It ends when the receiver, the limits or a lack of mail end the connection; every row
// that it took has its verdict by then.
//
// THREAD. The lane's shard. LIMITS. Every wait has a deadline from SmtpTimeouts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/compose/message_buffer.h"
#include "engine/connect/channel.h"
#include "engine/converse/depth.h"
#include "engine/converse/dialog.h"
#include "engine/ring/task.h"
#include "engine/shard/lane.h"

namespace sluice {

class Shard;

// What is in flight of one row on a connection.
struct InFlight {
  OpenSegment* segment = nullptr;
  SegmentRow number = 0;
  uint32_t attempts = 0;  // with this one
  WallTime first_at{};    // of the row's first attempt; zero when this is it
  WallTime date{};        // of the message: when the row's first attempt began
  uint64_t size = 0;
  std::string sender;  // of MAIL
  Instant taken_at{};
  bool taken = false;        // a row without a verdict
  bool content_out = false;  // its content is with the channel: the buffer must stay
  std::unique_ptr<MessageBuffer> message;
};

// A slot of the shard's table: outlives the coroutine's waits and whatever the kernel holds.
struct Connection {
  explicit Connection(Loop& loop) : channel(loop) {}

  Channel channel;
  std::unique_ptr<Dialog> dialog;
  std::vector<InFlight> in_flight;      // the ticket is the index
  std::vector<Dialog::Output> outputs;  // handed to the channel, in order
  std::vector<iovec> pieces;
  std::vector<size_t> output_ends;  // index behind each output's last piece
  std::string exchanger;            // its host name
  TlsPlan tls_plan;
  bool tls_broke = false;   // behind the handshake, before the first reply
  bool clear_next = false;  // TLS has just failed: once more without
  std::string clear_why;
  // What the record says of it: `tls` points into `tls_facts` and the plan.
  TlsFacts tls_facts;
  TlsNote tls;
  uint64_t session = 0;
  Concurrency::Attempt attempt;  // by which the lane judges what becomes of it
  // What had happened when the deadline was last set.
  struct Progress {
    uint64_t sent_bytes = 0;
    uint64_t answered = 0;
    uint32_t transactions = 0;
    const char* waiting_for = nullptr;
    bool sending = false;
    friend bool operator==(const Progress&, const Progress&) = default;
  };
  Progress progress;
  uint64_t answered = 0;  // messages that got a verdict of their own: not one of the connection
  bool worked = false;    // one of them was a receiver's answer
  // What was told to the exchanger's depth so far.
  std::shared_ptr<Depth> depth;
  uint32_t fitted = 0;
  Probe probe = Probe::kNotMade;
  bool waits_to_sign = false;  // in the shard's SigningQueue
  bool may_sign = false;       // its turn has come
  bool greeted = false;        // the lane counts it as no longer dialling
  bool idle = false;           // in the lane's list
  bool yielding = false;       // ends for the sake of others who wait for its slot
};

// REQUIRES: the lane counted the connection as open; deliver() counts it out at its end.
Task<> deliver(Shard& shard, Lane& lane, Connection& connection);

}  // namespace sluice
