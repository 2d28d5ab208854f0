// A spool in a temporary directory, with jobs made up file by file: for tests of the commands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record/encoder.h"
#include "engine/record/format.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/segment_writer.h"

namespace sluice::tools {

inline void write_file(const std::string& path, std::string_view text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string text_in(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class TemporarySpool {
 public:
  TemporarySpool()
      : root(::testing::TempDir() + "/sluice-commands-" + std::to_string(::getpid()) + "-" +
             std::to_string(made_++)),
        paths(root + "/spool") {
    for (const std::string& directory :
         {paths.incoming, paths.active, paths.journal, paths.done, paths.failed}) {
      std::filesystem::create_directories(directory);
    }
  }
  ~TemporarySpool() { std::filesystem::remove_all(root); }

  // A segment with the only column "email"; `rows` are numbers of the list and addresses.
  void add_segment(const std::string& directory, SegmentMeta meta,
                   const std::vector<std::pair<uint64_t, std::string>>& rows) {
    SegmentBuilder builder(1, 0, Limits::tiny());
    for (const auto& [number, address] : rows) {
      const size_t at = address.find('@');
      const std::string_view value = address;
      Row row;
      row.number = number;
      row.address = address;
      row.local_part = value.substr(0, at);
      row.domain = value.substr(at + 1);
      row.values = std::span(&value, 1);
      builder.add(row);
    }
    meta.columns = {"email"};
    std::string file;
    builder.finish(meta, file);
    write_file(JobPaths(directory).segment(meta.number), file);
  }

  const std::string root;
  const SpoolPaths paths;

 private:
  static inline int made_ = 0;
};

// A journal file with one frame.
class OneFrameJournal {
 public:
  OneFrameJournal() { encoder_.begin_file(start()); }
  static WallTime start() { return from_unix_seconds(1'700'000'000); }

  void add(const std::string& job, const RowId& row, const Verdict& verdict, uint32_t number) {
    Attempt attempt;
    attempt.number = number;
    attempt.first_at = start();
    attempt.at = start() + std::chrono::seconds(number);
    attempt.next_at = attempt.at + std::chrono::minutes(20);
    attempt.size = 1'000;
    attempt.site = "mx.example.com";
    attempt.exchanger = "mx1.example.com";
    attempt.source = "s1";
    attempt.sender = "bounce@example.org";
    encoder_.verdict(records_, job, row, verdict, attempt);
  }

  std::string file() const {
    std::string file = encode(JournalFileHeader{0, 1, start()});
    std::string header(kFrameHeaderBytes, '\0');
    put_frame_header(header.data(), records_, seed_of(file), file.size());
    return file + header + records_;
  }

 private:
  JournalEncoder encoder_;
  std::string records_;
};

inline Verdict verdict_of(State state, uint16_t code, EnhancedCode enhanced, std::string text) {
  Verdict verdict;
  verdict.state = state;
  verdict.reply = {code, enhanced, std::move(text)};
  verdict.command = "RCPT";
  return verdict;
}

}  // namespace sluice::tools
