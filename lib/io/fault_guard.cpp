// SPDX-License-Identifier: Apache-2.0
// What runs in the handler allocates nothing and waits for nothing: lock-free atomics, and mmap as
// the bare system call that it is.
#include "io/fault_guard.h"

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "base/text.h"
#include "io/system.h"

namespace weightmap::io {

struct FaultGuard::Watched {
  static constexpr std::size_t kBits = 64;

  Watched(std::span<const std::byte> bytes, bool is_writable)
      : begin(reinterpret_cast<std::uintptr_t>(bytes.data())),
        end(begin + bytes.size()),
        page_bytes(static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE))),
        protection(is_writable ? PROT_READ | PROT_WRITE : PROT_READ),
        is_zero((bytes.size() / page_bytes + kBits) / kBits) {}

  // Where the last page ends.
  bool covers(std::uintptr_t address) const {
    return address >= begin && address < (end + page_bytes - 1) / page_bytes * page_bytes;
  }

  // Whether there is a page of zeros at the address, or another thread is about to put one there:
  // then the touch is made again until it is.
  bool put_zeros_at(std::uintptr_t address) {
    const std::uintptr_t page = address - address % page_bytes;
    const std::size_t number = (page - begin) / page_bytes;
    const std::uint64_t bit = std::uint64_t{1} << (number % kBits);
    // Of threads that fault on one page at once one makes it, once: what is written to it stays.
    if ((is_zero[number / kBits].fetch_or(bit) & bit) != 0) return true;
    void* const at = std::bit_cast<void*>(page);
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (::mmap(at, page_bytes, protection, kFlags, -1, 0) == MAP_FAILED) {
      is_zero[number / kBits].fetch_and(~bit);
      return false;
    }
    has_faults.store(true);
    return true;
  }

  bool is_zero_page(std::size_t number) const {
    return (is_zero[number / kBits].load() >> (number % kBits) & 1U) != 0;
  }

  const std::uintptr_t begin;
  const std::uintptr_t end;
  const std::uintptr_t page_bytes;
  const int protection;
  std::atomic<bool> has_faults = false;
  std::vector<std::atomic<std::uint64_t>> is_zero;  // a bit a page
};

namespace {

using Watched = FaultGuard::Watched;

static_assert(std::atomic<Watched*>::is_always_lock_free);

// Guards come and go while the handler looks: one that goes first takes itself out of its slot, and
// then waits until no handler is looking.
constinit std::array<std::atomic<Watched*>, FaultGuard::kMost> slots{};
constinit std::atomic<std::size_t> used_slots = 0;  // those above were never used
constinit std::atomic<int> handlers_looking = 0;
constinit std::mutex installing;
constinit bool is_installed = false;
struct sigaction before {};

bool put_zeros_at(std::uintptr_t address) {
  const std::size_t used = used_slots.load();
  for (std::size_t slot = 0; slot < used; ++slot) {
    Watched* const watched = slots[slot].load();
    if (watched != nullptr && watched->covers(address)) return watched->put_zeros_at(address);
  }
  return false;
}

bool is_sent_by_process(const siginfo_t& info) {
  return info.si_code <= 0;
}

// To whom it would have gone without us. A fault that the system's own action is for comes again as
// soon as the handler returns.
void pass_on(int number, siginfo_t* info, void* context) {
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(number, info, context);
    return;
  }
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
    return;
  }
  if (is_sent_by_process(*info) && before.sa_handler == SIG_IGN) return;
  struct sigaction default_action {};
  default_action.sa_handler = SIG_DFL;
  ::sigaction(number, &default_action, nullptr);
  if (is_sent_by_process(*info)) static_cast<void>(::raise(number));
}

void on_bus_error(int number, siginfo_t* info, void* context) {
  const int error_number = errno;
  bool is_ours = false;
  if (info->si_code == BUS_ADRERR) {
    handlers_looking.fetch_add(1);
    is_ours = put_zeros_at(std::bit_cast<std::uintptr_t>(info->si_addr));
    handlers_looking.fetch_sub(1);
  }
  if (!is_ours) pass_on(number, info, context);
  errno = error_number;
}

// A child has only the thread that made it, which was in no handler.
void forget_handlers() {
  handlers_looking.store(0);
}

Result<void> install() {
  const std::scoped_lock lock(installing);
  if (is_installed) return {};
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::pthread_atfork(nullptr, nullptr, forget_handlers);
  if (::sigaction(SIGBUS, nullptr, &before) != 0 || ::sigaction(SIGBUS, &action, nullptr) != 0) {
    return system_error("SIGBUS", "cannot install a handler", errno);
  }
  is_installed = true;
  return {};
}

// Nothing: all are taken.
std::optional<std::size_t> take_slot(Watched* watched) {
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    Watched* none = nullptr;
    if (!slots[slot].compare_exchange_strong(none, watched)) continue;
    std::size_t used = used_slots.load();
    while (used <= slot && !used_slots.compare_exchange_weak(used, slot + 1)) {
    }
    return slot;
  }
  return std::nullopt;
}

}  // namespace

FaultGuard::FaultGuard(std::unique_ptr<Watched> watched, std::size_t slot)
    : watched_(std::move(watched)), slot_(slot) {}

FaultGuard::~FaultGuard() {
  slots[slot_].store(nullptr);
  while (handlers_looking.load() != 0)
    std::this_thread::yield();
}

Result<std::unique_ptr<FaultGuard>> FaultGuard::watch(std::span<const std::byte> bytes,
                                                      bool is_writable) {
  const Result<void> installed = install();
  if (!installed) return installed.error();
  auto watched = std::make_unique<Watched>(bytes, is_writable);
  const std::optional<std::size_t> slot = take_slot(watched.get());
  if (!slot) {
    return Error(ErrorCode::kUnsupported,
                 concat("cannot be guarded: ", kMost, " mappings of this process are"));
  }
  return std::unique_ptr<FaultGuard>(new FaultGuard(std::move(watched), *slot));
}

bool FaultGuard::has_faults() const {
  return watched_->has_faults.load();
}

std::vector<FaultGuard::Fault> FaultGuard::faults() const {
  std::vector<Fault> faults;
  if (!has_faults()) return faults;
  const std::uint64_t page = watched_->page_bytes;
  const std::size_t pages = (watched_->end - watched_->begin + page - 1) / page;
  for (std::size_t number = 0; number < pages; ++number) {
    if (!watched_->is_zero_page(number)) continue;
    const bool continues =
        !faults.empty() && faults.back().offset_bytes + faults.back().size_bytes == number * page;
    if (continues) {
      faults.back().size_bytes += page;
    } else {
      faults.push_back({.offset_bytes = number * page, .size_bytes = page});
    }
  }
  return faults;
}

bool FaultGuard::is_in_force() {
  struct sigaction now {};
  return ::sigaction(SIGBUS, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
         now.sa_sigaction == on_bus_error;
}

}  // namespace weightmap::io
