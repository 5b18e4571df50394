// SPDX-License-Identifier: MIT
// umcg_xstate_release(): what it puts back, what it must leave alone, who decides. Every check is
// shown to see: the negative controls at the end do what a release must not do, and are found out.
#include <gtest/gtest.h>
#include <umcg/xstate.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "child.hpp"
#include "registers.hpp"

using namespace umcg_test;

namespace {

umcg_xstate_decision policy() {
    umcg_xstate_decision p = {};
    p.size = sizeof(p);
    EXPECT_EQ(umcg_xstate_policy(&p), 0);
    return p;
}

int set(umcg_xstate_mode mode, uint32_t threads = 0) {
    umcg_xstate_options o = {};
    o.size = sizeof(o);
    o.mode = mode;
    o.threads = threads;
    return umcg_xstate_init(&o);
}

void release() { umcg_xstate_release(); }

// As if nobody had decided.
void forget() { umcg_xstate_mask_ = 1ULL << 63; }

// What a release leaves of the control state and of everything that it does not own.
void expect_kept(const Registers& in, const Registers& out) {
    Registers expected = in;
    memcpy(expected.zmm, out.zmm, sizeof(expected.zmm));
    memcpy(expected.k, out.k, sizeof(expected.k));
    memcpy(expected.tile_config, out.tile_config, sizeof(expected.tile_config));
    memcpy(expected.tile, out.tile, sizeof(expected.tile));
    EXPECT_EQ(difference(expected, out), "");
}

TEST(Xstate, AllIsReleasedAndNothingElse) {
    ASSERT_EQ(set(UMCG_XSTATE_ALL), 0);
    const umcg_xstate_decision p = policy();
    EXPECT_EQ(p.release, p.available);
    if (!p.available) GTEST_SKIP() << "nothing can be released here: " << level_text();
    printf("available: %#lx, registers: %s\n", static_cast<unsigned long>(p.available),
           level_text().c_str());
    for (uint64_t i = 0; i < 10000; i++) {
        const Registers in(i);
        Registers out;
        hold(in, out, call(release));
        EXPECT_EQ(not_initial(out, p.release), "");
        EXPECT_EQ(out.in_use & p.release, 0U);
        expect_kept(in, out);
        if (HasFailure()) FAIL() << "pattern " << i;
    }
}

// In a child: permission is for ever.
TEST(Xstate, Tiles) {
    if (!(policy().available & UMCG_XSTATE_AMX)) GTEST_SKIP() << "this CPU has no AMX";
    EXPECT_TRUE(in_child([] {
        std::string why;
        ASSERT_TRUE(use_tiles(&why)) << why;
        ASSERT_EQ(set(UMCG_XSTATE_ALL), 0);
        EXPECT_EQ(umcg_xstate_tiles_, 1U);
        for (uint64_t i = 0; i < 1000; i++) {
            const Registers in(i);
            Registers out;
            hold(in, out, call([] { umcg_xstate_release_tiles(); }));
            EXPECT_EQ(not_initial(out, UMCG_XSTATE_AMX), "");
            EXPECT_EQ(out.in_use & UMCG_XSTATE_AMX, 0U);
            hold(in, out, call(release));
            EXPECT_EQ(not_initial(out, UMCG_XSTATE_AMX), "");
            expect_kept(in, out);
        }
    }));
}

TEST(Xstate, NoneReleasesNothing) {
    ASSERT_EQ(set(UMCG_XSTATE_NONE), 0);
    EXPECT_EQ(policy().release, 0U);
    const Registers in(7);
    Registers out;
    hold(in, out, call(release));
    EXPECT_EQ(difference(in, out), "");
}

TEST(Xstate, ANewThreadHasNothingOfThePatterns) {
    ASSERT_EQ(set(UMCG_XSTATE_ALL), 0);
    const Registers secret(11);
    Registers here, there;
    hold(secret, here, call(release));
    std::thread([&] {
        Registers nothing;
        memcpy(nothing.fx, secret.fx, 32);
        hold(nothing, there, call(release));
    }).join();
    EXPECT_EQ(taken_from(secret, there), "");
}

// ---- who decides ----

TEST(Xstate, TheMeasurementDecides) {
    EXPECT_TRUE(in_child([] {
        unsetenv("UMCG_XSTATE");
        forget();
        const umcg_xstate_decision p = policy();
        EXPECT_EQ(p.size, sizeof(p));
        EXPECT_EQ(p.release & ~p.available, 0U);
        if (!p.available) {
            EXPECT_EQ(p.why, UMCG_XSTATE_WHY_CPU);
            EXPECT_EQ(p.threads, 0U);
            return;
        }
        EXPECT_EQ(p.why, UMCG_XSTATE_WHY_MEASURED);
        EXPECT_GT(p.threads, 0U);
        if (p.available & UMCG_XSTATE_AVX512) {
            EXPECT_GT(p.avx512_costs_ns, 0);
            EXPECT_EQ((p.release & UMCG_XSTATE_AVX512) != 0, p.avx512_saves_ns > p.avx512_costs_ns);
        }
        EXPECT_EQ((p.release & UMCG_XSTATE_AVX) != 0, p.avx_saves_ns > p.avx_costs_ns);
        ASSERT_EQ(set(UMCG_XSTATE_AUTO, 300), 0);
        EXPECT_EQ(policy().threads, 300U);
        // no number of threads: as it was
        ASSERT_EQ(set(UMCG_XSTATE_AUTO), 0);
        EXPECT_EQ(policy().threads, 300U);
        printf("avx saves %.1f costs %.1f ns, avx512 saves %.1f costs %.1f ns, releases %#lx\n",
               static_cast<double>(p.avx_saves_ns), static_cast<double>(p.avx_costs_ns),
               static_cast<double>(p.avx512_saves_ns), static_cast<double>(p.avx512_costs_ns),
               static_cast<unsigned long>(p.release));
    }));
}

// Only AVX and AVX-512 are tried, and they come back as any call may leave them; the rest as it was.
TEST(Xstate, TheMeasurementLeavesControlStateAlone) {
    ASSERT_EQ(set(UMCG_XSTATE_NONE), 0);
    const Registers in(3);
    Registers out;
    hold(in, out, call([] {
        umcg_xstate_options o = {};
        o.size = sizeof(o);
        o.mode = UMCG_XSTATE_ALL;
        umcg_xstate_init(&o);
        forget();
        o.mode = UMCG_XSTATE_AUTO;
        o.threads = 4;
        umcg_xstate_init(&o);
    }));
    EXPECT_EQ(memcmp(in.fx, out.fx, 2), 0) << "x87 control word";
    EXPECT_EQ(memcmp(in.fx + 24, out.fx + 24, 4), 0) << "MXCSR";
    EXPECT_EQ(memcmp(in.fx + 32, out.fx + 32, 128), 0) << "x87 registers";
}

TEST(Xstate, TheFirstReleaseDecides) {
    EXPECT_TRUE(in_child([] {
        setenv("UMCG_XSTATE", "all", 1);
        forget();
        const Registers in(5);
        Registers out;
        hold(in, out, call(release));
        EXPECT_EQ(umcg_xstate_mask_, policy().available);
        EXPECT_EQ(not_initial(out, policy().available), "");
        expect_kept(in, out);
    }));
}

TEST(Xstate, TheEnvironmentOverrides) {
    const uint64_t have = policy().available;
    const struct {
        const char* text;
        uint64_t release;
    } rows[] = {{"none", 0},
                {"all", have},
                {"avx", have & UMCG_XSTATE_AVX},
                {"avx512", have & UMCG_XSTATE_AVX512},
                {"avx512,amx", have & (UMCG_XSTATE_AVX512 | UMCG_XSTATE_AMX)}};
    for (const auto& row : rows)
        EXPECT_TRUE(in_child([&] {
            setenv("UMCG_XSTATE", row.text, 1);
            forget();
            const umcg_xstate_decision p = policy();
            EXPECT_EQ(p.release, row.release) << row.text;
            EXPECT_EQ(p.why, have ? UMCG_XSTATE_WHY_ENVIRONMENT : UMCG_XSTATE_WHY_CPU);
            EXPECT_EQ(p.threads, 0U);
            // the runtime asks so: the environment stays
            EXPECT_EQ(set(UMCG_XSTATE_AUTO, 100), 0);
            EXPECT_EQ(policy().release, row.release);
            EXPECT_EQ(set(UMCG_XSTATE_ALL), 0);
            EXPECT_EQ(policy().release, have);
        }));
    for (const char* bad : {"yes", "avx,", ",", "avx512x", "avx none"})
        EXPECT_TRUE(in_child([&] {
            setenv("UMCG_XSTATE", bad, 1);
            forget();
            errno = 1234;
            EXPECT_EQ(umcg_xstate_init(nullptr), -EINVAL) << bad;
            EXPECT_EQ(errno, 1234);
            EXPECT_EQ(policy().release, 0U);
            umcg_xstate_release();
        }));
}

TEST(Xstate, BadArguments) {
    umcg_xstate_options o = {};
    EXPECT_EQ(umcg_xstate_init(&o), -EINVAL) << "size 0";
    o.size = 1 << 20;
    EXPECT_EQ(umcg_xstate_init(&o), -EINVAL) << "size of 1 MB";
    o.size = sizeof(o);
    o.mode = static_cast<umcg_xstate_mode>(3);
    EXPECT_EQ(umcg_xstate_init(&o), -EINVAL) << "mode 3";
    struct {
        umcg_xstate_options o;
        char more[8];
    } longer = {};
    longer.o.size = sizeof(longer);
    longer.o.mode = UMCG_XSTATE_NONE;
    EXPECT_EQ(umcg_xstate_init(&longer.o), 0) << "a newer program's";
    longer.more[3] = 1;
    EXPECT_EQ(umcg_xstate_init(&longer.o), -EINVAL) << "with something unknown in it";
    umcg_xstate_decision p = {};
    EXPECT_EQ(umcg_xstate_policy(&p), -EINVAL) << "size 0";
}

// ---- negative controls: what must be seen ----

// XRSTOR as it must not be used: with AVX in the mask MXCSR comes from the image.
void release_with_avx() {
    alignas(64) static unsigned char image[576];
    asm volatile("xrstor64 %0" : : "m"(image), "a"(4), "d"(0) : "memory");
}

TEST(XstateControl, ALostControlWordIsSeen) {
    if (!(policy().available & UMCG_XSTATE_AVX)) GTEST_SKIP() << "no AVX here";
    const Registers in(2);
    Registers out;
    hold(in, out, call(release_with_avx));
    Registers expected = in;
    memcpy(expected.zmm, out.zmm, sizeof(expected.zmm));
    memcpy(expected.k, out.k, sizeof(expected.k));
    EXPECT_NE(difference(expected, out).find("MXCSR"), std::string::npos);
}

TEST(XstateControl, WhatWasNotReleasedIsSeen) {
    const uint64_t have = policy().available;
    if (!have) GTEST_SKIP() << "nothing can be released here";
    ASSERT_EQ(set(UMCG_XSTATE_NONE), 0);
    const Registers in(4);
    Registers out;
    hold(in, out, call(release));
    EXPECT_NE(not_initial(out, have), "");
    EXPECT_NE(out.in_use & have, 0U);
    EXPECT_NE(taken_from(in, out), "");
}

// One bit, in each of the registers in turn.
TEST(XstateControl, OneBitIsSeen) {
    const Registers in(6);
    for (int i = 0; i < (level() & kAvx512 ? 32 : 16); i++) {
        Registers out = in;
        out.zmm[i][level() & kAvx512 ? 63 : level() & kAvx ? 31 : 15] ^= 0x80;
        EXPECT_NE(difference(in, out), "") << i;
    }
    if (level() & kAvx512) {
        for (auto i = 0; i < 8; i++) {
            Registers out = in;
            out.k[i] ^= 1ULL << 63;
            EXPECT_NE(difference(in, out), "") << i;
        }
    }
    for (int at : {1, 25, 32, 152}) {
        Registers out = in;
        out.fx[at] ^= 0x04;
        EXPECT_NE(difference(in, out), "") << at;
    }
}

}  // namespace
