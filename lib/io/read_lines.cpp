// SPDX-License-Identifier: Apache-2.0
#include "io/read_lines.h"

#include <cerrno>
#include <fcntl.h>
#include <vector>

#include "io/descriptor.h"
#include "io/system.h"

namespace weightmap::io {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{64} << 10U;

// Returns how much of the text they were.
std::size_t tell_whole_lines(std::string_view text,
                             const std::function<void(std::string_view line)>& look) {
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    look(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return begin;
}

}  // namespace

int read_lines(int directory,
               const std::string& name,
               const std::function<void(std::string_view line)>& look) {
  const Descriptor opened(uninterrupted([&] {
    return system_calls().open_at(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  }));
  if (!opened) return errno;
  std::vector<char> piece(kPieceBytes);
  std::string text;  // not told yet
  for (off_t offset = 0;;) {
    const ssize_t got = uninterrupted(
        [&] { return system_calls().pread(opened.get(), piece.data(), piece.size(), offset); });
    if (got < 0) return errno;
    if (got == 0) break;
    offset += got;
    text.append(piece.data(), static_cast<std::size_t>(got));
    text.erase(0, tell_whole_lines(text, look));
  }
  if (!text.empty()) look(text);
  return 0;
}

}  // namespace weightmap::io
