// SPDX-License-Identifier: Apache-2.0
// libxxhash chooses AVX2 or AVX-512 at run time only through its x86 dispatch functions (85 against
// 19 GB/s from cache). The first of them to run asks the processor, which takes some 30 us in a
// virtual machine: more than all else that opening a small file does. So short inputs never ask.
#include "base/hash.h"

#include <cstring>

#include <xxhash.h>
#if defined(__x86_64__)
#define XXH_DISPATCH_DISABLE_REPLACE
#include <xxh_x86dispatch.h>
#endif

namespace weightmap {
namespace {

#if defined(__x86_64__)
constexpr std::size_t kDispatchBytes = 512U << 10U;  // from here on, asking pays at once
constexpr auto kLongDigest = XXH3_128bits_dispatch;
constexpr auto kUpdate = XXH3_128bits_update_dispatch;
#else
constexpr std::size_t kDispatchBytes = 0;
constexpr auto kLongDigest = XXH3_128bits;
constexpr auto kUpdate = XXH3_128bits_update;
#endif

Digest canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest digest;
  std::memcpy(digest.bytes.data(), bytes.digest, digest.bytes.size());
  return digest;
}

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

struct DigestStream::State {
  std::unique_ptr<XXH3_state_t, FreeState> xxh{XXH3_createState()};
};

std::uint64_t name_hash(std::string_view name) {
  return XXH3_64bits(name.data(), name.size());
}

Digest digest_of(std::span<const std::byte> bytes) {
  const auto digest = bytes.size() < kDispatchBytes ? XXH3_128bits : kLongDigest;
  return canonical(digest(bytes.data(), bytes.size()));
}

DigestStream::DigestStream() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh.get());
}
DigestStream::~DigestStream() = default;
DigestStream::DigestStream(DigestStream&&) noexcept = default;
DigestStream& DigestStream::operator=(DigestStream&&) noexcept = default;

void DigestStream::update(std::span<const std::byte> bytes) {
  kUpdate(state_->xxh.get(), bytes.data(), bytes.size());
}

Digest DigestStream::finish() {
  const Digest digest = canonical(XXH3_128bits_digest(state_->xxh.get()));
  XXH3_128bits_reset(state_->xxh.get());
  return digest;
}

}  // namespace weightmap
