// SPDX-License-Identifier: MIT

// Goroutines under the open-loop load of bench/policies: one for each request. The generator is a thread of
// C's on the other CPU, which hands requests in through a pipe, the way in which Go's programs hear of
// anything from outside: a goroutine of the generator's own would need a processor of Go's.
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../policies -O2 -D_GNU_SOURCE
#cgo LDFLAGS: -llmdb -lpthread
#include <dirent.h>
#include "scan.h"

static struct load the_load;
static struct scan_data the_data;
static int pipe_ends[2];

static void *generate(void *unused)
{
	(void)unused;
	load_generate(&the_load);
	for (long i = 0; i < the_load.n; i++) {
		uint32_t number = (uint32_t)i;

		load_wait_for(&the_load, i);
		if (write(pipe_ends[1], &number, sizeof(number)) != sizeof(number))
			load_fail("the pipe");
	}
	close(pipe_ends[1]);
	return NULL;
}

// all threads that there are; those to come take over from these
static void keep_to_one_cpu(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(the_load.cpu, &one);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && sched_setaffinity(atoi(e->d_name), sizeof(one), &one))
			load_fail("sched_setaffinity");
	if (!d)
		load_fail("/proc/self/task");
	closedir(d);
}

static int begin(const char *schedule, const char *data)
{
	pthread_t generator;

	load_read(&the_load, schedule);
	keep_to_one_cpu();
	if (data[0])
		scan_open(&the_data, data);
	if (pipe2(pipe_ends, O_CLOEXEC) || fcntl(pipe_ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
		load_fail("pipe");
	if (pthread_create(&generator, NULL, generate, NULL))
		load_fail("pthread_create");
	return pipe_ends[0];
}

static struct load_request *requests(void) { return the_load.all; }
static long count(void) { return the_load.n; }
static int64_t *started(void) { return &the_load.start; }
static void scan_one(int number, int records) { scan(&the_data, number, records); }
static void end(const char *result) { load_write(&the_load, result); }
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func fail(what string) {
	fmt.Fprintln(os.Stderr, "bench: "+what)
	os.Exit(1)
}

// Go's own code, as the rest of a Go program is.
//
//go:noinline
func work(steps uint64) uint64 {
	x := uint64(1)
	for i := uint64(0); i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

var sink uint64

func stepsPerNs() float64 {
	const steps = 200000
	best := 0.0
	for i := 0; i < 60; i++ {
		before := time.Now()
		sink += work(steps)
		if got := steps / float64(time.Since(before).Nanoseconds()); got > best {
			best = got
		}
	}
	return best
}

// What C's clock shows at `origin` of Go's: of several tries the one that took least.
func clocks() (origin time.Time, shows int64) {
	best := time.Hour
	for i := 0; i < 1000; i++ {
		before := time.Now()
		c := int64(C.load_now())
		if took := time.Since(before); took < best {
			best, origin, shows = took, before, c
		}
	}
	return
}

func main() {
	data, records := "", 0
	switch {
	case len(os.Args) == 4 && os.Args[1] == "cpu":
	case len(os.Args) == 6 && os.Args[1] == "scan":
		data = os.Args[4]
		records, _ = strconv.Atoi(os.Args[5])
	default:
		fmt.Fprintf(os.Stderr, "usage: %s cpu SCHEDULE RESULT | scan SCHEDULE RESULT DATA RECORDS\n", os.Args[0])
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	steps := stepsPerNs()
	origin, shows := clocks()
	number := func(t time.Time) int64 { return t.Sub(origin).Nanoseconds() + shows }

	fd := int(C.begin(C.CString(os.Args[2]), C.CString(data)))
	if err := syscall.SetNonblock(fd, true); err != nil {
		fail(err.Error())
	}
	in := os.NewFile(uintptr(fd), "requests")
	n := int(C.count())
	all := unsafe.Slice((*C.struct_load_request)(unsafe.Pointer(C.requests())), n)
	// written before the first request is handed in
	started := (*int64)(unsafe.Pointer(C.started()))
	var left sync.WaitGroup
	serve := func(i int) {
		r := &all[i]
		if data != "" && r.klass != 0 {
			C.scan_one(r.number, C.int(records))
		} else {
			sum := work(uint64(steps * float64(r.service)))
			if sum == 0 {
				fail("a sum is 0")
			}
		}
		r.latency = C.int64_t(number(time.Now()) - *started - int64(r.at))
		left.Done()
	}
	buffer := make([]byte, 4096)
	kept := 0
	for {
		got, err := in.Read(buffer[kept:])
		kept += got
		whole := kept / 4 * 4
		for at := 0; at < whole; at += 4 {
			left.Add(1)
			go serve(int(binary.LittleEndian.Uint32(buffer[at:])))
		}
		copy(buffer, buffer[whole:kept])
		kept -= whole
		if err == io.EOF {
			break
		}
		if err != nil {
			fail(err.Error())
		}
	}
	left.Wait()
	C.end(C.CString(os.Args[3]))
	fmt.Printf("steps_per_ns\t%.4f\n", steps)
}
