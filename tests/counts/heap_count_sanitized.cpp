// SPDX-License-Identifier: Apache-2.0
// A sanitizer's allocator is asked to tell of every block.
#include <atomic>
#include <cstddef>

#include "heap_count.h"

// Of sanitizer/allocator_interface.h, which g++ does not bring along.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void* block, std::size_t size),
    void (*on_free)(const volatile void* block));

namespace weightmap::tests {
namespace {

std::atomic<std::uint64_t> allocations{0};

void count(const volatile void* /*block*/, std::size_t /*size*/) {
  ++allocations;
}

void ignore(const volatile void* /*block*/) {}

const bool is_installed = __sanitizer_install_malloc_and_free_hooks(count, ignore) != 0;

}  // namespace

std::uint64_t heap_allocations() {
  return is_installed ? allocations.load() : 0;
}

}  // namespace weightmap::tests
