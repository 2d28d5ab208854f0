#include "engine/ring/io.h"

namespace sluice {

void Io::begin(Operation& op, uint64_t id) {
  CHECK(!op.in_flight_);
  op.in_flight_ = true;
  op.done_ = false;
  op.id_ = id;
}

void Io::complete(Operation& op, IoResult result) {
  CHECK(op.in_flight_);
  op.in_flight_ = false;
  op.done_ = true;
  op.result_ = result;
  op.signal_->notify();
}

}  // namespace sluice
