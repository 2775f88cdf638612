// SPDX-License-Identifier: Apache-2.0
// Who makes modules and binds them, and what becomes of those that nobody uses any more.
#include <algorithm>
#include <mutex>
#include <utility>

#include "weightmap/bind_plan.h"
#include "weightmap/live.h"

#include "base/text.h"

namespace weightmap {
namespace {

// A module and how it binds to files of the structure that it was last bound to.
struct Fitted {
  std::unique_ptr<Module> module;
  std::optional<BindPlan> plan;
  std::uint64_t served =
      0;  // of a module that is kept: how many files were, with that it is bound to
};

// A slot that a bind passes over keeps what it had: in a module that was bound before, bytes of
// another generation.
bool leaves_slots(const LoadReport& report) {
  return !report.missing().empty() || !report.mismatched().empty();
}

LoadReport bind_fitted(Fitted& fitted, const WeightFile& file, const LoadOptions& options) {
  if (fitted.plan) {
    LoadReport report = fitted.plan->bind(file);
    if (report.ok()) return report;
  }
  auto plan = BindPlan::prepare(*fitted.module, file, options);
  if (!plan) return bind(*fitted.module, file, options);
  fitted.plan = std::move(*plan);
  return fitted.plan->bind(file);
}

// Shared with every module that is in use, which comes back when it no longer is.
class Workshop {
 public:
  Workshop(LoadOptions options, LiveModule::Factory make)
      : options_(std::move(options)), make_(std::move(make)) {}

  // Fills `fitted` with a module and binds it. The report tells whether that went well; if not,
  // `fitted` is of no use. Errors: kInvalidArgument, the factory makes no module.
  Result<LoadReport> bind_one(Fitted& fitted, const WeightFile& file);

  // The file that modules which come back are bound to, so that they hold no older one.
  void serve(const WeightFile& file);
  void take_back(std::unique_ptr<Fitted> fitted);
  void close();

 private:
  std::unique_ptr<Fitted> take_spare();
  void keep(std::unique_ptr<Fitted> fitted);

  const LoadOptions options_;
  const LiveModule::Factory make_;
  std::mutex mutex_;
  std::optional<WeightFile> serving_;
  std::uint64_t served_ = 0;
  std::unique_ptr<Fitted> spare_;  // bound to `serving_`
};

// Modules are bound without the lock: their load hooks may end the use of another one.
Result<LoadReport> Workshop::bind_one(Fitted& fitted, const WeightFile& file) {
  if (std::unique_ptr<Fitted> spare = take_spare()) {
    LoadReport report = bind_fitted(*spare, file, options_);
    if (!report.ok()) {
      keep(std::move(spare));
      return report;
    }
    fitted = std::move(*spare);
    if (!leaves_slots(report)) return report;
  }
  fitted = {make_(), {}, 0};
  if (fitted.module != nullptr) return bind_fitted(fitted, file, options_);
  return Error(ErrorCode::kInvalidArgument, concat(file.path(), ": there is no module to bind"));
}

// What goes, in these, goes after the lock: destructors are the user's, too.
std::unique_ptr<Fitted> Workshop::take_spare() {
  const std::scoped_lock lock(mutex_);
  return std::move(spare_);
}

void Workshop::keep(std::unique_ptr<Fitted> fitted) {
  const std::scoped_lock lock(mutex_);
  if (!spare_ && serving_ && fitted->served == served_) spare_.swap(fitted);
}

void Workshop::serve(const WeightFile& file) {
  std::unique_ptr<Fitted> bound_to_an_older;
  std::optional<WeightFile> now(file);
  const std::scoped_lock lock(mutex_);
  serving_.swap(now);
  ++served_;
  bound_to_an_older.swap(spare_);
}

void Workshop::take_back(std::unique_ptr<Fitted> fitted) {
  std::unique_lock lock(mutex_);
  if (spare_ || !serving_) return;
  const WeightFile file = *serving_;
  fitted->served = served_;
  lock.unlock();
  const LoadReport report = bind_fitted(*fitted, file, options_);
  if (report.ok() && !leaves_slots(report)) keep(std::move(fitted));
}

void Workshop::close() {
  std::unique_ptr<Fitted> kept;
  std::optional<WeightFile> file;
  const std::scoped_lock lock(mutex_);
  kept.swap(spare_);
  file.swap(serving_);
}

// Ends the use of a module.
struct Retire {
  std::shared_ptr<Workshop> workshop;
  std::optional<BindPlan> plan;

  void operator()(LiveModule::Bound* bound) {
    auto fitted = std::make_unique<Fitted>();
    fitted->module = std::move(bound->module);
    fitted->plan = std::move(plan);
    delete bound;
    workshop->take_back(std::move(fitted));
  }
};

}  // namespace

struct LiveModule::State {
  State(LiveFile live_file, const LoadOptions& options, Factory make)
      : file(std::move(live_file)),
        workshop(std::make_shared<Workshop>(options, std::move(make))) {}
  ~State() { workshop->close(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // REQUIRES: `binding` is held.
  void follow(const FileGeneration& next);
  void refuse(const FileGeneration& next, const Error& why, std::optional<LoadReport> report);
  bool is_done_with(std::uint64_t generation) const;
  std::shared_ptr<const Bound> in_service() const;

  const LiveFile file;
  const std::shared_ptr<Workshop> workshop;

  std::mutex binding;  // one thread at a time; it alone changes the following

  mutable std::mutex mutex;  // held for moments
  std::shared_ptr<const Bound> bound;
  std::optional<std::uint64_t> refused_generation;
  std::optional<Error> error;
  std::optional<LoadReport> refused;
};

void LiveModule::State::follow(const FileGeneration& next) {
  if (is_done_with(next.generation)) return;
  Fitted fitted;
  Result<LoadReport> report = workshop->bind_one(fitted, next.file);
  if (!report) return refuse(next, report.error(), std::nullopt);
  if (!report->ok()) {
    const Error why = report->error();
    return refuse(next, why, *std::move(report));
  }
  workshop->serve(next.file);
  std::shared_ptr<const Bound> made(new Bound{std::move(fitted.module), next.file, next.generation},
                                    Retire{workshop, std::move(fitted.plan)});
  const std::scoped_lock lock(mutex);
  bound.swap(made);  // the old one goes after the lock
  refused_generation.reset();
  error.reset();
  refused.reset();
}

void LiveModule::State::refuse(const FileGeneration& next,
                               const Error& why,
                               std::optional<LoadReport> report) {
  const std::scoped_lock lock(mutex);
  refused_generation = next.generation;
  error = why;
  refused.swap(report);
}

// Generations ascend: one that was looked up before another thread went further is done with, too.
bool LiveModule::State::is_done_with(std::uint64_t generation) const {
  const std::scoped_lock lock(mutex);
  return (refused_generation && *refused_generation >= generation) ||
         (bound && bound->generation >= generation);
}

std::shared_ptr<const LiveModule::Bound> LiveModule::State::in_service() const {
  const std::scoped_lock lock(mutex);
  return bound;
}

LiveModule::LiveModule(std::unique_ptr<State> state) : state_(std::move(state)) {}
LiveModule::~LiveModule() = default;
LiveModule::LiveModule(LiveModule&&) noexcept = default;
LiveModule& LiveModule::operator=(LiveModule&&) noexcept = default;

Result<LiveModule> LiveModule::open(const std::string& path,
                                    const LiveOptions& options,
                                    Factory make) {
  auto file = LiveFile::open(path, options);
  if (!file) return file.error();
  auto state = std::make_unique<State>(std::move(*file), options.bind, std::move(make));
  state->follow(*state->file.current());
  if (state->bound == nullptr) return *state->error;
  return LiveModule(std::move(state));
}

std::shared_ptr<const LiveModule::Bound> LiveModule::current() const {
  const auto newest = state_->file.current();
  if (!state_->is_done_with(newest->generation)) {
    const std::unique_lock binding(state_->binding, std::try_to_lock);
    if (binding) state_->follow(*newest);
  }
  return state_->in_service();
}

std::shared_ptr<const LiveModule::Bound> LiveModule::wait_for_next(
    std::uint64_t generation, std::chrono::milliseconds at_most) const {
  const auto start = std::chrono::steady_clock::now();
  std::chrono::milliseconds waited{0};
  for (std::uint64_t after = generation;;) {
    const auto next = state_->file.wait_for_next(after, at_most - waited);
    if (next == nullptr) return nullptr;
    {
      const std::scoped_lock lock(state_->binding);
      state_->follow(*next);
    }
    auto bound = state_->in_service();
    if (bound->generation > generation) return bound;
    after = next->generation;  // which does not fit
    waited = std::min(at_most, std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now() - start));
  }
}

std::optional<Error> LiveModule::last_error() const {
  if (auto error = state_->file.last_error()) return error;
  const std::scoped_lock lock(state_->mutex);
  return state_->error;
}

std::optional<LoadReport> LiveModule::refused() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->refused;
}

const LiveFile& LiveModule::file() const {
  return state_->file;
}

}  // namespace weightmap
