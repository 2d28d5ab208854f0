#include "tools/sink/store.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace sluice::sink {

Status Store::prepare(const std::string& directory) {
  for (const char* part : {"", "/tmp", "/new"}) {
    std::error_code error;
    std::filesystem::create_directories(directory + part, error);
    if (error) return cannot_create("cannot make " + directory + part + ": " + error.message());
  }
  return absl::OkStatus();
}

Status Store::write(const Message& message) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string name =
      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now).count()) + "." +
      std::to_string(worker_) + "_" + std::to_string(++number_) + ".sink";
  const std::string temporary = directory_ + "/tmp/" + name;
  std::ofstream out(temporary, std::ios::binary);
  out << "X-Envelope-From: <" << message.sender << ">\r\n";
  for (uint32_t i = 0; i < message.recipient_count; ++i) {
    out << "X-Envelope-To: <" << message.recipients[i] << ">\r\n";
  }
  out << message.content;
  out.close();
  if (!out) return io_error("cannot write " + temporary);
  std::error_code error;
  std::filesystem::rename(temporary, directory_ + "/new/" + name, error);
  if (error) return io_error("cannot rename " + temporary + ": " + error.message());
  return absl::OkStatus();
}

}  // namespace sluice::sink
