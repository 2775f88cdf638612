// SPDX-License-Identifier: Apache-2.0
// Where a pickle ends is known when its STOP is read. It is decoded from a window that grows until
// it holds all of it: the work is that of decoding it once and a third.
#include "checkpoint/pickle_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/little_endian.h"
#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint64_t kFirstWindowBytes = 512;
constexpr std::uint64_t kGrowth = 4;

}  // namespace

PickleStream::PickleStream(const io::File& file,
                           std::uint64_t begin_bytes,
                           std::uint64_t end_bytes,
                           CheckGlobal check_global)
    : file_(file),
      at_bytes_(begin_bytes),
      end_bytes_(end_bytes),
      check_global_(std::move(check_global)) {}

Result<OwnedPickle> PickleStream::next(std::string_view what) {
  const std::uint64_t most = std::min(remaining_bytes(), PickleLimits::kMaxBytes);
  for (std::uint64_t window = kFirstWindowBytes;; window *= kGrowth) {
    OwnedPickle read;
    read.bytes.resize(std::min(window, most));
    if (auto done = file_.read_at(at_bytes_, read.bytes); !done) return done.error();
    bool is_cut_short = false;
    auto pickle = decode_pickle(read.bytes, check_global_, &is_cut_short);
    if (pickle) {
      read.pickle = *std::move(pickle);
      at_bytes_ += read.pickle.bytes.size();
      return read;
    }
    if (is_cut_short && window < most) continue;
    const auto in_place = [&](ErrorCode code, std::string_view message) {
      return Error(code, concat(file_.path(), ": ", what, ": ", message));
    };
    if (is_cut_short && most < remaining_bytes()) {
      return in_place(ErrorCode::kUnsupported, concat("a pickle of more than ", most, " bytes"));
    }
    return in_place(pickle.error().code(), pickle.error().message());
  }
}

Result<std::int64_t> PickleStream::number(std::string_view what) {
  std::array<std::byte, sizeof(std::int64_t)> bytes{};
  const auto offset = skip(bytes.size(), what);
  if (!offset) return offset.error();
  if (auto done = file_.read_at(*offset, bytes); !done) return done.error();
  return load_little<std::int64_t>(bytes, 0);
}

Result<std::uint64_t> PickleStream::skip(std::uint64_t size_bytes, std::string_view what) {
  if (size_bytes > remaining_bytes()) return cut_short(size_bytes, what);
  const std::uint64_t offset = at_bytes_;
  at_bytes_ += size_bytes;
  return offset;
}

Error PickleStream::cut_short(std::uint64_t size_bytes, std::string_view what) const {
  const auto needed = checked_add(at_bytes_, size_bytes);
  return {ErrorCode::kCorrupt,
          concat(file_.path(), ": the file is cut short: it has ", file_.size_bytes(), " bytes, ",
                 what, " goes to byte ", needed ? concat(*needed) : "2^64")};
}

}  // namespace weightmap::checkpoint
