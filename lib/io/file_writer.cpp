// SPDX-License-Identifier: Apache-2.0
#include "io/file_writer.h"

#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "io/shared_windows.h"
#include "io/staged_output.h"

namespace weightmap::io {

struct FileWriter::State {
  State(std::string target, WriteOptions write_options, std::unique_ptr<StagedOutput> staged)
      : path(std::move(target)),
        options(write_options),
        output(std::move(staged)),
        windows(*output, options.size_bytes) {
    whole.emplace(path, *output, windows, FilePart::Range{0, options.size_bytes},
                  WriteBehind::Options{.threaded = false, .sync = options.sync});
  }

  std::string path;
  WriteOptions options;
  std::unique_ptr<StagedOutput> output;  // nothing: spent
  SharedWindows windows;
  std::optional<FilePart> whole;  // as the output
  bool is_published = false;

  Error wrong_call(std::string_view what) const {
    return {ErrorCode::kInvalidArgument, concat(path, ": ", what)};
  }

  void spend() {
    whole.reset();
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

  Result<void> finish(const std::string& target) {
    if (whole->position() != options.size_bytes) {
      return wrong_call(
          concat("is not complete, ", whole->position(), " of ", options.size_bytes, " bytes"));
    }
    Result<void> written = whole->flush();
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
  return state_->whole ? state_->whole->position() : 0;
}

Result<void> FileWriter::write(std::span<const std::byte> bytes) {
  return state_->run([&] { return state_->whole->write(bytes); });
}

std::span<std::byte> FileWriter::room(std::uint64_t size) {
  return state_->whole ? state_->whole->room(size) : std::span<std::byte>();
}

Result<void> FileWriter::advance(std::size_t filled_bytes) {
  return state_->run([&] { return state_->whole->advance(filled_bytes); });
}

Result<void> FileWriter::pad_to(std::uint64_t offset) {
  return state_->run([&] { return state_->whole->pad_to(offset); });
}

Result<void> FileWriter::rewrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  return state_->run([&] { return state_->whole->rewrite(offset, bytes); });
}

FilePart FileWriter::part(FilePart::Range range, bool threaded) const {
  return {state_->path, *state_->output, state_->windows, range,
          WriteBehind::Options{.threaded = threaded, .sync = state_->options.sync}};
}

Result<void> FileWriter::pass_to(std::uint64_t offset) {
  return state_->run([&]() -> Result<void> {
    const std::uint64_t expected = offset - state_->whole->position();
    Result<void> passed = state_->whole->pass_to(offset);
    if (passed && state_->windows.take_finished_bytes() != expected)
      return state_->wrong_call("is not complete, parts are missing");
    return passed;
  });
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
