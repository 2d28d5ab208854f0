// For tests: our engine and a server joined in memory, octet by octet where asked.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/connect/tls_openssl.h"
#include "tests/unit/connect/tls_server.h"

namespace sluice::tls_test {

inline const std::string kHost = "mx.example.com";
inline const std::string kExchanger = "mx.example.com:25";

inline TlsDemand demand_of(TlsCheck check) {
  TlsDemand demand;
  demand.server_name = kHost;
  demand.check = check;
  if (check != TlsCheck::kNone) demand.names = {kHost};
  return demand;
}

// A root, an authority below it, and a server's certificate below that.
struct Authority {
  Identity root = make_identity({.subject = "Root", .authority = true}, nullptr);
  Identity middle = make_identity({.subject = "Middle", .authority = true}, &root);
  PemFile roots{{root.certificate.get()}};

  Identity server(const Wanted& wanted) const { return make_identity(wanted, &middle); }
  Context context(const Identity& identity, const ServerOptions& options = {}) const {
    return make_server(identity, {middle.certificate.get()}, options);
  }
  std::unique_ptr<OpenSslFactory> factory(size_t tickets_max = 16) const {
    auto made = OpenSslFactory::make({.ca_file = roots.path(), .tickets_max = tickets_max});
    EXPECT_TRUE(made.ok()) << made.status();
    return std::move(*made);
  }
};

// Gives the engine `octets` in pieces of `step`, as a channel does; what can be read goes to
// `heard`.
inline void feed(TlsEngine& engine, std::string_view octets, size_t step, std::string& heard) {
  char buffer[4'096];
  while (!octets.empty()) {
    std::string_view piece = octets.substr(0, step);
    octets.remove_prefix(piece.size());
    size_t idle = 0;
    while (!piece.empty() && idle < 2) {
      const size_t took = engine.receive(piece);
      ASSERT_LE(took, piece.size());
      piece.remove_prefix(took);
      size_t got = engine.read(buffer);
      idle = took == 0 && got == 0 ? idle + 1 : 0;
      while (got > 0) {
        heard.append(buffer, got);
        got = engine.read(buffer);
      }
    }
    ASSERT_TRUE(piece.empty()) << "the engine takes nothing and gives nothing";
  }
}

inline std::string take_outgoing(TlsEngine& engine) {
  std::string all;
  while (!engine.outgoing().empty()) {
    all += engine.outgoing();
    engine.sent(engine.outgoing().size());
  }
  return all;
}

// A change of what travels: its direction and octets.
using Tamper = std::function<void(bool to_client, std::string&)>;

// Lets both talk until neither has anything to say. False: it would not end.
inline bool converse(TlsEngine& engine, Server& server, std::string& heard, size_t step = SIZE_MAX,
                     const Tamper& tamper = nullptr) {
  for (int round = 0; round < 64; ++round) {
    std::string to_server = take_outgoing(engine);
    if (tamper) tamper(false, to_server);
    std::string to_client;
    for (size_t at = 0; at < to_server.size(); at += std::min(step, to_server.size() - at)) {
      to_client += server.exchange(std::string_view(to_server).substr(at, step));
    }
    if (to_server.empty()) to_client = server.exchange({});
    if (tamper) tamper(true, to_client);
    if (to_server.empty() && to_client.empty()) return true;
    feed(engine, to_client, step, heard);
  }
  return false;
}

inline size_t write_text(TlsEngine& engine, std::string_view text) {
  const iovec piece{const_cast<char*>(text.data()), text.size()};
  return engine.write({&piece, 1});
}

inline bool shake_hands(TlsEngine& engine, Server& server) {
  std::string heard;
  EXPECT_TRUE(converse(engine, server, heard));
  return engine.open() && !engine.failed();
}

}  // namespace sluice::tls_test
