// SPDX-License-Identifier: Apache-2.0
#include "io/file_writer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/checked.h"
#include "base/text.h"
#include "io/staged_output.h"

namespace weightmap::io {
namespace {

constexpr std::uint64_t kWritebackBytes = 64U << 20U;
constexpr std::align_val_t kStagingAlignment{4096};

struct FreeStaging {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, kStagingAlignment); }
};
using Staging = std::unique_ptr<std::byte, FreeStaging>;

Staging allocate_staging() {
  return Staging(new (kStagingAlignment) std::byte[FileWriter::kWriteBytes]);
}

}  // namespace

// The staging buffer holds the bytes from `flushed` on, a multiple of its own size: what is
// before has been written.
struct FileWriter::State {
  std::string path;
  WriteOptions options;
  std::unique_ptr<StagedOutput> output;  // nothing: spent
  Staging staging = allocate_staging();
  std::size_t staged_bytes = 0;
  std::uint64_t flushed = 0;
  std::uint64_t writeback_begun = 0;

  std::uint64_t position() const { return flushed + staged_bytes; }
  std::size_t room() const { return kWriteBytes - staged_bytes; }
  Error wrong_call(std::string_view what) const {
    return {ErrorCode::kInvalidArgument, concat(path, ": ", what)};
  }

  // Does one step, unless an earlier one failed; a step that fails is the last.
  template <typename Step>
  Result<void> run(const Step& step) {
    if (!output) return wrong_call("the writer is spent");
    Result<void> done = step();
    if (!done) output.reset();
    return done;
  }

  Result<void> check_fits(std::uint64_t more) const {
    if (range_fits(position(), more, options.size_bytes)) return {};
    return wrong_call(
        concat(more, " bytes at ", position(), " do not fit into ", options.size_bytes, " bytes"));
  }

  // `bytes` are those at `flushed`.
  Result<void> write_out(std::span<const std::byte> bytes) {
    if (auto written = output->write_at(flushed, bytes); !written) return written;
    flushed += bytes.size();
    if (options.sync && flushed - writeback_begun >= kWritebackBytes) {
      output->start_writeback(writeback_begun, flushed - writeback_begun);
      writeback_begun = flushed;
    }
    return {};
  }

  Result<void> flush() {
    auto written = write_out({staging.get(), staged_bytes});
    if (written) staged_bytes = 0;
    return written;
  }

  Result<void> take_staged(std::size_t more) {
    staged_bytes += more;
    return staged_bytes == kWriteBytes ? flush() : Result<void>();
  }

  // Whole buffers need no staging when they begin where one would.
  Result<void> append(std::span<const std::byte> bytes) {
    Result<void> done = check_fits(bytes.size());
    while (done && !bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), room());
      if (size == kWriteBytes) {
        done = write_out(bytes.first(size));
      } else {
        std::memcpy(staging.get() + staged_bytes, bytes.data(), size);
        done = take_staged(size);
      }
      bytes = bytes.subspan(size);
    }
    return done;
  }

  Result<void> append_zeros(std::uint64_t count) {
    Result<void> done = check_fits(count);
    while (done && count > 0) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(count, room()));
      std::memset(staging.get() + staged_bytes, 0, size);
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
      if (auto written = output->write_at(offset, bytes.first(size)); !written) return written;
      offset += size;
      bytes = bytes.subspan(size);
    }
    if (!bytes.empty()) {
      std::memcpy(staging.get() + (offset - flushed), bytes.data(), bytes.size());
    }
    return {};
  }

  Result<void> finish() {
    if (position() != options.size_bytes) {
      return wrong_call(
          concat("is not complete, ", position(), " of ", options.size_bytes, " bytes"));
    }
    if (auto flushed_all = flush(); !flushed_all) return flushed_all;
    return output->publish(options.sync);
  }
};

FileWriter::FileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileWriter::~FileWriter() = default;
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter& FileWriter::operator=(FileWriter&&) noexcept = default;

Result<FileWriter> FileWriter::create(const std::string& target, WriteOptions options) {
  auto output = StagedOutput::create(target, options.size_bytes);
  if (!output) return output.error();
  auto state = std::make_unique<State>();
  state->path = target;
  state->options = options;
  state->output = std::move(*output);
  return FileWriter(std::move(state));
}

std::uint64_t FileWriter::position() const {
  return state_->position();
}

Result<void> FileWriter::write(std::span<const std::byte> bytes) {
  return state_->run([&] { return state_->append(bytes); });
}

std::span<std::byte> FileWriter::room(std::uint64_t size) {
  const auto available = static_cast<std::size_t>(std::min<std::uint64_t>(size, state_->room()));
  return {state_->staging.get() + state_->staged_bytes, available};
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
  auto done = state_->run([&] { return state_->finish(); });
  state_->output.reset();
  return done;
}

}  // namespace weightmap::io
