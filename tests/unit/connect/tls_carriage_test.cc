#include "engine/connect/tls_carriage.h"

#include <gtest/gtest.h>

#include "tests/unit/connect/tls_pair.h"

namespace sluice {
namespace {

using namespace tls_test;

class TlsCarriageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    carriage_ = std::make_unique<TlsCarriage>(
        factory_->connect(demand_of(TlsCheck::kNone), kExchanger, Instant{}));
    ASSERT_TRUE(shake_hands(carriage_->engine(), server_));
  }
  std::vector<iovec> cut(const std::vector<size_t>& sizes) {
    std::vector<iovec> pieces;
    size_t at = 0;
    for (const size_t size : sizes) {
      pieces.push_back({text_.data() + at, size});
      at += size;
    }
    return pieces;
  }

  Authority authority_;
  Identity identity_ = authority_.server({});
  Context context_ = authority_.context(identity_, {.tickets = false});
  std::unique_ptr<OpenSslFactory> factory_ = authority_.factory();
  Server server_{context_.get()};
  std::unique_ptr<TlsCarriage> carriage_;
  std::string text_ = std::string(1 << 20, 'x');
};

// What is said to have left is what the peer can read at that very octet.
TEST_F(TlsCarriageTest, WhatLeftIsWhatThePeerCanRead) {
  const std::vector<size_t> sizes = {0, 5, 0, 0, 300, 1, 20'000, 16'384, 0, 40'000, 7, 0};
  uint64_t plain = 0;
  for (int round = 0; round < 2; ++round) {
    std::vector<iovec> pieces = cut(sizes);
    const uint64_t before = plain;
    carriage_->begin();
    EXPECT_EQ(carriage_->whole_pieces(), 0U);
    size_t steps = 0;
    while (carriage_->whole_pieces() < sizes.size()) {
      ASSERT_LT(++steps, 100'000U);
      carriage_->fill(pieces);
      const std::string octet(carriage_->engine().outgoing().substr(0, 1));
      (void)server_.exchange(octet);
      plain += carriage_->sent(octet.size());
      ASSERT_EQ(plain, server_.heard().size());
      uint64_t whole = before;
      for (size_t i = 0; i < carriage_->whole_pieces(); ++i) whole += sizes[i];
      ASSERT_LE(whole, plain);
      // No piece that is out is forgotten: it may have been believed.
      size_t next = carriage_->whole_pieces();
      while (next < sizes.size() && sizes[next] == 0) ++next;
      if (next < sizes.size()) {
        ASSERT_GT(whole + sizes[next], plain);
      }
    }
    EXPECT_EQ(plain - before, 76'697U);
  }
}

TEST_F(TlsCarriageTest, ManySmallPiecesShareRecords) {
  std::vector<iovec> pieces = cut(std::vector<size_t>(640, 10));
  carriage_->begin();
  size_t octets = 0;
  while (carriage_->whole_pieces() < pieces.size()) {
    carriage_->fill(pieces);
    const size_t made = carriage_->engine().outgoing().size();
    ASSERT_GT(made, 0U);
    octets += made;
    (void)carriage_->sent(made);
  }
  // Ten records of 64 pieces.
  EXPECT_EQ(octets, 6'400U + 10 * 22);
}

TEST_F(TlsCarriageTest, PullsWhatFitsAndKeepsTheRest) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += std::to_string(i) + "\r\n";
  server_.say(text);
  std::string octets = server_.exchange({});
  std::string heard;
  char out[100];
  while (!octets.empty() || !carriage_->input_empty()) {
    if (carriage_->input_empty()) {
      const size_t step = std::min(octets.size(), carriage_->room().size());
      carriage_->came(std::string_view(octets).substr(0, step));
      octets.erase(0, step);
    }
    heard.append(out, carriage_->pull(out));
  }
  for (size_t got = carriage_->pull(out); got > 0; got = carriage_->pull(out)) {
    heard.append(out, got);
  }
  EXPECT_EQ(heard, text);
}

}  // namespace
}  // namespace sluice
