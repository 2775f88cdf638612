// SPDX-License-Identifier: Apache-2.0
#include "io/file_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/text.h"
#include "io/staged_output.h"
#include "io/write_behind.h"

namespace weightmap::io {
namespace {

// From here on a thread gains more than it costs.
constexpr std::uint64_t kThreadedBytes = 16U << 20U;

}  // namespace

// The staging buffer holds the bytes from `flushed` on, a multiple of its own size: what is
// before has been written, or will have been when the writing behind is drained.
struct FileWriter::State {
  State(std::string target, WriteOptions write_options, std::unique_ptr<StagedOutput> staged)
      : path(std::move(target)),
        options(write_options),
        output(std::move(staged)),
        behind(std::make_unique<WriteBehind>(
            *output,
            WriteBehind::Options{.threaded = options.size_bytes >= kThreadedBytes,
                                 .sync = options.sync})) {}

  std::string path;
  WriteOptions options;
  std::unique_ptr<StagedOutput> output;  // nothing: spent
  std::unique_ptr<WriteBehind> behind;   // as the output
  std::size_t staged_bytes = 0;
  std::uint64_t flushed = 0;
  bool is_published = false;

  std::uint64_t position() const { return flushed + staged_bytes; }
  std::size_t room() const { return kWriteBytes - staged_bytes; }
  std::byte* staging() const { return behind->buffer().data(); }
  Error wrong_call(std::string_view what) const {
    return {ErrorCode::kInvalidArgument, concat(path, ": ", what)};
  }

  void spend() {
    behind.reset();
    output.reset();
  }

  // Does one step, unless an earlier one failed; a step that fails is the last.
  template <typename Step>
  Result<void> run(const Step& step) {
    if (!output) return wrong_call("the writer is spent");
    Result<void> done = step();
    if (!done) spend();
    return done;
  }

  Result<void> check_fits(std::uint64_t more) const {
    if (range_fits(position(), more, options.size_bytes)) return {};
    return wrong_call(
        concat(more, " bytes at ", position(), " do not fit into ", options.size_bytes, " bytes"));
  }

  Result<void> flush() {
    if (staged_bytes == 0) return {};
    const std::size_t size = std::exchange(staged_bytes, 0);
    const std::uint64_t offset = std::exchange(flushed, flushed + size);
    return behind->put(offset, size);
  }

  Result<void> take_staged(std::size_t more) {
    staged_bytes += more;
    return staged_bytes == kWriteBytes ? flush() : Result<void>();
  }

  Result<void> append(std::span<const std::byte> bytes) {
    Result<void> done = check_fits(bytes.size());
    while (done && !bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), room());
      std::memcpy(staging() + staged_bytes, bytes.data(), size);
      done = take_staged(size);
      bytes = bytes.subspan(size);
    }
    return done;
  }

  Result<void> append_zeros(std::uint64_t count) {
    Result<void> done = check_fits(count);
    while (done && count > 0) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(count, room()));
      std::memset(staging() + staged_bytes, 0, size);
      done = take_staged(size);
      count -= size;
    }
    return done;
  }

  Result<void> overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (!range_fits(offset, bytes.size(), position())) {
      return wrong_call(concat("cannot overwrite ", bytes.size(), " bytes at ", offset, ", only ",
                               position(), " are written"));
    }
    if (offset < flushed) {
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), flushed - offset));
      Result<void> written = behind->drain();
      if (written) written = output->write_at(offset, bytes.first(size));
      if (!written) return written;
      offset += size;
      bytes = bytes.subspan(size);
    }
    if (!bytes.empty()) {
      std::memcpy(staging() + (offset - flushed), bytes.data(), bytes.size());
    }
    return {};
  }

  Result<void> finish(const std::string& target) {
    if (position() != options.size_bytes) {
      return wrong_call(
          concat("is not complete, ", position(), " of ", options.size_bytes, " bytes"));
    }
    Result<void> written = flush();
    if (written) written = behind->drain();
    if (written && target != path) written = output->retarget(target);
    if (!written) return written;
    Result<void> published = output->publish(options.sync);
    is_published = output->is_published();
    return published;
  }
};

FileWriter::FileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileWriter::~FileWriter() = default;
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter& FileWriter::operator=(FileWriter&&) noexcept = default;

Result<FileWriter> FileWriter::create(const std::string& target, WriteOptions options) {
  auto output = StagedOutput::create(target, options.size_bytes);
  if (!output) return output.error();
  return FileWriter(std::make_unique<State>(target, options, std::move(*output)));
}

std::uint64_t FileWriter::position() const {
  return state_->position();
}

Result<void> FileWriter::write(std::span<const std::byte> bytes) {
  return state_->run([&] { return state_->append(bytes); });
}

std::span<std::byte> FileWriter::room(std::uint64_t size) {
  if (!state_->output) return {};
  const auto available = static_cast<std::size_t>(std::min<std::uint64_t>(size, state_->room()));
  return {state_->staging() + state_->staged_bytes, available};
}

Result<void> FileWriter::advance(std::size_t filled_bytes) {
  return state_->run([&]() -> Result<void> {
    if (filled_bytes > state_->room()) return state_->wrong_call("more filled than there was room");
    if (auto fits = state_->check_fits(filled_bytes); !fits) return fits;
    return state_->take_staged(filled_bytes);
  });
}

Result<void> FileWriter::pad_to(std::uint64_t offset) {
  return state_->run([&]() -> Result<void> {
    if (offset < state_->position()) return state_->wrong_call("cannot pad backwards");
    return state_->append_zeros(offset - state_->position());
  });
}

Result<void> FileWriter::rewrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  return state_->run([&] { return state_->overwrite(offset, bytes); });
}

Result<void> FileWriter::commit() {
  return commit_as(state_->path);
}

Result<void> FileWriter::commit_as(const std::string& target) {
  auto done = state_->run([&] { return state_->finish(target); });
  state_->spend();
  return done;
}

bool FileWriter::is_published() const {
  return state_->is_published;
}

}  // namespace weightmap::io
