// SPDX-License-Identifier: Apache-2.0
#include "io/file_part.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/text.h"

namespace weightmap::io {
namespace {

constexpr std::size_t kWindowBytes = SharedWindows::kWindowBytes;
static_assert(kWindowBytes == WriteBehind::kBufferBytes);

// Of a part: less is soon brought to the disk at the end.
constexpr std::uint64_t kWritebackBytes = 8U << 20U;

}  // namespace

FilePart::FilePart(const std::string& target,
                   const StagedOutput& output,
                   SharedWindows& windows,
                   Range range,
                   WriteBehind::Options options)
    : target_(target),
      output_(output),
      windows_(windows),
      range_(range),
      sync_(options.sync),
      behind_(output, options),
      staged_begin_(range.begin) {}

Error FilePart::wrong_call(std::string_view what) const {
  return {ErrorCode::kInvalidArgument, concat(target_, ": ", what)};
}

Result<void> FilePart::check_fits(std::uint64_t more) const {
  if (range_fits(position(), more, range_.end)) return {};
  return wrong_call(
      concat(more, " bytes at ", position(), " do not fit into ", range_.end, " bytes"));
}

std::size_t FilePart::left_in_window() const {
  return kWindowBytes - position() % kWindowBytes;
}

// A window of this part alone goes its way behind the caller; what it shares, by the windows.
Result<void> FilePart::put_staged() {
  if (staged_bytes_ == 0) return {};
  const std::size_t size = std::exchange(staged_bytes_, 0);
  const std::uint64_t offset = std::exchange(staged_begin_, staged_begin_ + size);
  const bool is_whole = offset % kWindowBytes == 0 && windows_.end_of(offset) == offset + size;
  return is_whole ? behind_.put(offset, size) : windows_.add(offset, behind_.buffer().first(size));
}

Result<void> FilePart::take_staged(std::size_t more) {
  const bool ends_window = more == left_in_window();
  staged_bytes_ += more;
  return ends_window ? put_staged() : Result<void>();
}

std::span<std::byte> FilePart::room(std::uint64_t size) {
  const auto available = std::min<std::uint64_t>(size, left_in_window());
  return behind_.buffer().subspan(staged_bytes_, static_cast<std::size_t>(available));
}

Result<void> FilePart::advance(std::size_t filled_bytes) {
  if (filled_bytes > left_in_window()) return wrong_call("more filled than there was room");
  Result<void> fits = check_fits(filled_bytes);
  return fits ? take_staged(filled_bytes) : fits;
}

Result<void> FilePart::write(std::span<const std::byte> bytes) {
  Result<void> done = check_fits(bytes.size());
  while (done && !bytes.empty()) {
    const std::span<std::byte> into = room(bytes.size());
    std::memcpy(into.data(), bytes.data(), into.size());
    done = take_staged(into.size());
    bytes = bytes.subspan(into.size());
  }
  return done;
}

Result<void> FilePart::pad_to(std::uint64_t offset) {
  if (offset < position()) return wrong_call("cannot pad backwards");
  Result<void> done = check_fits(offset - position());
  while (done && position() < offset) {
    const std::span<std::byte> into = room(offset - position());
    std::memset(into.data(), 0, into.size());
    done = take_staged(into.size());
  }
  return done;
}

Result<void> FilePart::rewrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (offset < range_.begin || !range_fits(offset, bytes.size(), position())) {
    return wrong_call(concat("cannot overwrite ", bytes.size(), " bytes at ", offset, ", only ",
                             position(), " are written"));
  }
  if (offset < staged_begin_) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), staged_begin_ - offset));
    Result<void> written = behind_.drain();
    if (written) written = output_.write_at(offset, bytes.first(size));
    if (!written) return written;
    offset += size;
    bytes = bytes.subspan(size);
  }
  if (!bytes.empty()) {
    std::memcpy(behind_.buffer().data() + (offset - staged_begin_), bytes.data(), bytes.size());
  }
  return {};
}

Result<void> FilePart::flush() {
  Result<void> put = put_staged();
  return put ? behind_.drain() : put;
}

Result<void> FilePart::finish() {
  if (position() != range_.end) {
    return wrong_call(concat("is not complete, ", position(), " of ", range_.end, " bytes"));
  }
  Result<void> flushed = flush();
  const std::uint64_t size = range_.end - range_.begin;
  if (flushed && sync_ && size >= kWritebackBytes) output_.start_writeback(range_.begin, size);
  if (flushed) windows_.add_finished(size);
  return flushed;
}

Result<void> FilePart::pass_to(std::uint64_t offset) {
  if (offset < position()) return wrong_call("cannot go backwards");
  Result<void> fits = check_fits(offset - position());
  if (fits) fits = flush();
  if (fits) staged_begin_ = offset;
  return fits;
}

}  // namespace weightmap::io
