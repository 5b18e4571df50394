// SPDX-License-Identifier: MIT
// What the echo servers of this benchmark agree on: messages of a fixed size, each sent back as it is.
// The first byte of one says what the server does before.
#ifndef BENCH_IO_FRAME_H
#define BENCH_IO_FRAME_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum frame_kind {
    FRAME_PLAIN = 0,
    FRAME_BURN = 1,   // uses the CPU for 1 ms
    FRAME_BLOCK = 2,  // sleeps 1 ms in a plain system call
};

#define FRAME_STALL_NS 1000000
#define FRAME_MOST 65536

static inline int64_t frame_now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void frame_stall(unsigned char kind) {
    if (kind == FRAME_BURN) {
        // of its own time: whoever takes the CPU from it does not shorten it
        const int64_t end = frame_now(CLOCK_THREAD_CPUTIME_ID) + FRAME_STALL_NS;
        while (frame_now(CLOCK_THREAD_CPUTIME_ID) < end)
            ;
    } else if (kind == FRAME_BLOCK) {
        const struct timespec t = {.tv_sec = 0, .tv_nsec = FRAME_STALL_NS};
        nanosleep(&t, 0);
    }
}

// As many descriptors as are allowed: one for each connection.
static inline void frame_want_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// The only argument of a server: the size of its messages. Ends the program if it is none.
static inline size_t frame_size(int argc, char** argv) {
    const size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (size >= 1 && size <= FRAME_MOST) return size;
    fprintf(stderr, "usage: %s SIZE\n", argv[0]);
    exit(2);
}

#endif
