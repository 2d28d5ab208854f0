#include "engine/connect/tls_check.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/digest.h"
#include "engine/base/net.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kTextMax = 400;
constexpr size_t kNameMax = 160;
constexpr size_t kNamesMax = 32;
// DANE-TA and DANE-EE (RFC 7218).
constexpr uint8_t kUsageAuthority = 2;
constexpr uint8_t kUsageCertificate = 3;

const unsigned char* octets(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// A name that begins with a dot would mean any below it to OpenSSL.
bool is_usable_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('\0') == std::string::npos;
}

// At least one name, or nothing would be compared at all.
bool add_names(X509_VERIFY_PARAM* parameters, const TlsDemand& demand) {
  bool any = false;
  for (const std::string& name : demand.names) {
    if (!is_usable_name(name)) continue;
    const int added = any ? X509_VERIFY_PARAM_add1_host(parameters, name.data(), name.size())
                          : X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size());
    if (added != 1) return false;
    any = true;
  }
  return any;
}

std::string set_dane(SSL* session, const TlsDemand& demand) {
  if (SSL_dane_enable(session, nullptr) != 1) return "DANE cannot be set up";
  SSL_dane_set_flags(session, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  X509_VERIFY_PARAM* const parameters = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool named = add_names(parameters, demand);
  bool any = false;
  for (const TlsaRecord& record : demand.tlsa) {
    const bool usable =
        record.usage == kUsageCertificate || (record.usage == kUsageAuthority && named);
    if (!usable) continue;
    const int added = SSL_dane_tlsa_add(session, record.usage, record.selector, record.matching,
                                        octets(record.data), record.data.size());
    any = any || added == 1;
  }
  return any ? "" : "no TLSA record can be used";
}

std::string text_of(const X509_NAME* name) {
  char text[512];
  if (X509_NAME_oneline(name, text, sizeof text) == nullptr) return "";
  return escaped(text, kNameMax);
}

std::string subject_of(X509* certificate) {
  return certificate == nullptr ? "" : text_of(X509_get_subject_name(certificate));
}

TlsFailureKind kind_of(int error, TlsCheck check) {
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return TlsFailureKind::kHostMismatch;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TlsFailureKind::kExpired;
    default:
      return check == TlsCheck::kDane ? TlsFailureKind::kTlsaMismatch : TlsFailureKind::kNotTrusted;
  }
}

std::string chain_text(const TlsDemand& demand, const ChainFault& fault) {
  std::string text = "certificate " + (fault.subject.empty() ? "(none)" : fault.subject) + ": ";
  if (fault.error == X509_V_ERR_HOSTNAME_MISMATCH) {
    return text + "not for " + escaped(join(demand.names, ", "), kNameMax);
  }
  return text + X509_verify_cert_error_string(fault.error);
}

std::string_view view_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string address_text(std::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return "";
  IpAddress address;
  address.family = bytes.size() == 4 ? Family::kIpv4 : Family::kIpv6;
  std::copy(bytes.begin(), bytes.end(), address.octets.begin());
  return to_string(address);
}

void describe_names(const X509* certificate, TlsPeer& peer) {
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    std::string text;
    if (name->type == GEN_DNS) text = escaped(view_of(name->d.dNSName), kNameMax);
    if (name->type == GEN_IPADD) text = address_text(view_of(name->d.iPAddress));
    if (text.empty()) continue;
    if (peer.names.size() < kNamesMax) {
      peer.names.push_back(std::move(text));
    } else {
      ++peer.names_left_out;
    }
  }
  GENERAL_NAMES_free(names);
}

WallTime time_of(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  ASN1_TIME* const epoch = ASN1_TIME_set(nullptr, 0);
  const int known = ASN1_TIME_diff(&days, &seconds, epoch, time);
  ASN1_TIME_free(epoch);
  return known == 1 ? from_unix_seconds(int64_t{days} * 86'400 + seconds) : WallTime{};
}

void describe_key(const X509* certificate, TlsPeer& peer) {
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  if (key != nullptr) {
    const char* const kind = EVP_PKEY_get0_type_name(key);
    peer.key = std::string(kind != nullptr ? kind : "unknown") + " " +
               std::to_string(EVP_PKEY_get_bits(key)) + " bits";
  }
  unsigned char* encoded = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded);
  if (length <= 0) return;
  const std::string_view whole(reinterpret_cast<const char*>(encoded), static_cast<size_t>(length));
  peer.key_digest = to_hex(sha256(whole));
  OPENSSL_free(encoded);
}

// As a session that asks for kNames has it judged, but for the names.
void describe_trust(X509_STORE_CTX* shown, const SSL* session, TlsPeer& peer) {
  X509_STORE_CTX* const chain = X509_STORE_CTX_new();
  CHECK(chain != nullptr);
  CHECK(X509_STORE_CTX_init(chain, X509_STORE_CTX_get0_store(shown),
                            X509_STORE_CTX_get0_cert(shown),
                            X509_STORE_CTX_get0_untrusted(shown)) == 1);
  CHECK(X509_STORE_CTX_set_default(chain, "ssl_server") == 1);
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(chain),
                                   SSL_CTX_get_security_level(SSL_get_SSL_CTX(session)));
  peer.trusted = X509_verify_cert(chain) == 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK;
  if (!peer.trusted) peer.why_not = X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain));
  X509_STORE_CTX_free(chain);
}

void describe_fits(X509* certificate, const TlsDemand& demand, TlsPeer& peer) {
  std::vector<std::string> wanted = demand.names;
  if (std::find(wanted.begin(), wanted.end(), demand.server_name) == wanted.end()) {
    wanted.push_back(demand.server_name);
  }
  for (const std::string& name : wanted) {
    if (!is_usable_name(name)) continue;
    const int fits = X509_check_host(
        certificate, name.data(), name.size(),
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr);
    if (fits == 1) peer.fits.push_back(name);
  }
}

}  // namespace

void allow_checks(SSL_CTX* context) { CHECK(SSL_CTX_dane_enable(context) == 1); }

std::string set_check(SSL* session, const TlsDemand& demand) {
  if (demand.check == TlsCheck::kNone) {
    // Encrypted somehow is better than in clear: old keys and servers will do.
    SSL_set_security_level(session, 0);
    SSL_set_options(session, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_set_verify(session, SSL_VERIFY_NONE, nullptr);
    return "";
  }
  SSL_set_verify(session, SSL_VERIFY_PEER, nullptr);
  if (demand.check == TlsCheck::kDane) return set_dane(session, demand);
  X509_VERIFY_PARAM* const parameters = SSL_get0_param(session);
  // The subject's common name is for people (RFC 8461 §4.1).
  X509_VERIFY_PARAM_set_hostflags(
      parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER) != 1) {
    return "the purpose of a certificate cannot be set";
  }
  return add_names(parameters, demand) ? "" : "no name to compare the certificate with";
}

int check_chain(X509_STORE_CTX* chain, const TlsDemand& demand, ChainFault& fault) {
  if (demand.check == TlsCheck::kNone) {
    // Its ticket must not look like one of a session that was looked at.
    X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
    return 1;
  }
  const int verdict = X509_verify_cert(chain);
  if (verdict == 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK) return 1;
  fault.error = X509_STORE_CTX_get_error(chain);
  if (fault.error == X509_V_OK) fault.error = X509_V_ERR_UNSPECIFIED;
  X509* about = X509_STORE_CTX_get_current_cert(chain);
  if (about == nullptr) about = X509_STORE_CTX_get0_cert(chain);
  fault.subject = subject_of(about);
  return 0;
}

void describe_peer(X509_STORE_CTX* chain, const SSL* session, const TlsDemand& demand) {
  TlsPeer& peer = *demand.peer;
  peer = {};
  X509* const certificate = X509_STORE_CTX_get0_cert(chain);
  if (certificate == nullptr) return;
  // What is not understood here is no reason for a handshake to fail.
  ERR_set_mark();
  peer.certificates =
      static_cast<uint32_t>(std::max(sk_X509_num(X509_STORE_CTX_get0_untrusted(chain)), 1));
  peer.subject = subject_of(certificate);
  peer.issuer = text_of(X509_get_issuer_name(certificate));
  peer.valid_from = time_of(X509_get0_notBefore(certificate));
  peer.valid_until = time_of(X509_get0_notAfter(certificate));
  describe_names(certificate, peer);
  describe_key(certificate, peer);
  describe_trust(chain, session, peer);
  describe_fits(certificate, demand, peer);
  ERR_pop_to_mark();
}

bool proved(SSL* session, const TlsDemand& demand) {
  if (demand.check == TlsCheck::kNone) return true;
  if (SSL_get_verify_result(session) != X509_V_OK) return false;
  if (SSL_session_reused(session) == 1) return true;
  if (SSL_get0_peer_certificate(session) == nullptr) return false;
  return demand.check != TlsCheck::kDane || SSL_get0_dane_authority(session, nullptr, nullptr) >= 0;
}

TlsFailure failure_of(const TlsDemand& demand, const ChainFault& fault) {
  TlsFailure failure;
  if (fault.error != X509_V_OK) {
    failure.kind = kind_of(fault.error, demand.check);
    failure.text = chain_text(demand, fault);
  } else {
    // The oldest is the cause; what follows is told by those who passed it on.
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    failure.text = reason != nullptr ? reason : "it ended without a reason";
  }
  ERR_clear_error();
  failure.text = escaped(failure.text, kTextMax);
  return failure;
}

}  // namespace sluice
