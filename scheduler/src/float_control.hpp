// SPDX-License-Identifier: MIT
//
// MXCSR and the x87 control word: rounding, exception masks, flush to zero. The calling convention
// keeps them across calls, so they are what is left to switch of the floating-point state.
#ifndef UMCG_SRC_FLOAT_CONTROL_HPP
#define UMCG_SRC_FLOAT_CONTROL_HPP

#include <cstdint>

namespace umcg::detail {

struct float_control {
    uint32_t mxcsr = 0x1f80;
    uint32_t x87 = 0x037f;  // 16 bits of it

    // Storing them is slow to be followed by a look at the result (15 cycles or more): only where a
    // task is known to have its own.
    static float_control read() noexcept {
        float_control c;
        uint16_t word;
        asm volatile("stmxcsr %0" : "=m"(c.mxcsr));
        asm volatile("fnstcw %0" : "=m"(word));
        c.x87 = word;
        return c;
    }
    void load() const noexcept {
        const auto word = static_cast<uint16_t>(x87);
        asm volatile("ldmxcsr %0" : : "m"(mxcsr));
        asm volatile("fldcw %0" : : "m"(word));
    }
    // MXCSR's status flags, the lowest six bits, are nobody's after a call.
    bool differs(const float_control& other) const noexcept {
        return ((mxcsr ^ other.mxcsr) & 0xffc0) | (x87 ^ other.x87);
    }
};

}  // namespace umcg::detail

#endif
