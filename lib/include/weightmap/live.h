// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "weightmap/load.h"
#include "weightmap/module.h"
#include "weightmap/result.h"
#include "weightmap/weight_file.h"

// Weight files that are replaced while they are in use: publish.h is the other side.
namespace weightmap {

struct LiveOptions {
  OpenOptions open;
  LoadOptions bind;  // of Live
};

// A file as it was published once. It stays open, and its bytes stay what they are, for as long as
// anybody holds it.
struct FileGeneration {
  WeightFile file;
  // Ascends. The publisher's number, the same in every process, as long as every file came by a
  // publish (0: there was none yet); what came otherwise is counted on from there.
  std::uint64_t generation = 0;
};

// The file that a path leads to, whichever that is by now. Where publishers keep a control block
// that can be trusted (generation_state() tells), looking costs an atomic load, and once a second a
// look for the block; elsewhere, as on network file systems, it asks the system which file the path
// leads to.
//
// A new file that does not open leaves the old one in service. All functions are safe from several
// threads; no lock is held while a file is opened but one that keeps others from opening it, too.
// A child made by fork goes on with it, if no other thread was in one of its functions meanwhile;
// the thread of on_change is always in one.
class LiveFile {
 public:
  // Errors: those of WeightFile::open; kIo: it is replaced faster than it can be opened.
  static Result<LiveFile> open(const std::string& path, const LiveOptions& options = {});

  ~LiveFile();  // waits for a callback that is running; it must not come out of one
  LiveFile(LiveFile&&) noexcept;
  LiveFile& operator=(LiveFile&&) noexcept;
  LiveFile(const LiveFile&) = delete;
  LiveFile& operator=(const LiveFile&) = delete;

  const std::string& path() const;

  // Never null. Nothing has changed: one atomic load and a copy of the pointer; once a second also
  // a look whether the control block is still that one, some system calls. Else looks, and opens
  // the new file; a thread that comes while another does so gets the old one. One that did not
  // open is tried again when it may: damaged bytes not before another file is there, all else after
  // 100 ms. A file that came without a publish beside a block is seen by refresh() and by who
  // waits.
  std::shared_ptr<const FileGeneration> current() const;

  // Looks at path and block in any case, and again at what did not open. Errors: why the file that
  // is there now does not open, the old one being in service.
  Result<std::shared_ptr<const FileGeneration>> refresh() const;

  // Why the newest file is not in service; nothing: it is.
  std::optional<Error> last_error() const;

  // Waits until there is a generation after that one, and opens it; null: the time is over.
  std::shared_ptr<const FileGeneration> wait_for_next(std::uint64_t generation,
                                                      std::chrono::milliseconds at_most) const;

  // Calls back from a thread of its own, which it starts, with each generation from now on; of
  // those that follow each other faster than they are opened, with the last. Ends with this.
  // Error: kIo, the system has no thread to give.
  using Callback = std::function<void(const std::shared_ptr<const FileGeneration>&)>;
  Result<void> on_change(Callback callback);

  struct State;  // internal

 private:
  explicit LiveFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Live without the type of its module.
class LiveModule {
 public:
  using Factory = std::function<std::unique_ptr<Module>()>;

  // A module bound to one generation, on which nobody else binds.
  struct Bound {
    std::unique_ptr<Module> module;
    WeightFile file;
    std::uint64_t generation = 0;
  };

  static Result<LiveModule> open(const std::string& path, const LiveOptions& options, Factory make);
  ~LiveModule();
  LiveModule(LiveModule&&) noexcept;
  LiveModule& operator=(LiveModule&&) noexcept;
  LiveModule(const LiveModule&) = delete;
  LiveModule& operator=(const LiveModule&) = delete;

  std::shared_ptr<const Bound> current() const;
  std::shared_ptr<const Bound> wait_for_next(std::uint64_t generation,
                                             std::chrono::milliseconds at_most) const;
  std::optional<Error> last_error() const;
  std::optional<LoadReport> refused() const;
  const LiveFile& file() const;

 private:
  struct State;
  explicit LiveModule(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A net of one generation. A value; the net stays bound, and as it is, until the last copy is gone.
template <typename Net>
class LiveNet {
 public:
  explicit LiveNet(std::shared_ptr<const LiveModule::Bound> bound) : bound_(std::move(bound)) {}

  const Net& operator*() const { return static_cast<const Net&>(*bound_->module); }
  const Net* operator->() const { return &**this; }
  const WeightFile& file() const { return bound_->file; }
  std::uint64_t generation() const { return bound_->generation; }

 private:
  std::shared_ptr<const LiveModule::Bound> bound_;
};

// A net for each generation of a file, bound to it and to no other: who computes on one is not
// disturbed by the next. A net that nobody uses any more is bound again, to a file of the same
// structure at next to no cost (BindPlan); its last user pays for that when letting go. One is kept
// so, and holds no older file than the one in service.
//
// A file that does not fit leaves the old net in service. Safe from several threads.
//
//   auto live = weightmap::Live<Digits>::open("digits.wmap");
//   for (;;) {
//     const auto net = live->current();   // this request's, whatever is published meanwhile
//     answer(classify(*net, request()));
//   }
template <typename Net>
class Live {
 public:
  using Factory = std::function<std::unique_ptr<Net>()>;

  // Errors: those of LiveFile::open; kMismatch (the report's text), when the first file does not
  // fit; kInvalidArgument: the factory makes none.
  static Result<Live> open(
      const std::string& path, const LiveOptions& options = {}, Factory make = [] {
        return std::make_unique<Net>();
      }) {
    auto module = LiveModule::open(path, options, std::move(make));
    if (!module) return module.error();
    return Live(*std::move(module));
  }

  // Cost: LiveFile::current(), and the first time for a generation a bind. A thread that comes
  // meanwhile gets the net before.
  LiveNet<Net> current() const { return LiveNet<Net>(module_.current()); }

  // Waits until there is a net of a generation after that one; nothing: the time is over.
  std::optional<LiveNet<Net>> wait_for_next(std::uint64_t generation,
                                            std::chrono::milliseconds at_most) const {
    auto bound = module_.wait_for_next(generation, at_most);
    if (bound == nullptr) return std::nullopt;
    return LiveNet<Net>(std::move(bound));
  }

  // Why the newest file is not in service; nothing: it is.
  std::optional<Error> last_error() const { return module_.last_error(); }

  // Of the newest file, if it did not fit: what is missing, and its diagnosis().
  std::optional<LoadReport> refused() const { return module_.refused(); }

  const LiveFile& file() const { return module_.file(); }

 private:
  explicit Live(LiveModule module) : module_(std::move(module)) {}
  LiveModule module_;
};

}  // namespace weightmap
