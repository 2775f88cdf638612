// SPDX-License-Identifier: Apache-2.0
// What a new file must be before it may take a place; io/publisher_lock.cpp has the steps in which
// it does.
#include "weightmap/publish.h"

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/path_text.h"
#include "base/text.h"
#include "io/publisher_lock.h"
#include "io/target_rule.h"
#include "io/write_target.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

// A file that may be published.
struct Candidate {
  io::Successor successor;
  WeightFile file;
  std::uint64_t verified_bytes = 0;
};

Result<void> check_current(const io::Successor& successor, const std::string& current_path) {
  return io::check_target(current_path, {.kind = "a weight file",
                                         .is_kind = io::is_weight_file,
                                         .sources = {successor.file.identity()}});
}

// Readers look data files up in the directory of the path that they open, which may be a link.
Result<void> check_directory(const io::Successor& successor,
                             const std::string& directory_of,
                             const std::string& data_file) {
  const auto own = io::directory_identity_of(successor.path);
  const auto wanted = io::directory_identity_of(directory_of);
  if (!own) return own.error();
  if (!wanted) return wanted.error();
  if (*own == *wanted) return {};
  return Error(ErrorCode::kInvalidArgument,
               concat(successor.path, ": needs its data file ", quoted(data_file),
                      " beside it, which is not there where ", directory_of,
                      " is: put both there first, or weightmap convert it, which makes it whole"));
}

// A file of a name of its own stays, even if its bytes have the target's name, too.
Result<void> check_not_replaced(const io::Successor& successor,
                                const io::WriteTarget& target,
                                const std::string& data_file) {
  const std::string beside = concat(directory_prefix(successor.path), data_file);
  const Result<std::string> real = io::real_path(beside);
  if (!real) return real.error();
  if (!target.previous_identity || *real != target.real) return {};
  return Error(ErrorCode::kInvalidArgument,
               concat(successor.path, ": its data file ", quoted(data_file),
                      " is the very file that it would replace: make it anew against a base that "
                      "has a name of its own (ln ",
                      target.path, " BASE), or weightmap convert it, which makes it whole"));
}

Result<void> check_data_files(const WeightFile& file,
                              const io::Successor& successor,
                              const io::WriteTarget& target) {
  for (const DataFileInfo& data_file : file.data_files()) {
    if (data_file.name.empty()) continue;
    const std::string name(data_file.name);
    for (const std::string& path : {target.path, target.real}) {
      Result<void> beside = check_directory(successor, path, name);
      if (!beside) return beside;
    }
    Result<void> stays = check_not_replaced(successor, target, name);
    if (!stays) return stays;
  }
  return {};
}

Result<void> check_fits(const WeightFile& file,
                        const io::Successor& successor,
                        const io::WriteTarget& target) {
  Result<void> fits = check_current(successor, target.path);
  if (fits) fits = check_data_files(file, successor, target);
  return fits;
}

// Which of them have to be on the disk before the file counts on them.
std::vector<io::File> data_files_of(const WeightFile& file) {
  std::vector<io::File> files;
  for (const OpenedFile& sibling : state_of(file).siblings) {
    if (sibling.mapped != nullptr && sibling.mapped->file())
      files.push_back(*sibling.mapped->file());
  }
  return files;
}

Error damage_error(const WeightFile& file, std::span<const Damage> damages) {
  const Damage& first = damages.front();
  const std::string more =
      damages.size() == 1 ? "" : concat(", and more in ", damages.size() - 1, " places");
  return {ErrorCode::kCorrupt,
          concat(state_of(file).opened(first.data_file).path, ": ", first.what, more)};
}

Result<std::uint64_t> verify_all(const WeightFile& file, const PublishOptions& options) {
  if (!options.verify) return std::uint64_t{0};
  const auto report = file.verify({.progress = options.progress});
  if (!report) return report.error();
  if (report->ok()) return report->bytes_checked;
  return damage_error(file, report->damages);
}

Result<Candidate> check_new(const std::string& new_path,
                            const std::string& current_path,
                            const PublishOptions& options) {
  auto successor = io::Successor::open(new_path);
  if (!successor) return successor.error();
  const auto file = WeightFile::open(new_path, {.mapping = Mapping::kShared});
  if (!file) return file.error();
  const auto target = io::WriteTarget::resolve(current_path);
  if (!target) return target.error();
  Result<void> fits = check_fits(*file, *successor, *target);
  if (fits) fits = successor->check_file_system(*target);
  if (!fits) return fits.error();
  const auto verified_bytes = verify_all(*file, options);
  if (!verified_bytes) return verified_bytes.error();
  successor->data_files = data_files_of(*file);
  return Candidate{std::move(*successor), *file, *verified_bytes};
}

// Zero where nothing is there, or no weight file.
Digest digest_at(const std::string& path) {
  const auto file = WeightFile::open(path, look_only());
  return file ? file->digest() : Digest{};
}

// Without it a reader that looks in the midst of the next publish would take the old file for the
// new one.
void tell_old_file(io::PublisherLock& lock, const std::string& current_path) {
  if (!lock.knows_current()) lock.tell_current(digest_at(current_path));
}

// What was true before the file was verified and the lock waited for is asked again.
Result<PublishReport> put_in_place(io::PublisherLock& lock,
                                   const Candidate& candidate,
                                   const std::string& current_path,
                                   const PublishOptions& options) {
  const auto target = io::WriteTarget::resolve(current_path);
  if (!target) return target.error();
  Result<void> fits = lock.check_held(*target);
  if (fits) fits = check_fits(candidate.file, candidate.successor, *target);
  if (fits) fits = candidate.file.check();
  if (!fits) return fits.error();
  PublishReport report{.replaced = target->previous_identity.has_value(),
                       .healed = lock.is_unfinished(),
                       .file_bytes = candidate.successor.file.size_bytes(),
                       .verified_bytes = candidate.verified_bytes,
                       .digest = candidate.file.digest()};
  if (report.healed) lock.finish(digest_at(current_path));
  tell_old_file(lock, current_path);
  const auto generation = lock.replace(*target, candidate.successor, report.digest, options.sync);
  if (!generation) return generation.error();
  report.generation = *generation;
  return report;
}

Result<io::PublisherLock> take_lock_of(const std::string& current_path,
                                       const PublishOptions& options) {
  const auto target = io::WriteTarget::resolve(current_path);
  if (!target) return target.error();
  return io::PublisherLock::take(*target, options.keep_waiting);
}

}  // namespace

Result<PublishReport> publish(const std::string& new_path,
                              const std::string& current_path,
                              const PublishOptions& options) {
  const auto candidate = check_new(new_path, current_path, options);
  if (!candidate) return candidate.error();
  auto lock = take_lock_of(current_path, options);
  if (!lock) return lock.error();
  return put_in_place(*lock, *candidate, current_path, options);
}

struct Publisher::State {
  std::string current_path;
  PublishOptions options;
  io::PublisherLock lock;
};

Publisher::Publisher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Publisher::~Publisher() = default;
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&&) noexcept = default;

Result<Publisher> Publisher::open(const std::string& current_path, const PublishOptions& options) {
  auto lock = take_lock_of(current_path, options);
  if (!lock) return lock.error();
  return Publisher(std::make_unique<State>(State{current_path, options, std::move(*lock)}));
}

Result<PublishReport> Publisher::publish(const std::string& new_path) {
  State& state = *state_;
  const auto candidate = check_new(new_path, state.current_path, state.options);
  if (!candidate) return candidate.error();
  return put_in_place(state.lock, *candidate, state.current_path, state.options);
}

}  // namespace weightmap
