// SPDX-License-Identifier: Apache-2.0
#include "support/one_byte_changes.h"

#include <fcntl.h>
#include <initializer_list>
#include <stdexcept>
#include <string_view>
#include <unistd.h>

#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "support/checkpoint_check.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::tests {
namespace {

// A file of which one byte changes at a time, in its place: writing all of it anew costs more than
// opening it.
class Target {
 public:
  explicit Target(const std::string& bytes) {
    write_file(path(), bytes);
    descriptor_ = ::open(path().c_str(), O_WRONLY | O_CLOEXEC);
  }
  ~Target() { ::close(descriptor_); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  std::string path() const { return directory_ / "model.pt"; }
  void put(std::size_t at, char byte) const {
    if (::pwrite(descriptor_, &byte, 1, static_cast<off_t>(at)) != 1) {
      throw std::runtime_error("cannot write " + path());
    }
  }

 private:
  TempDir directory_;
  int descriptor_ = -1;
};

// Inside of many zeros one says what most of them do.
bool is_passed_over(const std::string& bytes, std::size_t at) {
  constexpr std::size_t kAround = 8;
  const std::size_t begin = at < kAround ? 0 : at - kAround;
  const std::string_view around = std::string_view(bytes).substr(begin, 2 * kAround + 1);
  return at % 64 != 0 && around.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

OneByteChanges open_with_each_byte_changed(const std::string& good) {
  const Target target(good);
  OneByteChanges seen;
  for (std::size_t at = 0; at < good.size(); ++at) {
    if (is_passed_over(good, at)) continue;
    const auto old = static_cast<unsigned char>(good[at]);
    for (const int value : {0, 1, 0x7F, 0x80, 0xFF, old ^ 1, old ^ 2, old ^ 0x80, old + 1}) {
      target.put(at, static_cast<char>(value));
      const auto found = checkpoint::open_checkpoint(target.path(), {});
      ++(found ? seen.read : seen.refused);
      if (!found || !seen.broken.empty()) continue;
      const std::string broken = broken_promise(*found);
      if (!broken.empty()) seen.broken = concat("byte ", at, " set to ", value, ": ", broken);
    }
    target.put(at, good[at]);
  }
  return seen;
}

}  // namespace weightmap::tests
