// SPDX-License-Identifier: MIT

// A goroutine for each client. echo_go SIZE
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../../io -O2 -D_GNU_SOURCE
#include "frame.h"
*/
import "C"

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
)

const stallNs = int64(C.FRAME_STALL_NS)

// In Go, so that its scheduler may preempt it; a loop of C's could not be.
func burn() {
	var usage, end syscall.Rusage
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const threadUsage = 1 // RUSAGE_THREAD
	syscall.Getrusage(threadUsage, &usage)
	for {
		syscall.Getrusage(threadUsage, &end)
		if end.Utime.Nano()+end.Stime.Nano()-usage.Utime.Nano()-usage.Stime.Nano() >= stallNs {
			return
		}
	}
}

func serve(client net.Conn, size int) {
	defer client.Close()
	message := make([]byte, size)
	for {
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		switch message[0] {
		case C.FRAME_BURN:
			burn()
		case C.FRAME_BLOCK:
			t := syscall.NsecToTimespec(stallNs)
			syscall.Nanosleep(&t, nil)
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

func main() {
	size := 0
	if len(os.Args) == 2 {
		size, _ = strconv.Atoi(os.Args[1])
	}
	if size < 1 || size > C.FRAME_MOST {
		fmt.Fprintln(os.Stderr, "usage: echo_go SIZE")
		os.Exit(2)
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("port\t%d\n", listener.Addr().(*net.TCPAddr).Port)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		os.Exit(0)
	}()
	for {
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(client, size)
	}
}
