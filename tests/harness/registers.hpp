// SPDX-License-Identifier: MIT
// All registers that a program can see and that the kernel saves only when they are in use: filled
// with a pattern, left alone across one operation, read back.
//
//     const Registers in(1);                 // a pattern of its own for each number
//     Registers out;
//     hold(in, out, system_call(SYS_nanosleep, &nap));
//     EXPECT_EQ(difference(in, out), "");
//
// As many of them as the CPU has: x87 and SSE, AVX, AVX-512, and AMX where the process was given
// permission (use_tiles()).
#pragma once

#include <cstdint>
#include <string>

namespace umcg_test {

enum Level : uint32_t {
    kSse = 0,
    kAvx = 1,
    kAvx512 = 2,   // and AVX
    kAmx = 4,
    kInUse = 8,    // XGETBV(1) works: `in_use` is read
};
uint32_t level();           // of this CPU and process
std::string level_text();   // for people: "x87 SSE AVX AVX-512"
// Ask for AMX. False, with the reason in `why`: there is none.
bool use_tiles(std::string* why);

struct alignas(64) Registers {
    uint8_t fx[512];         // x87, MXCSR and XMM as FXSAVE lays them out
    uint8_t zmm[32][64];     // as far as there are any
    uint64_t k[8];
    uint8_t tile_config[64];
    uint8_t tile[8][1024];
    uint64_t in_use;         // hold()'s: the components that were, right after the operation
    Registers();             // nothing
    explicit Registers(uint64_t stream);
};

// What differs, by name, with both values of the first; "" if nothing does.
std::string difference(const Registers& expected, const Registers& found);
// The same without a call that could allocate: for a child of fork().
bool same(const Registers& expected, const Registers& found);
// What is not in its initial state among the components of `mask` (XCR0's bits: AVX, AVX-512, AMX).
std::string not_initial(const Registers& found, uint64_t mask);
// Does any vector register of `found` hold 8 bytes of one of `other`'s that are not 0? A leak.
std::string taken_from(const Registers& other, const Registers& found);

// What happens in between. No other instruction that touches a vector register does.
struct Operation {
    enum Kind : uint32_t { kSystemCall, kSpin, kTouch, kCall } kind;
    long number;
    long a, b, c;
    long result;
};
template <class A = long, class B = long, class C = long>
Operation system_call(long number, A a = 0, B b = 0, C c = 0) {
    return {Operation::kSystemCall, number, (long)a, (long)b, (long)c, 0};
}
// Until it is not 0.
inline Operation spin(const int* word) { return {Operation::kSpin, 0, (long)word, 0, 0, 0}; }
// Read a byte.
inline Operation touch(const void* at) { return {Operation::kTouch, 0, (long)at, 0, 0, 0}; }
// Code that follows the calling convention: what it leaves behind is what `out` shows.
inline Operation call(void (*function)()) {
    return {Operation::kCall, 0, (long)function, 0, 0, 0};
}

// Registers as ptrace(PTRACE_GETREGSET, NT_X86_XSTATE) and signal frames hold them: XSAVE's standard form.
void from_image(Registers& r, const void* image);
void to_image(const Registers& r, void* image);

// Fill the registers with `in`, do it, read them into `out`; MXCSR and x87 state are then the
// caller's again. Returns the operation's result (system calls).
long hold(const Registers& in, Registers& out, Operation operation);

}  // namespace umcg_test
