// A verifier of DKIM signatures written for tests, after RFC 6376 and line by line: slow, and
// sharing no code with what it checks but OpenSSL.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/compose/dkim_key.h"
#include "engine/compose/message_buffer.h"

namespace sluice::testing {

inline std::string all_octets(const MessageBuffer& buffer) {
  std::string out;
  for (const iovec& piece : buffer.pieces()) {
    out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return out;
}

// What the receiver has once the transport's dots are gone.
inline std::string unstuffed(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find("\r\n", at);
    end = end == std::string::npos ? text.size() : end + 2;
    out += text.substr(at + (text[at] == '.' ? 1 : 0), end - at - (text[at] == '.' ? 1 : 0));
    at = end;
  }
  return out;
}

inline std::string join_blanks(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank) out += c;
    if (blank && (out.empty() || out.back() != ' ')) out += ' ';
  }
  return out;
}

inline std::string plain_relaxed_body(const std::string& body) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\r\n", at);
    std::string line = join_blanks(body.substr(at, end - at));
    if (!line.empty() && line.back() == ' ') line.pop_back();
    lines.push_back(line);
    at = end == std::string::npos ? body.size() : end + 2;
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::string out;
  for (const std::string& line : lines) out += line + "\r\n";
  return out;
}

inline std::string plain_relaxed_field(const std::string& field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\r' && field[i] != '\n') text += field[i];
  }
  const size_t colon = text.find(':');
  std::string name = join_blanks(text.substr(0, colon));
  if (!name.empty() && name.back() == ' ') name.pop_back();
  std::string value = join_blanks(text.substr(colon + 1));
  if (!value.empty() && value.front() == ' ') value.erase(0, 1);
  if (!value.empty() && value.back() == ' ') value.pop_back();
  return to_lower(name) + ":" + value;
}

inline std::vector<std::string> fields_of(const std::string& headers) {
  std::vector<std::string> out;
  for (size_t at = 0; at < headers.size();) {
    size_t end = at;
    do {
      end = headers.find("\r\n", end);
      end = end == std::string::npos ? headers.size() : end + 2;
    } while (end < headers.size() && (headers[end] == ' ' || headers[end] == '\t'));
    out.push_back(headers.substr(at, end - at));
    at = end;
  }
  return out;
}

inline std::map<std::string, std::string> tags_of(const std::string& field) {
  std::map<std::string, std::string> out;
  std::string text;
  for (const char c : field.substr(field.find(':') + 1)) {
    if (!is_space(c)) text += c;
  }
  for (const std::string_view tag : split(text, ';')) {
    const size_t equals = tag.find('=');
    if (equals != std::string_view::npos) {
      out[std::string(tag.substr(0, equals))] = std::string(tag.substr(equals + 1));
    }
  }
  return out;
}

inline std::string from_base64(const std::string& text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return {};
  size_t padding = 0;
  while (padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<size_t>(length) - padding);
  return out;
}

inline std::string sha256_text(const std::string& octets) {
  const Sha256 digest = sha256(octets);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

struct Signature {
  std::map<std::string, std::string> tags;
  std::string why;  // empty: it is good
};

// All signatures of a message (no transport dots), each checked with the public half of the key
// whose selector it names.
inline std::vector<Signature> verify(const std::string& message,
                                     const std::vector<DkimKeyPtr>& keys) {
  const size_t end = message.find("\r\n\r\n");
  const std::vector<std::string> fields = fields_of(message.substr(0, end + 2));
  const std::string body = end == std::string::npos ? "" : message.substr(end + 4);
  std::vector<Signature> out;
  for (const std::string& field : fields) {
    if (field.substr(0, 15) != "DKIM-Signature:") continue;
    Signature one{tags_of(field), "no key"};
    if (from_base64(one.tags["bh"]) != sha256_text(plain_relaxed_body(body))) {
      one.why = "body hash";
      out.push_back(one);
      continue;
    }
    std::map<std::string, size_t> used;
    std::string signed_text;
    for (const std::string_view name : split(one.tags["h"], ':')) {
      std::vector<std::string> of_name;
      for (const std::string& each : fields) {
        const std::string text = plain_relaxed_field(each);
        if (text.substr(0, text.find(':')) == to_lower(name)) of_name.push_back(text);
      }
      const size_t number = ++used[to_lower(name)];
      if (number <= of_name.size()) signed_text += of_name[of_name.size() - number] + "\r\n";
    }
    std::string own = plain_relaxed_field(field);
    own.resize(own.rfind("b=") + 2);
    signed_text += own;
    const std::string digest = sha256_text(signed_text);
    const std::string raw = from_base64(one.tags["b"]);
    const auto* octets = reinterpret_cast<const unsigned char*>(raw.data());
    for (const DkimKeyPtr& key : keys) {
      if (key->entry().selector != one.tags["s"]) continue;
      const bool rsa = key->algorithm() == DkimAlgorithm::kRsaSha256;
      const std::string& subject = rsa ? signed_text : digest;
      EVP_MD_CTX* context = EVP_MD_CTX_new();
      EVP_DigestVerifyInit(context, nullptr, rsa ? EVP_sha256() : nullptr, nullptr, key->get());
      const bool good = EVP_DigestVerify(context, octets, raw.size(),
                                         reinterpret_cast<const unsigned char*>(subject.data()),
                                         subject.size()) == 1;
      EVP_MD_CTX_free(context);
      one.why = good ? "" : "signature";
    }
    out.push_back(one);
  }
  return out;
}

// A new key, as sluice dkim-key makes it.
inline DkimKeyPtr new_key(const std::string& domain, const std::string& selector,
                          DkimAlgorithm algorithm, int bits = 1'024) {
  const StatusOr<std::string> pem = generate_dkim_key(algorithm, bits);
  EXPECT_TRUE(pem.ok());
  DkimEntry entry;
  entry.domain = domain;
  entry.selector = selector;
  entry.key = selector + ".pem";
  auto key = DkimKey::parse(entry, *pem);
  EXPECT_TRUE(key.ok()) << key.status();
  return *key;
}

}  // namespace sluice::testing
