// Any job.toml is taken or refused with a place and a reason; what is taken holds nothing that
// could leave the job's folder or break a header.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "tests/fuzz/config_errors.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

void check_file(std::string_view path) {
  CHECK(!path.starts_with('/') && !path.ends_with('/'));
  for (const std::string_view part : split(path, '/')) CHECK(part != "..");
}

void check_text(std::string_view text) {
  for (const char c : text) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  CHECK(is_utf8(text));
}

void check_job(const JobSpec& job) {
  CHECK(is_plain_name(job.name) && is_plain_name(job.send.pool));
  for (const std::string& text :
       {job.from, job.subject, job.reply_to, job.envelope_sender, job.message.text,
        job.message.html, job.message.eml, job.list.file, job.list.address}) {
    check_text(text);
  }
  CHECK(!job.from.empty() && !job.list.file.empty() && !job.list.address.empty());
  CHECK(job.message.eml.empty() == !(job.message.text.empty() && job.message.html.empty()));
  CHECK(!job.subject.empty() || !job.message.eml.empty());
  for (const std::string& file :
       {job.message.text, job.message.html, job.message.eml, job.list.file}) {
    check_file(file);
  }
  for (const auto& [name, value] : job.headers) {
    check_text(value);
    CHECK(!name.empty());
    for (const char c : name) CHECK(c > ' ' && c < 0x7F && c != ':');
  }
  CHECK(job.send.priority <= 9 && job.send.lifetime > Duration::zero());
  if (job.send.rate) check_rate(*job.send.rate);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  const StatusOr<JobSpec> job = parse_job(input.rest(), "job.toml");
  if (!job.ok()) {
    CHECK(absl::IsInvalidArgument(job.status()) || absl::IsUnimplemented(job.status()));
    fuzz::check_error(message_of(job.status()), {"job.toml"});
    return 0;
  }
  fuzz::check_job(*job);
  return 0;
}
