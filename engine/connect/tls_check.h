// What a demand means to OpenSSL, and what OpenSSL's refusals mean to people.
//
// PURPOSE. Everything that decides whether a peer is who it should be, in one place: set_check()
// before the handshake, proved() after it, failure_of() when there is none. describe_peer() decides
// nothing.
// THREAD. One shard's; the error queue is the calling thread's.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "engine/model/tls.h"

namespace sluice {

// The first thing that was wrong with the peer's chain.
struct ChainFault {
  int error = X509_V_OK;
  std::string subject;  // of the certificate that it is about
};

// Once for a context.
void allow_checks(SSL_CTX* context);
// Names, TLSA records and level of `demand`; empty, or in words why nothing can meet it.
std::string set_check(SSL* session, const TlsDemand& demand);
// OpenSSL's verification of a chain, or none of it for kNone; told in `fault`. What a callback of
// SSL_CTX_set_cert_verify_callback() answers.
int check_chain(X509_STORE_CTX* chain, const TlsDemand& demand, ChainFault& fault);
// Fills in demand.peer: the chain judged by the roots and for the demand's names, whatever `demand`
// asks to be checked. Leaves the error queue as it is. REQUIRES: demand.peer is not null.
void describe_peer(X509_STORE_CTX* chain, const SSL* session, const TlsDemand& demand);
// After a handshake: whether the peer is proved to be what was asked for. A resumed session proves
// it by the verdict that it brings along.
bool proved(SSL* session, const TlsDemand& demand);
// Why there is no session, by the thread's error queue, which it empties.
TlsFailure failure_of(const TlsDemand& demand, const ChainFault& fault);

}  // namespace sluice
