// For tests of what reads and writes files: a directory of its own, and a loop on a real ring.
//
// Made for each test and removed after it. What holds on to the loop is reset in the test's own
// TearDown(), before this one's.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/ring/executor.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/ring/uring_io.h"

namespace sluice {

class LoopDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-unit-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    auto io = UringIo::create({.operations_max = 64, .seed = 1});
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(*io_, LoopOptions{});
    scope_ = std::make_unique<Executor::Scope>(loop_->executor());
  }
  void TearDown() override {
    scope_.reset();
    loop_.reset();
    std::filesystem::remove_all(root_);
  }

  // Runs the task to its end.
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> out;
    Gate gate;
    gate.spawn(await_into(std::move(task), out));
    while (!out) loop_->turn();
    loop_->turn(loop_->now());
    return std::move(*out);
  }

  std::string root_;
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Executor::Scope> scope_;

 private:
  template <typename T>
  static Task<> await_into(Task<T> task, std::optional<T>& out) {
    T value = co_await std::move(task);
    out.emplace(std::move(value));
  }
};

}  // namespace sluice
