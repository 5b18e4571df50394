// SPDX-License-Identifier: MIT

// Goroutines for what the runtime's tasks do.
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../runtime -O2 -D_GNU_SOURCE
#include "cold.h"
#include "faults.h"
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const unknownCase = 64

// As in bench/runtime/measure.hpp.
const timersPending = 10_000
const timersDue = time.Second

func fail(what string) {
	fmt.Fprintln(os.Stderr, "bench: "+what)
	os.Exit(1)
}

type stopwatch struct {
	wall time.Time
	cpu  int64
}

func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail("getrusage: " + err.Error())
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func start() stopwatch { return stopwatch{time.Now(), cpu()} }

func (w stopwatch) report(operations int) {
	wall := time.Since(w.wall)
	used := cpu() - w.cpu
	fmt.Printf("wall_ns\t%.3f\ncpu_ns\t%.3f\n", float64(wall.Nanoseconds())/float64(operations),
		float64(used)/float64(operations))
}

var input = bufio.NewReader(os.Stdin)

func stage(name string) {
	fmt.Printf("stage\t%s\n", name)
	if _, err := input.ReadByte(); err != nil {
		os.Exit(0)
	}
}

func yields(n int) {
	runtime.GOMAXPROCS(1)
	half := func() {
		for i := 0; i < n/2; i++ {
			runtime.Gosched()
		}
	}
	done := make(chan bool)
	go func() {
		half()
		done <- true
	}()
	w := start()
	half()
	<-done
	w.report(n)
}

func spawnJoin(n int) {
	runtime.GOMAXPROCS(1)
	var all sync.WaitGroup
	w := start()
	for i := 0; i < n; i++ {
		all.Add(1)
		go all.Done()
		all.Wait()
	}
	w.report(n)
}

func channels(n int) {
	runtime.GOMAXPROCS(1)
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	w := start()
	for i := 0; i < n; i++ {
		there <- i
		if <-back != i {
			fail("channel: another value came back")
		}
	}
	w.report(n)
	close(there)
}

func contend(n int, hold func()) {
	const contenders = 8
	var m sync.Mutex
	var all sync.WaitGroup
	count := 0
	w := start()
	for t := 0; t < contenders; t++ {
		all.Add(1)
		go func() {
			for i := 0; i < n/contenders; i++ {
				m.Lock()
				count++
				hold()
				m.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	w.report(n)
	if count != n/contenders*contenders {
		fail("mutex: a count was lost")
	}
}

func mutexHeld(n int) {
	runtime.GOMAXPROCS(1)
	contend(n, runtime.Gosched)
}

func mutexTwoCpus(n int) {
	runtime.GOMAXPROCS(2)
	contend(n, func() {})
}

func timers(n int) {
	runtime.GOMAXPROCS(1)
	var all sync.WaitGroup
	w := start()
	for t := 0; t < n; t++ {
		all.Add(1)
		go func(t int) {
			for i := 0; i < 10; i++ {
				time.Sleep(time.Millisecond + time.Duration((t*7919+i*104729)%1000)*time.Microsecond)
			}
			all.Done()
		}(t)
	}
	all.Wait()
	w.report(n * 10)
}

func timerInsert(n int) {
	runtime.GOMAXPROCS(1)
	nothing := func() {}
	at := func(i int) time.Duration { return time.Hour + time.Duration(i*104729%10007)*time.Microsecond }
	var others []*time.Timer
	for i := 0; i < timersPending; i++ {
		others = append(others, time.AfterFunc(at(i), nothing))
	}
	mine := time.AfterFunc(time.Hour, nothing)
	mine.Stop()
	w := start()
	for i := 0; i < n; i++ {
		mine.Reset(at(i))
		mine.Stop()
	}
	w.report(n)
	for _, t := range others {
		t.Stop()
	}
}

func timerFire(n int) {
	runtime.GOMAXPROCS(1)
	var all sync.WaitGroup
	due := time.Now().Add(timersDue)
	for t := 0; t < n; t++ {
		all.Add(1)
		go func() {
			time.Sleep(time.Until(due))
			all.Done()
		}()
	}
	time.Sleep(time.Until(due) - timersDue/10)
	if !time.Now().Before(due) {
		fail("this machine is too slow: the timers were due before they were set")
	}
	w := start()
	all.Wait()
	w.report(n)
}

func sum(result chan int, number, leaves int) {
	if leaves <= 1 {
		result <- number
		return
	}
	children := make(chan int)
	each := leaves / 10
	for i := 0; i < 10; i++ {
		go sum(children, number+i*each, each)
	}
	total := 0
	for i := 0; i < 10; i++ {
		total += <-children
	}
	result <- total
}

func skynet(n int) {
	runtime.GOMAXPROCS(2)
	result := make(chan int)
	w := start()
	go sum(result, 0, n)
	total := <-result
	w.report(1)
	if total != n*(n-1)/2 {
		fail("skynet: wrong sum")
	}
}

func fibonacci(n int) int {
	if n < 2 {
		return n
	}
	left := make(chan int)
	go func() { left <- fibonacci(n - 1) }()
	right := fibonacci(n - 2)
	return <-left + right
}

func fib(n int) {
	runtime.GOMAXPROCS(2)
	w := start()
	result := fibonacci(n)
	w.report(1)
	a, b := 0, 1
	for i := 0; i < n; i++ {
		a, b = b, a+b
	}
	if result != a {
		fail("fib: wrong number")
	}
}

func parked(n int) {
	runtime.GOMAXPROCS(2)
	never, up := make(chan int), make(chan int)
	stage("empty")
	for i := 0; i < n; i++ {
		go func() {
			up <- 0
			<-never
		}()
	}
	for i := 0; i < n; i++ {
		<-up
	}
	stage("parked")
	os.Exit(0)
}

const stormTasks, stormWaits = 64, 10

func storm(wait func(t, i int)) {
	runtime.GOMAXPROCS(2)
	var all sync.WaitGroup
	w := start()
	for t := 0; t < stormTasks; t++ {
		all.Add(1)
		go func(t int) {
			for i := 0; i < stormWaits; i++ {
				wait(t, i)
			}
			all.Done()
		}(t)
	}
	all.Wait()
	w.report(1)
}

func syscallStorm(int) {
	storm(func(t, i int) {
		ms := syscall.Timespec{Nsec: 1000000}
		syscall.Nanosleep(&ms, nil)
	})
}

// Touched by Go's own code: a C call would give its processor away.
func faultStorm(int) {
	var pages C.struct_late_pages
	if C.late_pages_init(&pages, stormTasks*stormWaits, 1000000) != 0 {
		fail("no userfaultfd here")
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(pages.memory)), stormTasks*stormWaits*C.FAULT_PAGE)
	storm(func(t, i int) { memory[(t*stormWaits+i)*C.FAULT_PAGE] = 1 })
	C.late_pages_end(&pages)
}

func cold(n int) {
	if n > C.COLD_MOST {
		fail("cold: more reads than the file has pages")
	}
	fd := int(C.cold_open())
	if fd < 0 {
		fail("no file in /var/tmp that could be read from the disk")
	}
	runtime.GOMAXPROCS(2)
	var all sync.WaitGroup
	w := start()
	for t := 0; t < C.COLD_TASKS; t++ {
		all.Add(1)
		go func(t int) {
			page := make([]byte, C.COLD_PAGE)
			for i := 0; i < n; i++ {
				// as cold_offset(): a call of C's would be one more that may block
				at := int64((t*n+i)*7919%C.COLD_PAGES) * C.COLD_PAGE
				if got, err := syscall.Pread(fd, page, at); err != nil || got != C.COLD_PAGE {
					fail("read")
				}
			}
			all.Done()
		}(t)
	}
	all.Wait()
	w.report(n * C.COLD_TASKS)
}

func main() {
	cases := map[string]func(int){
		"yield": yields, "spawn_join": spawnJoin, "channel": channels, "mutex": mutexHeld,
		"mutex_2": mutexTwoCpus, "timer": timers, "timer_insert": timerInsert, "timer_fire": timerFire,
		"skynet": skynet, "fib": fib, "parked": parked,
		"syscalls": syscallStorm, "faults": faultStorm, "cold": cold,
	}
	n := 0
	if len(os.Args) == 3 {
		n, _ = strconv.Atoi(os.Args[2])
	}
	if n < 1 {
		fmt.Fprintf(os.Stderr, "usage: %s CASE N\n", os.Args[0])
		os.Exit(2)
	}
	run, ok := cases[os.Args[1]]
	if !ok {
		os.Exit(unknownCase)
	}
	run(n)
}
