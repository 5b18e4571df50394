/* SPDX-License-Identifier: MIT */
/*
 * A SCAN that really waits: consecutive records of an LMDB data set that is not in memory, a page each,
 * read through the memory map without readahead, so that each is a page fault and a read from the disk.
 */
#ifndef BENCH_POLICIES_SCAN_H
#define BENCH_POLICIES_SCAN_H

#include <fcntl.h>
#include <lmdb.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

enum { SCAN_RECORDS = 65536, SCAN_VALUE = 4000 }; /* 256 MB */

struct scan_data {
	MDB_env *env;
	MDB_dbi dbi;
};

static inline void scan_check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, mdb_strerror(err));
	exit(1);
}

static inline MDB_val scan_key(uint32_t n, unsigned char bytes[4])
{
	MDB_val key = {4, bytes};

	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(n >> (24 - 8 * i));
	return key;
}

static inline void scan_make(const char *path)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	static char bytes[SCAN_VALUE];

	scan_check(mdb_env_create(&env), "mdb_env_create");
	scan_check(mdb_env_set_mapsize(env, (size_t)1 << 30), "mdb_env_set_mapsize");
	scan_check(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC, 0600), path);
	scan_check(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
	scan_check(mdb_dbi_open(txn, NULL, 0, &dbi), "mdb_dbi_open");
	for (uint32_t n = 0; n < SCAN_RECORDS; n++) {
		unsigned char k[4];
		MDB_val key = scan_key(n, k), value = {SCAN_VALUE, bytes};

		memset(bytes, (int)(n % 251), sizeof(bytes));
		scan_check(mdb_put(txn, dbi, &key, &value, MDB_APPEND), "mdb_put");
	}
	scan_check(mdb_txn_commit(txn), "mdb_txn_commit");
	scan_check(mdb_env_sync(env, 1), "mdb_env_sync");
	mdb_env_close(env);
}

/* Put the file out of memory; the share of it that is still there. Before scan_open(): what is mapped stays. */
static inline double scan_evict(const char *path)
{
	struct stat st;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t pages, in = 0;
	unsigned char *there;
	void *map;

	if (fd < 0 || fstat(fd, &st))
		load_fail("the data set cannot be opened");
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		load_fail("the data set cannot be put out of memory");
	pages = ((size_t)st.st_size + 4095) / 4096;
	there = (unsigned char *)calloc(pages, 1);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (!there || map == MAP_FAILED || mincore(map, (size_t)st.st_size, there))
		load_fail("mincore");
	for (size_t i = 0; i < pages; i++)
		in += there[i] & 1;
	munmap(map, (size_t)st.st_size);
	free(there);
	close(fd);
	return (double)in / (double)pages;
}

static inline void scan_open(struct scan_data *d, const char *path)
{
	MDB_txn *txn;

	scan_check(mdb_env_create(&d->env), "mdb_env_create");
	scan_check(mdb_env_set_mapsize(d->env, (size_t)1 << 30), "mdb_env_set_mapsize");
	scan_check(mdb_env_set_maxreaders(d->env, 4096), "mdb_env_set_maxreaders");
	/* a read transaction belongs to a task, which may change threads */
	scan_check(mdb_env_open(d->env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD, 0600), path);
	scan_check(mdb_txn_begin(d->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
	scan_check(mdb_dbi_open(txn, NULL, 0, &d->dbi), "mdb_dbi_open");
	scan_check(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* The how manyth scan reads which records: no two of them the same, as long as there are enough. */
static inline void scan(struct scan_data *d, int number, int records)
{
	uint32_t first = (uint32_t)((int64_t)number * records % (SCAN_RECORDS - records));
	unsigned char k[4];
	MDB_val key = scan_key(first, k), value;
	MDB_txn *txn;
	MDB_cursor *cursor;

	scan_check(mdb_txn_begin(d->env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
	scan_check(mdb_cursor_open(txn, d->dbi, &cursor), "mdb_cursor_open");
	for (int i = 0; i < records; i++) {
		scan_check(mdb_cursor_get(cursor, &key, &value, i ? MDB_NEXT : MDB_SET_KEY), "mdb_cursor_get");
		if (value.mv_size != SCAN_VALUE ||
		    ((const volatile unsigned char *)value.mv_data)[SCAN_VALUE / 2] != (first + (uint32_t)i) % 251)
			load_fail("a record is not what was written");
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
}

#endif
