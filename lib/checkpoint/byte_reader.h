// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/little_endian.h"
#include "base/text.h"
#include "checkpoint/pickle.h"

namespace weightmap::checkpoint {

// Reads a pickle's bytes from front to back, never past the end. It remembers its first problem;
// what is read after one is zero or empty. REQUIRES: at most PickleLimits::kMaxBytes bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool has_failed() const { return !problem_.empty(); }
  const std::string& problem() const { return problem_; }
  bool ran_out() const { return ran_out_; }  // the problem: more bytes might have helped

  std::span<const std::byte> bytes() const { return bytes_; }
  std::size_t position() const { return at_; }
  std::size_t remaining() const { return bytes_.size() - at_; }
  std::string_view text(PickleRange range) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + range.begin, range.size};
  }

  PickleRange take(std::uint64_t size) {
    if (size > remaining()) {
      ran_out_ = ran_out_ || !has_failed();
      return fail(concat("needs ", size, " bytes, ", remaining(), " remain"));
    }
    const auto begin = static_cast<std::uint32_t>(at_);
    at_ += static_cast<std::size_t>(size);
    return {begin, static_cast<std::uint32_t>(size)};
  }

  template <std::integral T>
  T number() {
    const PickleRange range = take(sizeof(T));
    return range.size == 0 ? T{} : load_little<T>(bytes_, range.begin);
  }

  // As many bytes as the number in front of them says.
  template <std::integral Size>
  PickleRange counted() {
    const Size size = number<Size>();
    if (std::cmp_less(size, 0)) return fail(concat("has a length of ", size));
    return take(static_cast<std::uint64_t>(size));
  }

  // Up to a line break, which is not part of it.
  PickleRange line() {
    const std::string_view left = text({static_cast<std::uint32_t>(at_), remaining_u32()});
    const std::size_t size = left.find('\n');
    if (size == std::string_view::npos) {
      ran_out_ = ran_out_ || (!has_failed() && left.size() < kMostLineBytes);
      return fail("has a line without an end");
    }
    const PickleRange range = take(size);
    ++at_;
    return range;
  }

 private:
  std::uint32_t remaining_u32() const { return static_cast<std::uint32_t>(remaining()); }
  PickleRange fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
    at_ = bytes_.size();
    return {};
  }

  static constexpr std::size_t kMostLineBytes = std::size_t{1} << 16U;  // a line holds a name

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ran_out_ = false;
  std::string problem_;
};

}  // namespace weightmap::checkpoint
