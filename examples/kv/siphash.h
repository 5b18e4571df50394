// SPDX-License-Identifier: MIT
//
// SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash whose collisions nobody can make who does
// not know the key. It decides where a key lies in the data file, so it must not change.
#ifndef EXAMPLES_KV_SIPHASH_H_
#define EXAMPLES_KV_SIPHASH_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace kv {

struct SipKey {
    uint64_t k0, k1;
};

inline uint64_t SipHash(const SipKey& key, std::string_view text) {
    uint64_t a = key.k0 ^ 0x736f6d6570736575, b = key.k1 ^ 0x646f72616e646f6d;
    uint64_t c = key.k0 ^ 0x6c7967656e657261, d = key.k1 ^ 0x7465646279746573;
    auto rounds = [&](int n) {
        while (n-- > 0) {
            a += b;
            c += d;
            b = std::rotl(b, 13) ^ a;
            d = std::rotl(d, 16) ^ c;
            a = std::rotl(a, 32);
            c += b;
            a += d;
            b = std::rotl(b, 17) ^ c;
            d = std::rotl(d, 21) ^ a;
            c = std::rotl(c, 32);
        }
    };
    uint64_t last = static_cast<uint64_t>(text.size()) << 56;
    while (text.size() >= 8) {
        uint64_t word;
        std::memcpy(&word, text.data(), 8);
        d ^= word;
        rounds(2);
        a ^= word;
        text.remove_prefix(8);
    }
    for (size_t i = 0; i < text.size(); ++i)
        last |= static_cast<uint64_t>(static_cast<unsigned char>(text[i])) << (8 * i);
    d ^= last;
    rounds(2);
    a ^= last;
    c ^= 0xff;
    rounds(4);
    return a ^ b ^ c ^ d;
}

}  // namespace kv

#endif  // EXAMPLES_KV_SIPHASH_H_
