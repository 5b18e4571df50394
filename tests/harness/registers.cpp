// SPDX-License-Identifier: MIT
#include "registers.hpp"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

namespace umcg_test {
namespace {

struct alignas(64) Hold {
    const Registers* in;
    Registers* out;
    uint32_t level;
    uint32_t kind;
    long number, a, b, c, result;
    alignas(64) uint8_t keep[512];
};
static_assert(offsetof(Hold, level) == 16 && offsetof(Hold, number) == 24 &&
              offsetof(Hold, result) == 56 && offsetof(Hold, keep) == 64);
static_assert(offsetof(Registers, zmm) == 512 && offsetof(Registers, k) == 2560 &&
              offsetof(Registers, tile_config) == 2624 && offsetof(Registers, tile) == 2688 &&
              offsetof(Registers, in_use) == 10880);

bool tiles = false;

uint32_t find_level() {
    uint32_t l = kSse;
    if (__builtin_cpu_supports("avx")) l |= kAvx;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) l |= kAvx512;
    unsigned a, b, c, d;
    if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d) && a & 4) l |= kInUse;
    return l;
}

int width() { return level() & kAvx512 ? 64 : level() & kAvx ? 32 : 16; }
int vectors() { return level() & kAvx512 ? 32 : 16; }

std::string hex(const void* at, size_t bytes) {
    std::string text;
    for (size_t i = 0; i < bytes; i++) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", static_cast<const uint8_t*>(at)[i]);
        text += two;
    }
    return text;
}

// Every part that both have and that the mask of the CPU's registers lets us look at.
template <class Visit>
void compare(const Registers& a, const Registers& b, Visit visit) {
    visit("x87 control word", -1, a.fx, b.fx, 2);
    visit("x87 tags", -1, a.fx + 4, b.fx + 4, 1);
    visit("MXCSR", -1, a.fx + 24, b.fx + 24, 4);
    for (int i = 0; i < 8; i++) visit("st", i, a.fx + 32 + 16 * i, b.fx + 32 + 16 * i, 10);
    for (int i = 0; i < vectors(); i++) visit("vector ", i, a.zmm[i], b.zmm[i], size_t(width()));
    if (level() & kAvx512)
        for (int i = 0; i < 8; i++) visit("k", i, &a.k[i], &b.k[i], 8);
    if (level() & kAmx) {
        visit("tile configuration", -1, a.tile_config, b.tile_config, 64);
        for (int i = 0; i < 8; i++) visit("tile ", i, a.tile[i], b.tile[i], 1024);
    }
}

// Names of what differs; values of the first.
class Differences {
  public:
    void operator()(const char* name, int number, const void* expected, const void* found,
                    size_t bytes) {
        if (memcmp(expected, found, bytes) == 0) return;
        const std::string full = name + (number < 0 ? "" : std::to_string(number));
        if (text_.empty())
            text_ = full + ": expected " + hex(expected, bytes) + ", found " + hex(found, bytes);
        else
            text_ += ", and " + full;
    }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

// Where XSAVE's standard form has a component; 0: nowhere.
size_t place_of(unsigned component) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(0xd, component, &a, &b, &c, &d)) return 0;
    return b;
}

template <class Copy>  // copy(register's bytes, image's bytes, size)
void each_part(Registers& r, uint8_t* image, Copy copy) {
    copy(r.fx, image, 416);
    for (int i = 0; i < 16; i++) copy(r.zmm[i], image + 160 + 16 * i, 16);
    if (level() & kAvx)
        for (int i = 0; i < 16; i++) copy(r.zmm[i] + 16, image + place_of(2) + 16 * i, 16);
    if (level() & kAvx512) {
        for (int i = 0; i < 8; i++)
            copy(reinterpret_cast<uint8_t*>(&r.k[i]), image + place_of(5) + 8 * i, 8);
        for (int i = 0; i < 16; i++) copy(r.zmm[i] + 32, image + place_of(6) + 32 * i, 32);
        for (int i = 16; i < 32; i++) copy(r.zmm[i], image + place_of(7) + 64 * (i - 16), 64);
    }
    if (level() & kAmx) {
        copy(r.tile_config, image + place_of(17), 64);
        for (int i = 0; i < 8; i++) copy(r.tile[i], image + place_of(18) + 1024 * i, 1024);
    }
}

// splitmix64: patterns are made hundreds of thousands of times
struct Random {
    uint64_t state;
    uint64_t operator()() {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
};

}  // namespace

extern "C" void umcg_test_hold(Hold*);

uint32_t level() {
    static const uint32_t l = find_level();
    return tiles ? l | kAmx : l;
}

std::string level_text() {
    return std::string("x87 SSE") + (level() & kAvx ? " AVX" : "") +
           (level() & kAvx512 ? " AVX-512" : "") + (level() & kAmx ? " AMX" : "");
}

bool use_tiles(std::string* why) {
    constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
    if (!tiles && syscall(SYS_arch_prctl, kRequest, kTileData) != 0) {
        *why = std::string("no AMX: arch_prctl(ARCH_REQ_XCOMP_PERM, 18): ") + strerror(errno);
        return false;
    }
    return tiles = true;
}

Registers::Registers() { memset(static_cast<void*>(this), 0, sizeof(*this)); }

// Valid 80-bit numbers, random vectors, and control words that are not the default.
Registers::Registers(uint64_t stream) : Registers() {
    Random r{stream * 0x2545f4914f6cdd1d + 1};
    auto fill = [&r](void* at, size_t bytes) {
        for (size_t i = 0; i < bytes; i += 8) {
            const uint64_t v = r();
            memcpy(static_cast<uint8_t*>(at) + i, &v, 8);
        }
    };
    const uint16_t fcw = uint16_t(0x037f | (r() % 4) << 10);          // rounding
    const uint32_t mxcsr = uint32_t(0x1f80 | (r() % 4) << 13);
    memcpy(fx, &fcw, 2);
    fx[4] = 0xff;  // all eight in use
    memcpy(fx + 24, &mxcsr, 4);
    for (int i = 0; i < 8; i++) {
        uint8_t* st = fx + 32 + 16 * i;
        fill(st, 8);
        st[7] |= 0x80;  // the integer bit
        st[8] = 0xff, st[9] = 0x3f;
    }
    for (auto& z : zmm) fill(z, sizeof(z));
    for (int i = 0; i < 16; i++) memcpy(fx + 160 + 16 * i, zmm[i], 16);
    fill(k, sizeof(k));
    if (!(level() & kAmx)) return;
    tile_config[0] = 1;  // palette: eight tiles of 16 rows of 64 bytes
    for (int i = 0; i < 8; i++) {
        tile_config[16 + 2 * i] = 64;
        tile_config[48 + i] = 16;
        fill(tile[i], sizeof(tile[i]));
    }
}

std::string difference(const Registers& expected, const Registers& found) {
    Differences d;
    compare(expected, found, [&d](auto... part) { d(part...); });
    return d.text();
}

bool same(const Registers& expected, const Registers& found) {
    bool equal = true;
    compare(expected, found, [&equal](const char*, int, const void* a, const void* b, size_t n) {
        equal &= memcmp(a, b, n) == 0;
    });
    return equal;
}

std::string not_initial(const Registers& found, uint64_t mask) {
    static const uint8_t zero[64] = {};
    Differences d;
    for (int i = 0; i < vectors(); i++) {
        if (i < 16 && mask & 0x4 && level() & kAvx)
            d("AVX's part of vector ", i, zero, found.zmm[i] + 16, 16);
        if (i < 16 && mask & 0x40 && level() & kAvx512)
            d("AVX-512's part of vector ", i, zero, found.zmm[i] + 32, 32);
        if (i >= 16 && mask & 0x80) d("vector ", i, zero, found.zmm[i], 64);
    }
    if (mask & 0x20 && level() & kAvx512)
        for (int i = 0; i < 8; i++) d("k", i, zero, &found.k[i], 8);
    if (mask & 0x60000 && level() & kAmx) d("tile configuration", -1, zero, found.tile_config, 64);
    return d.text();
}

std::string taken_from(const Registers& other, const Registers& found) {
    std::vector<uint64_t> theirs;
    auto word = [](const uint8_t* at) {
        uint64_t v;
        memcpy(&v, at, 8);
        return v;
    };
    for (int i = 0; i < vectors(); i++)
        for (int at = 0; at < width(); at += 8) theirs.push_back(word(other.zmm[i] + at));
    if (level() & kAvx512) theirs.insert(theirs.end(), other.k, other.k + 8);
    std::sort(theirs.begin(), theirs.end());
    auto known = [&](uint64_t v) {
        return v && std::binary_search(theirs.begin(), theirs.end(), v);
    };
    for (int i = 0; i < vectors(); i++)
        for (int at = 0; at < width(); at += 8)
            if (known(word(found.zmm[i] + at)))
                return "vector " + std::to_string(i) + ": " + hex(found.zmm[i] + at, 8);
    if (level() & kAvx512)
        for (int i = 0; i < 8; i++)
            if (known(found.k[i])) return "k" + std::to_string(i) + ": " + hex(&found.k[i], 8);
    if (level() & kAmx && found.tile_config[0])
        for (int i = 0; i < 8; i++)
            if (memcmp(found.tile[i], other.tile[i], 1024) == 0) return "tile " + std::to_string(i);
    return "";
}

void from_image(Registers& r, const void* image) {
    r = Registers();
    each_part(r, static_cast<uint8_t*>(const_cast<void*>(image)),
              [](uint8_t* mine, const uint8_t* theirs, size_t n) { memcpy(mine, theirs, n); });
}

void to_image(const Registers& r, void* image) {
    Registers copy = r;
    each_part(copy, static_cast<uint8_t*>(image),
              [](const uint8_t* mine, uint8_t* theirs, size_t n) { memcpy(theirs, mine, n); });
    // the header: all of it is there
    uint64_t have = 3 | (level() & kAvx ? 4 : 0) | (level() & kAvx512 ? 0xe0 : 0) |
                    (level() & kAmx ? 0x60000 : 0);
    memcpy(static_cast<uint8_t*>(image) + 512, &have, 8);
}

long hold(const Registers& in, Registers& out, Operation o) {
    Hold h = {};
    h.in = &in;
    h.out = &out;
    h.level = level();
    h.kind = o.kind;
    h.number = o.number;
    h.a = o.a, h.b = o.b, h.c = o.c;
    umcg_test_hold(&h);
    return h.result;
}

}  // namespace umcg_test
