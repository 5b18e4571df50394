// SPDX-License-Identifier: MIT

// GET, SET and ECHO of the Redis protocol over LMDB: a goroutine for each client, which calls LMDB as examples/kv
// does: a page that is not in memory blocks the thread, of which Go's runtime learns as of any call of C's.
// kv_go DIRECTORY PORT
package main

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -llmdb
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static MDB_env *env;
static MDB_dbi dbi;

static int kv_open(const char *dir)
{
	MDB_txn *t;
	int err = mdb_env_create(&env);

	if (!err) err = mdb_env_set_mapsize(env, 64UL << 30);
	if (!err) err = mdb_env_set_maxreaders(env, 2000);
	if (!err) err = mdb_env_open(env, dir, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOSYNC, 0600);
	if (!err) err = mdb_txn_begin(env, NULL, 0, &t);
	if (!err) err = mdb_dbi_open(t, NULL, 0, &dbi);
	return err ? err : mdb_txn_commit(t);
}

// The value's length; -1: there is none, -2: an error, or it is longer than `most`
static long kv_get(MDB_txn **t, const void *key, size_t n, void *to, size_t most)
{
	MDB_val k = { n, (void *)key }, v;
	int err = *t ? mdb_txn_renew(*t) : mdb_txn_begin(env, NULL, MDB_RDONLY, t);

	if (err) return -2;
	err = mdb_get(*t, dbi, &k, &v);
	if (!err && v.mv_size <= most) memcpy(to, v.mv_data, v.mv_size);
	mdb_txn_reset(*t);
	return err == MDB_NOTFOUND ? -1 : err || v.mv_size > most ? -2 : (long)v.mv_size;
}

static int kv_set(const void *key, size_t n, const void *value, size_t size)
{
	MDB_val k = { n, (void *)key }, v = { size, (void *)value };
	MDB_txn *t;
	int err = mdb_txn_begin(env, NULL, 0, &t);

	if (err) return err;
	err = mdb_put(t, dbi, &k, &v, 0);
	if (err) { mdb_txn_abort(t); return err; }
	return mdb_txn_commit(t);
}

static void kv_end(MDB_txn *t) { if (t) mdb_txn_abort(t); }
// not closed: a client may be in the middle of a call
static void kv_sync(void) { mdb_env_sync(env, 1); }
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const mostValue = 1 << 16

var errProtocol = errors.New("not the protocol")

func number(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 3 || line[0] != kind {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(line[1 : len(line)-2])
	if err != nil || n < 0 || n > mostValue {
		return 0, errProtocol
	}
	return n, nil
}

func request(in *bufio.Reader) ([][]byte, error) {
	// redis-cli ends a pipe with an empty line
	for {
		next, err := in.Peek(1)
		if err != nil {
			return nil, err
		}
		if next[0] != '\r' && next[0] != '\n' {
			break
		}
		in.Discard(1)
	}
	n, err := number(in, '*')
	if err != nil || n == 0 || n > 16 {
		return nil, errProtocol
	}
	words := make([][]byte, n)
	for i := range words {
		size, err := number(in, '$')
		if err != nil {
			return nil, err
		}
		words[i] = make([]byte, size+2)
		if _, err := io.ReadFull(in, words[i]); err != nil {
			return nil, err
		}
		words[i] = words[i][:size]
	}
	return words, nil
}

func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

func serve(client net.Conn) {
	defer client.Close()
	in, out := bufio.NewReaderSize(client, 16384), bufio.NewWriterSize(client, 16384)
	defer out.Flush()
	value := make([]byte, mostValue)
	txn := (**C.MDB_txn)(C.calloc(1, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer func() {
		C.kv_end(*txn)
		C.free(unsafe.Pointer(txn))
	}()
	for {
		words, err := request(in)
		if err != nil {
			return
		}
		switch name := strings.ToUpper(string(words[0])); {
		case name == "GET" && len(words) == 2:
			n := C.kv_get(txn, pointer(words[1]), C.size_t(len(words[1])), pointer(value), mostValue)
			switch {
			case n == -1:
				out.WriteString("$-1\r\n")
			case n < 0:
				out.WriteString("-ERR it cannot be read\r\n")
			default:
				fmt.Fprintf(out, "$%d\r\n", int(n))
				out.Write(value[:n])
				out.WriteString("\r\n")
			}
		case name == "SET" && len(words) == 3:
			if C.kv_set(pointer(words[1]), C.size_t(len(words[1])), pointer(words[2]), C.size_t(len(words[2]))) != 0 {
				out.WriteString("-ERR it cannot be written\r\n")
			} else {
				out.WriteString("+OK\r\n")
			}
		case name == "ECHO" && len(words) == 2:
			fmt.Fprintf(out, "$%d\r\n%s\r\n", len(words[1]), words[1])
		default:
			out.WriteString("-ERR unknown command\r\n")
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: kv_go DIRECTORY PORT")
		os.Exit(2)
	}
	if err := C.kv_open(C.CString(os.Args[1])); err != 0 {
		fmt.Fprintln(os.Stderr, "kv_go:", os.Args[1], C.GoString(C.mdb_strerror(err)))
		os.Exit(1)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "kv_go:", err)
		os.Exit(1)
	}
	fmt.Printf("kv_go: ready on %s, GOMAXPROCS %d\n", listener.Addr(), runtime.GOMAXPROCS(0))
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	<-end
	C.kv_sync()
}
