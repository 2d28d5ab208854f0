#include "engine/connect/tls_bio.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace sluice {
namespace {

TlsWire& wire_of(BIO* bio) { return *static_cast<TlsWire*>(BIO_get_data(bio)); }

int write_wire(BIO* bio, const char* octets, size_t count, size_t* written) {
  BIO_clear_retry_flags(bio);
  if (!wire_of(bio).output.append({octets, count})) return -1;
  *written = count;
  return 1;
}

int read_wire(BIO* bio, char* to, size_t count, size_t* read) {
  BIO_clear_retry_flags(bio);
  TlsWire& wire = wire_of(bio);
  if (wire.input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  *read = std::min(count, wire.input.size());
  std::memcpy(to, wire.input.data(), *read);
  wire.input.remove_prefix(*read);
  return 1;
}

// NOLINTNEXTLINE(google-runtime-int): OpenSSL's signature
long control_wire(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// Lives as long as the process, as OpenSSL's own methods do.
const BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice wire");
    CHECK(made != nullptr);
    CHECK(BIO_meth_set_write_ex(made, write_wire) == 1);
    CHECK(BIO_meth_set_read_ex(made, read_wire) == 1);
    CHECK(BIO_meth_set_ctrl(made, control_wire) == 1);
    return made;
  }();
  return method;
}

}  // namespace

BIO* make_tls_bio(TlsWire& wire) {
  BIO* bio = BIO_new(wire_method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, &wire);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace sluice
