#include "engine/compose/attachment.h"

#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/compose/fields.h"

namespace sluice {
namespace {

constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"css", "text/css"},
    {"csv", "text/csv"},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"epub", "application/epub+zip"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html"},
    {"html", "text/html"},
    {"ics", "text/calendar"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"json", "application/json"},
    {"md", "text/markdown"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"txt", "text/plain"},
    {"vcf", "text/vcard"},
    {"webp", "image/webp"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"zip", "application/zip"},
};

// Of a file name's piece: a line " filename*12*=utf-8''PIECE;" stays below 78.
constexpr size_t kPieceMax = 50;

bool is_plain(std::string_view name) {
  return name.size() <= kPieceMax && std::all_of(name.begin(), name.end(), [](char c) {
           return c >= ' ' && c <= '~' && c != '"' && c != '\\';
         });
}

}  // namespace

std::string_view file_name_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string content_type_of(std::string_view file_name, std::string_view contents) {
  const size_t dot = file_name.rfind('.');
  if (dot == std::string_view::npos) return "application/octet-stream";
  const std::string extension = to_lower(file_name.substr(dot + 1));
  for (const auto& [known, type] : kTypes) {
    if (known != extension) continue;
    const bool is_text = type.substr(0, 5) == "text/";
    return std::string(type) + (is_text && is_utf8(contents) ? "; charset=utf-8" : "");
  }
  return "application/octet-stream";
}

std::string disposition_header(std::string_view disposition, std::string_view file_name) {
  std::string out = "Content-Disposition: " + std::string(disposition) + ";";
  if (is_plain(file_name)) return out + "\r\n filename=\"" + std::string(file_name) + "\"\r\n";
  std::string encoded;
  append_percent_encoded(encoded, file_name);
  if (encoded.size() <= kPieceMax) return out + "\r\n filename*=utf-8''" + encoded + "\r\n";
  std::string_view rest = encoded;
  for (size_t piece = 0; !rest.empty(); ++piece) {
    size_t length = std::min(kPieceMax, rest.size());
    // No "%XX" is split.
    const size_t percent = rest.substr(0, length).rfind('%');
    if (length < rest.size() && percent != std::string_view::npos && length - percent < 3) {
      length = percent;
    }
    if (piece > 0) out += ';';
    out += "\r\n filename*" + std::to_string(piece) + "*=";
    if (piece == 0) out += "utf-8''";
    out += rest.substr(0, length);
    rest.remove_prefix(length);
  }
  return out + "\r\n";
}

bool is_content_id(std::string_view file_name) {
  return !file_name.empty() && file_name.size() <= 200 &&
         std::all_of(file_name.begin(), file_name.end(), [](char c) {
           const char lower = ascii_lower(c);
           return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '.' || c == '_' ||
                  c == '-' || c == '@' || c == '+';
         });
}

size_t find_content_id(std::string_view html, std::string_view file_name) {
  const std::string wanted = "cid:" + std::string(file_name);
  for (size_t at = html.find(wanted); at != std::string_view::npos;
       at = html.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    if (end == html.size() || !is_content_id(html.substr(end, 1))) return at;
  }
  return std::string_view::npos;
}

}  // namespace sluice
