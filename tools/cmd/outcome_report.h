// The report of a job: rows as CSV or JSON lines, or a summary.
//
// Pure but for what visit_rows() reads. What receivers said is escaped; CSV is RFC 4180 with CRLF.
// Limits: the summary knows kRepliesMax different replies and as many sites; further ones are
// counted together.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/progress.h"
#include "engine/model/state.h"
#include "tools/cmd/job_rows.h"

namespace sluice::tools {

inline constexpr std::string_view kReportHeader =
    "row,recipient,state,code,enhanced,response,exchanger,source,attempts,first,last\r\n";

// Each appends one line.
void append_csv_row(std::string& out, const ReportRow& row);
void append_json_row(std::string& out, const ReportRow& row);

class ReportSummary {
 public:
  static constexpr size_t kRepliesMax = 10'000;
  static constexpr size_t kShown = 10;

  // States to tell of; all false: all ten.
  using Only = std::array<bool, kStates>;
  ReportSummary(std::string job, std::string name, Only only);

  void add(const ReportRow& row);

  // `counts` as visit_rows() gave them.
  std::string text(const Counts& counts) const;
  std::string json(const Counts& counts) const;

 private:
  struct ReplyCount {
    std::string shown;
    State state = State::kBounced;
    int64_t rows = 0;
  };
  bool shows(State state) const;
  void count_reply(const Outcome& outcome);
  std::vector<ReplyCount> top_replies() const;
  std::vector<std::pair<std::string, Counts>> top_sites() const;
  std::string state_table(const Counts& counts) const;

  const std::string job_;
  const std::string name_;
  Only only_;
  // By state, code and text without what differs from reply to reply.
  std::map<std::string, ReplyCount> replies_;
  int64_t other_replies_ = 0;
  std::map<std::string, Counts, std::less<>> sites_;
  Counts other_sites_;
};

}  // namespace sluice::tools
