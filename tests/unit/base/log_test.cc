#include "engine/base/log.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string& last_line() {
  static std::string line;
  return line;
}

TEST(Log, WhatAReceiverSaysStaysOneLine) {
  set_log_sink([](LogLevel, const std::string& line) { last_line() = line; }, LogLevel::kInfo);
  log(LogLevel::kWarning, "mx said: go\naway \x1b[2J\x7f, f\xC3\xBCr immer");
  EXPECT_EQ(last_line(), "mx said: go\\x0aaway \\x1b[2J\\x7f, f\xC3\xBCr immer");
  log(LogLevel::kDebug, "not wanted");
  EXPECT_NE(last_line(), "not wanted");
  set_log_sink(nullptr, LogLevel::kWarning);
}

}  // namespace
}  // namespace sluice
