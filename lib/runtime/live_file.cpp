// SPDX-License-Identifier: Apache-2.0
// A reader's side of FORMAT.md 11: the counter before and after opening tells which generation the
// opened file is.
#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "weightmap/live.h"

#include "base/text.h"
#include "io/control_block.h"
#include "io/file.h"
#include "io/start_thread.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// A waiter looks at path and block now and then, whether it is woken or not: the publisher may have
// died, the file may have come without one, or there is no block.
constexpr milliseconds kSlice{100};
constexpr milliseconds kShortSlice{20};
constexpr int kAttempts = 100;

// A block that was removed says nothing any more: now and then it is looked for whether it is
// there.
constexpr std::chrono::seconds kBlockIsKnown{1};

// How long a file that did not open for a reason that may pass, as a limit of the process, is not
// tried again by who only looks: it may take a lock of gigabytes to find it.
constexpr milliseconds kMayHavePassed{100};

// While the next generation is being published, the file is that one or the one before.
std::uint64_t number_of(const io::ControlBlock& block, std::uint64_t counter, const Digest& found) {
  const std::uint64_t last = io::generation_of(counter);
  if (!io::is_publishing(counter)) return last;
  return found == block.digest(last) ? last : last + 1;
}

// A file that did not open.
struct Refused {
  io::FoundFile file;
  Clock::time_point until;
};

// Another attempt may find all mended, with the file being the same, but what its bytes say.
Clock::time_point end_of_refusal(const Error& error) {
  const bool stays = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kWrongKind;
  return stays ? Clock::time_point::max() : Clock::now() + kMayHavePassed;
}

}  // namespace

struct LiveFile::State {
  // What is looked at: only the path; the control block, too; also what did not open before.
  enum class Look : std::uint8_t { kPath, kBlock, kAgain };

  State(std::string weight_file, LiveOptions live_options)
      : path(std::move(weight_file)), options(std::move(live_options)) {}

  bool is_current() const { return block && is_settled && block->counter() == seen; }
  bool is_block_due() const { return Clock::now() - block_found >= kBlockIsKnown; }

  // REQUIRES: `looking` is held. Errors: why the file that is there is not in service.
  Result<void> look(Look how);

  void look_now();  // REQUIRES: `looking` is held
  void find_block();
  std::uint64_t counter() const { return block ? block->counter() : 0; }
  Error refuse(const Error& why, const std::optional<Refused>& which, std::uint64_t at);
  void accept(const WeightFile& file, std::uint64_t number, std::uint64_t at);

  std::shared_ptr<const FileGeneration> in_service() const;
  std::shared_ptr<const FileGeneration> wait_for_next(std::uint64_t generation,
                                                      milliseconds at_most);
  void pause(milliseconds at_most) const;
  // Calls back with what comes after that generation.
  void watch(const std::stop_token& stop, std::uint64_t generation);

  const std::string path;
  const LiveOptions options;

  std::mutex looking;  // one thread at a time; its own are these:
  std::optional<io::FileIdentity> present;
  std::optional<Refused> refused;

  mutable std::mutex mutex;  // held for moments; guards what `looking` alone may change:
  std::shared_ptr<const FileGeneration> newest;
  std::shared_ptr<const io::ControlBlock> block;
  Clock::time_point block_found;
  std::uint64_t seen = 0;  // the counter when the path was looked at
  bool is_settled = false;
  std::optional<Error> error;

  std::mutex callbacks_mutex;
  std::vector<Callback> callbacks;
  std::optional<std::jthread> watcher;  // last: it uses all of the above
};

Result<void> LiveFile::State::look(Look how) {
  if (how != Look::kPath || !block) find_block();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t before = counter();
    const Result<io::FoundFile> found = io::file_at(path);
    if (!found) return refuse(found.error(), std::nullopt, before);
    const bool is_known = refused && refused->file == *found && before == seen;
    if (how != Look::kAgain && is_known && Clock::now() < refused->until)
      return refuse(*error, refused, before);
    const Result<WeightFile> file =
        present == found->identity ? newest->file : WeightFile::open(path, options.open);
    // The digest that tells is that generation's until the counter has moved.
    const std::uint64_t number = block && file ? number_of(*block, before, file->digest()) : 0;
    if (counter() != before) continue;
    if (!file) return refuse(file.error(), Refused{*found, end_of_refusal(file.error())}, before);
    accept(*file, number, before);
    return {};
  }
  return refuse({ErrorCode::kIo, concat(path, ": is replaced faster than it can be opened")},
                std::nullopt, seen);
}

// A block that is still there and says that nothing has changed is all that is looked at.
void LiveFile::State::look_now() {
  if (block && is_block_due()) find_block();
  if (is_current()) return;
  [[maybe_unused]] const Result<void> looked = look(Look::kPath);  // kept as `error`
}

void LiveFile::State::find_block() {
  Result<io::FoundBlock> found = io::find_control_block(path);
  std::shared_ptr<const io::ControlBlock> now;
  if (found && found->block) {
    const bool is_same = block && block->identity() == found->block->identity();
    now = is_same ? block : std::make_shared<const io::ControlBlock>(*std::move(found->block));
  }
  const std::scoped_lock lock(mutex);
  is_settled = is_settled && now == block;
  block.swap(now);
  block_found = Clock::now();
}

Error LiveFile::State::refuse(const Error& why,
                              const std::optional<Refused>& which,
                              std::uint64_t at) {
  Error kept = why;
  refused = which;
  const bool stays = refused && refused->until == Clock::time_point::max();
  const std::scoped_lock lock(mutex);
  seen = at;
  is_settled = stays && !io::is_publishing(at);
  error = kept;
  return kept;
}

void LiveFile::State::accept(const WeightFile& file, std::uint64_t number, std::uint64_t at) {
  const io::FileIdentity identity = state_of(file).own.mapped->file()->identity();
  const bool is_same = present == identity;
  const std::uint64_t least = newest ? newest->generation + (is_same ? 0 : 1) : 0;
  const std::uint64_t generation = std::max(number, least);
  present = identity;
  refused.reset();
  std::shared_ptr<const FileGeneration> made = newest;
  if (!is_same || generation != newest->generation) {
    made = std::make_shared<const FileGeneration>(FileGeneration{file, generation});
  }
  const std::scoped_lock lock(mutex);
  newest.swap(made);  // the old one, perhaps the last of its handles, goes after the lock
  seen = at;
  is_settled = !io::is_publishing(at);
  error.reset();
}

std::shared_ptr<const FileGeneration> LiveFile::State::in_service() const {
  const std::scoped_lock lock(mutex);
  return newest;
}

std::shared_ptr<const FileGeneration> LiveFile::State::wait_for_next(std::uint64_t generation,
                                                                     milliseconds at_most) {
  const auto start = Clock::now();
  for (;;) {
    {
      const std::scoped_lock lock(looking);
      [[maybe_unused]] const Result<void> looked = look(Look::kBlock);  // kept as `error`
    }
    auto found = in_service();
    if (found->generation > generation) return found;
    const auto waited = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    if (waited >= at_most) return nullptr;
    pause(at_most - waited);
  }
}

void LiveFile::State::pause(milliseconds at_most) const {
  std::unique_lock lock(mutex);
  const std::shared_ptr<const io::ControlBlock> waited_at = block;
  const std::uint64_t expected = seen;
  const milliseconds slice = waited_at && is_settled ? kSlice : kShortSlice;
  lock.unlock();
  if (waited_at) {
    waited_at->wait_while(expected, std::min(at_most, slice));
  } else {
    std::this_thread::sleep_for(std::min(at_most, slice));
  }
}

void LiveFile::State::watch(const std::stop_token& stop, std::uint64_t generation) {
  while (!stop.stop_requested()) {
    const auto next = wait_for_next(generation, kSlice);
    if (next == nullptr) continue;
    generation = next->generation;
    std::unique_lock lock(callbacks_mutex);
    const std::vector<Callback> to_call = callbacks;
    lock.unlock();
    for (const Callback& callback : to_call)
      callback(next);
  }
}

LiveFile::LiveFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
LiveFile::~LiveFile() = default;
LiveFile::LiveFile(LiveFile&&) noexcept = default;
LiveFile& LiveFile::operator=(LiveFile&&) noexcept = default;

Result<LiveFile> LiveFile::open(const std::string& path, const LiveOptions& options) {
  auto state = std::make_unique<State>(path, options);
  const Result<void> opened = state->look(State::Look::kAgain);
  if (!opened) return opened.error();
  return LiveFile(std::move(state));
}

const std::string& LiveFile::path() const {
  return state_->path;
}

std::shared_ptr<const FileGeneration> LiveFile::current() const {
  {
    const std::scoped_lock lock(state_->mutex);
    if (state_->is_current() && !state_->is_block_due()) return state_->newest;
  }
  const std::unique_lock looking(state_->looking, std::try_to_lock);
  if (looking) state_->look_now();
  return state_->in_service();
}

Result<std::shared_ptr<const FileGeneration>> LiveFile::refresh() const {
  const std::scoped_lock lock(state_->looking);
  const Result<void> looked = state_->look(State::Look::kAgain);
  if (!looked) return looked.error();
  return state_->in_service();
}

std::optional<Error> LiveFile::last_error() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->error;
}

std::shared_ptr<const FileGeneration> LiveFile::wait_for_next(std::uint64_t generation,
                                                              milliseconds at_most) const {
  return state_->wait_for_next(generation, at_most);
}

Result<void> LiveFile::on_change(Callback callback) {
  const std::scoped_lock lock(state_->callbacks_mutex);
  if (!state_->watcher) {
    // Looked up here: what is opened before the thread runs is one of those that it calls with.
    state_->watcher =
        io::start_thread([state = state_.get(), generation = state_->in_service()->generation](
                             const std::stop_token& stop) { state->watch(stop, generation); });
  }
  if (!state_->watcher) {
    return Error(ErrorCode::kIo, concat(path(), ": there is no thread for callbacks"));
  }
  state_->callbacks.push_back(std::move(callback));
  return {};
}

}  // namespace weightmap
