// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/inflater.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <zlib.h>

#include "base/text.h"

namespace weightmap::checkpoint {

struct Inflater::State {
  State(const io::File& of, std::uint64_t offset, std::uint64_t packed, std::string name)
      : file(of), offset_bytes(offset), left_bytes(packed), what(std::move(name)) {
    is_ready = ::inflateInit2(&stream, -MAX_WBITS) == Z_OK;
  }
  ~State() {
    if (is_ready) ::inflateEnd(&stream);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Error corrupt(std::string_view problem) const {
    return {ErrorCode::kCorrupt, concat(file.path(), ": ", what, ": ", problem)};
  }
  Result<void> refill();
  Result<void> step(std::span<std::byte>& into);

  const io::File& file;
  std::uint64_t offset_bytes;
  std::uint64_t left_bytes;  // packed, and not yet in the buffer
  std::uint64_t done_bytes = 0;
  std::string what;
  z_stream stream{};
  bool is_ready = false;
  bool is_at_end = false;
  std::array<std::byte, std::size_t{64} << 10U> buffer{};
};

Result<void> Inflater::State::refill() {
  if (stream.avail_in > 0 || left_bytes == 0) return {};
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_bytes, buffer.size()));
  const auto part = std::span(buffer).first(size);
  if (auto read = file.read_at(offset_bytes, part); !read) return read;
  offset_bytes += size;
  left_bytes -= size;
  stream.next_in = reinterpret_cast<unsigned char*>(part.data());
  stream.avail_in = static_cast<unsigned>(size);
  return {};
}

// Unpacks into the front of `into`, and takes that away from it.
Result<void> Inflater::State::step(std::span<std::byte>& into) {
  if (!is_ready) return corrupt("there is no memory to unpack it");
  if (auto filled = refill(); !filled) return filled;
  const auto room = static_cast<unsigned>(
      std::min<std::size_t>(into.size(), std::numeric_limits<unsigned>::max()));
  stream.next_out = reinterpret_cast<unsigned char*>(into.data());
  stream.avail_out = room;
  const bool is_last = left_bytes == 0;
  const int status = ::inflate(&stream, Z_NO_FLUSH);
  const unsigned made = room - stream.avail_out;
  done_bytes += made;
  into = into.subspan(made);
  is_at_end = status == Z_STREAM_END;
  if (is_at_end || status == Z_OK) return {};
  if (status == Z_BUF_ERROR && is_last) {
    return corrupt(concat("its compressed bytes are cut short after ", done_bytes, " bytes"));
  }
  return corrupt(concat("its compressed bytes are damaged behind byte ", done_bytes));
}

Inflater::Inflater(const io::File& file,
                   std::uint64_t offset_bytes,
                   std::uint64_t packed_bytes,
                   std::string what)
    : state_(std::make_unique<State>(file, offset_bytes, packed_bytes, std::move(what))) {}
Inflater::~Inflater() = default;
Inflater::Inflater(Inflater&&) noexcept = default;
Inflater& Inflater::operator=(Inflater&&) noexcept = default;

Result<void> Inflater::read(std::span<std::byte> into) {
  const std::uint64_t wanted = state_->done_bytes + into.size();
  while (!into.empty() && !state_->is_at_end) {
    if (auto done = state_->step(into); !done) return done;
  }
  if (into.empty()) return {};
  return state_->corrupt(
      concat("unpacks to ", state_->done_bytes, " bytes, expected at least ", wanted));
}

Result<void> Inflater::expect_end() {
  const std::uint64_t expected = state_->done_bytes;
  std::array<std::byte, 1> more{};
  while (!state_->is_at_end && state_->done_bytes == expected) {
    std::span<std::byte> into = more;
    if (auto done = state_->step(into); !done) return done;
  }
  if (state_->done_bytes == expected) return {};
  return state_->corrupt(concat("unpacks to more than the ", expected, " bytes it should have"));
}

}  // namespace weightmap::checkpoint
