#include "engine/compose/dkim_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "tests/unit/compose/dkim_verify.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::new_key;
using ::testing::Not;
using ::testing::StartsWith;

enum class Form { kPkcs8, kTraditional, kEncrypted, kPublic };

std::string pem_of(EVP_PKEY* key, Form form) {
  BIO* bio = BIO_new(BIO_s_mem());
  unsigned char password[] = "secret";
  switch (form) {
    case Form::kPkcs8:
      PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
      break;
    case Form::kTraditional:
      PEM_write_bio_PrivateKey_traditional(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
      break;
    case Form::kEncrypted:
      PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(), password, 6, nullptr, nullptr);
      break;
    case Form::kPublic:
      PEM_write_bio_PUBKEY(bio, key);
      break;
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<size_t>(length));
  BIO_free(bio);
  EVP_PKEY_free(key);
  return out;
}

EVP_PKEY* rsa(size_t bits) { return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits); }

StatusOr<DkimKeyPtr> parse(const std::string& pem) {
  DkimEntry entry;
  entry.domain = "example.com";
  entry.selector = "s";
  entry.key = "/keys/s.pem";
  return DkimKey::parse(entry, pem);
}

std::string mistake(const std::string& pem) {
  const auto key = parse(pem);
  EXPECT_EQ(key.status().code(), absl::StatusCode::kFailedPrecondition);
  return key.ok() ? "none" : message_of(key.status());
}

TEST(DkimKey, ReadsBothFormsOfRsaAndEd25519) {
  for (const Form form : {Form::kPkcs8, Form::kTraditional}) {
    const auto key = parse(pem_of(rsa(1'024), form));
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ((*key)->algorithm(), DkimAlgorithm::kRsaSha256);
    EXPECT_EQ((*key)->signature_bytes(), 128U);
    EXPECT_THAT((*key)->record(), StartsWith("v=DKIM1; k=rsa; p=MIGf"));
  }
  const auto key = parse(pem_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), Form::kPkcs8));
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ((*key)->algorithm(), DkimAlgorithm::kEd25519Sha256);
  EXPECT_THAT((*key)->record(), StartsWith("v=DKIM1; k=ed25519; p="));
  EXPECT_EQ((*key)->record().size(), std::string("v=DKIM1; k=ed25519; p=").size() + 44);
}

TEST(DkimKey, TheExampleOfRfc8463HasItsRecord) {
  // The private key of §A.2 in PKCS#8.
  const auto key = parse(
      "-----BEGIN PRIVATE KEY-----\n"
      "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
      "-----END PRIVATE KEY-----\n");
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ((*key)->record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

TEST(DkimKey, RefusesWhatDoesNotSignMail) {
  EXPECT_THAT(mistake(pem_of(rsa(768), Form::kPkcs8)),
              AllOf(StartsWith("/keys/s.pem is an RSA key of 768 bits"), HasSubstr("dkim-key")));
  EXPECT_THAT(mistake(pem_of(rsa(1'024), Form::kEncrypted)), HasSubstr("is encrypted"));
  EXPECT_THAT(mistake(pem_of(rsa(1'024), Form::kPublic)), HasSubstr("public key"));
  EXPECT_THAT(mistake(pem_of(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), Form::kPkcs8)),
              HasSubstr("type EC"));
  EXPECT_THAT(mistake(""), HasSubstr("no private key"));
  std::string cut = pem_of(rsa(1'024), Form::kPkcs8);
  cut[cut.size() / 2] = '!';
  EXPECT_THAT(mistake(cut), AllOf(HasSubstr("no private key"), Not(HasSubstr("MII"))));
}

TEST(DkimKeys, TheNearestDomainSigns) {
  DkimKeys keys;
  const auto parent = new_key("example.com", "p", DkimAlgorithm::kEd25519Sha256);
  const auto second = new_key("example.com", "q", DkimAlgorithm::kEd25519Sha256);
  const auto child = new_key("news.example.com", "c", DkimAlgorithm::kEd25519Sha256);
  keys.add(parent);
  keys.add(child);
  keys.add(second);
  EXPECT_EQ(keys.size(), 3U);
  const auto selectors = [&keys](std::string_view domain) {
    std::string out;
    const auto* found = keys.find(domain);
    if (found == nullptr) return std::string("none");
    for (const DkimKeyPtr& key : *found) out += key->entry().selector;
    return out;
  };
  EXPECT_EQ(selectors("example.com"), "pq");
  EXPECT_EQ(selectors("news.example.com"), "c");
  EXPECT_EQ(selectors("a.b.news.example.com"), "c");
  EXPECT_EQ(selectors("shop.example.com"), "pq");
  EXPECT_EQ(selectors("example.org"), "none");
  EXPECT_EQ(selectors("notexample.com"), "none");
  EXPECT_EQ(selectors("com"), "none");
  EXPECT_EQ(selectors(""), "none");
}

}  // namespace
}  // namespace sluice
