// `sluice spool-cat`: segments in words, or as JSON lines.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/segment_file.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPrintedAtOnce = 256UL << 10;

struct SpoolCatOptions {
  PlaceOptions places;
  std::string what;
  bool no_rows = false;
  bool json = false;
};

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string meta_words(const SegmentFile& file) {
  const SegmentIndex& index = file.index();
  const SegmentMeta& meta = index.meta();
  std::string out = file.name() + ": segment " + std::to_string(meta.number) + " of job " +
                    escaped(meta.job) + ", " + grouped(file.bytes()) + " octets\n";
  out += "  list rows " + std::to_string(meta.row_begin) + " to " +
         std::to_string(meta.row_end - 1) + ": " + grouped(index.row_count()) + " kept, " +
         grouped(meta.rejected) + " rejected, " + grouped(meta.suppressed) + " suppressed, " +
         grouped(meta.duplicate) + " duplicate\n";
  out += "  the list goes on at line " + std::to_string(meta.resume_line) + ", octet " +
         std::to_string(meta.resume_offset) + "\n  template " + to_hex(meta.template_hash) + "\n";
  out += "  columns";
  for (size_t i = 0; i < meta.columns.size(); ++i) {
    out += (i > 0 ? ", " : " ") + escaped(meta.columns[i]);
    if (i == meta.address_column) out += " (address)";
  }
  return out + "\n  " + grouped(index.domain_count()) + " domains, " +
         grouped(index.block_count()) + " blocks\n";
}

Json meta_json(const SegmentFile& file) {
  const SegmentIndex& index = file.index();
  const SegmentMeta& meta = index.meta();
  Json json;
  json["type"] = "segment";
  json["file"] = file.name();
  json["bytes"] = file.bytes();
  json["job"] = meta.job;
  json["segment"] = meta.number;
  json["row_begin"] = meta.row_begin;
  json["row_end"] = meta.row_end;
  json["rows"] = index.row_count();
  json["rejected"] = meta.rejected;
  json["suppressed"] = meta.suppressed;
  json["duplicate"] = meta.duplicate;
  json["resume_line"] = meta.resume_line;
  json["resume_offset"] = meta.resume_offset;
  json["template"] = to_hex(meta.template_hash);
  json["columns"] = meta.columns;
  json["address_column"] = meta.address_column;
  json["domains"] = index.domain_count();
  json["blocks"] = index.block_count();
  return json;
}

std::string domain_line(const SegmentIndex& index, uint32_t domain, bool json) {
  const SegmentRow first = index.first_row_of(domain);
  const SegmentRow last = index.last_row_of(domain);
  const SegmentIndex::BlockRange blocks = index.blocks_of(domain);
  if (json) {
    Json line;
    line["type"] = "domain";
    line["segment"] = index.meta().number;
    line["domain"] = std::string(index.domain(domain));
    line["first_segment_row"] = first;
    line["rows"] = last - first;
    line["blocks"] = blocks.last - blocks.first;
    return line_of(line);
  }
  return "  " + escaped(index.domain(domain)) + ": " + grouped(last - first) + " rows from " +
         std::to_string(first) + ", " + grouped(blocks.last - blocks.first) + " blocks\n";
}

std::string row_line(const SegmentMeta& meta, SegmentRow at, const Row& row, bool json) {
  if (json) {
    Json line;
    line["type"] = "row";
    line["segment"] = meta.number;
    line["segment_row"] = at;
    line["row"] = row.number;
    line["address"] = std::string(row.address);
    line["smtputf8"] = row.needs_smtputf8;
    Json values = Json::object();
    for (size_t i = 0; i < row.values.size() && i < meta.columns.size(); ++i) {
      values[meta.columns[i]] = std::string(row.values[i]);
    }
    line["values"] = std::move(values);
    return line_of(line);
  }
  std::string out = "    " + std::to_string(at) + "  row " + std::to_string(row.number) + "  " +
                    escaped(row.address);
  for (size_t i = 0; i < row.values.size() && i < meta.columns.size(); ++i) {
    if (i == meta.address_column && row.values[i] == row.address) continue;
    out += "  " + escaped(meta.columns[i]) + "=\"" + escaped(row.values[i]) + "\"";
  }
  return out + "\n";
}

// What was gathered, as soon as it is much.
Status print_some(std::string& out) {
  if (out.size() < kPrintedAtOnce) return {};
  const Status status = print(out);
  out.clear();
  return status;
}

Status print_rows(SegmentFile& file, uint32_t domain, bool json, std::string& out) {
  const SegmentIndex& index = file.index();
  const SegmentIndex::BlockRange blocks = index.blocks_of(domain);
  BlockReader reader;
  Row row;
  for (uint32_t block = blocks.first; block < blocks.last; ++block) {
    RETURN_IF_ERROR(file.open_block(block, reader));
    for (SegmentRow at = reader.position(); reader.next(row); at = reader.position()) {
      out += row_line(index.meta(), at, row, json);
      RETURN_IF_ERROR(print_some(out));
    }
    RETURN_IF_ERROR(file.in_block(reader.status(), block));
  }
  return {};
}

// All that can be read is printed; the first thing that cannot is returned.
Status print_segment(int descriptor, const std::string& name, const SpoolCatOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SegmentFile> file, SegmentFile::open(descriptor, name));
  std::string out = options.json ? line_of(meta_json(*file)) : meta_words(*file);
  Status status;
  for (uint32_t domain = 0; domain < file->index().domain_count(); ++domain) {
    out += domain_line(file->index(), domain, options.json);
    if (!options.no_rows) status.Update(print_rows(*file, domain, options.json, out));
    RETURN_IF_ERROR(print_some(out));
  }
  RETURN_IF_ERROR(print(out));
  return status;
}

Status print_segments(const OpenDirectory& job, const std::string& path,
                      const SpoolCatOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, job.list("segments"));
  Status status;
  uint32_t found = 0;
  for (const std::string& name : names) {
    if (!parse_segment_name(name)) continue;
    ++found;
    const StatusOr<int> descriptor = job.open_file("segments/" + name);
    Status printed = descriptor.status();
    if (printed.ok()) printed = print_segment(*descriptor, "segments/" + name, options);
    if (!printed.ok()) report_error(printed);
    status.Update(printed);
  }
  if (found == 0) std::fprintf(stderr, "sluice: %s has no segments yet\n", path.c_str());
  return status;
}

int spool_cat(const SpoolCatOptions& options) {
  const std::string& what = options.what;
  struct stat there {};
  const bool exists = ::stat(what.c_str(), &there) == 0;
  if (exists && !S_ISDIR(there.st_mode)) {
    const int descriptor = ::open(what.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      return report_error(io_error("cannot open " + what + ": " + std::strerror(errno)));
    }
    const Status status = print_segment(descriptor, what, options);
    return status.ok() ? int{kDone} : report_error(status);
  }
  if (exists && what.find('/') != std::string::npos) {
    const StatusOr<OpenDirectory> directory = OpenDirectory::open(what);
    if (!directory.ok()) return report_error(directory.status());
    return exit_code_of(print_segments(*directory, what, options));
  }
  const StatusOr<Places> places = find_places(options.places);
  if (!places.ok()) return report_error(places.status());
  const SpoolPaths spool(places->spool);
  const StatusOr<FoundJob> job = find_job(spool, what);
  if (!job.ok()) return report_error(job.status());
  const StatusOr<OpenDirectory> directory = open_job(spool, *job);
  if (!directory.ok()) return report_error(directory.status());
  return exit_code_of(print_segments(*directory, job->id, options));
}

}  // namespace

void add_spool_cat(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SpoolCatOptions>();
  CLI::App* command = app.add_subcommand("spool-cat", "Show the segments of a job in words");
  command
      ->add_option("what", options->what,
                   "A segment's file, a job's directory, a job's id or its name")
      ->required();
  options->places.add_to(*command, /*with_socket=*/false);
  command->add_flag("--no-rows", options->no_rows, "Only the segments and their domains");
  command->add_flag("--json", options->json, "JSON lines: objects of type segment, domain and row");
  command->footer(
      "A damaged segment is shown as far as it can be read; the exit code is then 74.\n"
      "Example: sluice spool-cat july-news --json | jq -r 'select(.type == \"row\").address'");
  command->callback([options, &exit_code] { exit_code = spool_cat(*options); });
}

}  // namespace sluice::tools
