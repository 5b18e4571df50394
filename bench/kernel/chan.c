// SPDX-License-Identifier: MIT
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "chan.h"

void futex_wait(uint32_t *word, uint32_t value, int op_flags)
{
	if (syscall(SYS_futex, word, FUTEX_WAIT | op_flags, value, NULL, NULL, 0) < 0 &&
	    errno != EAGAIN && errno != EINTR)
		fail("futex wait: %s", strerror(errno));
}

void futex_wake(uint32_t *word, int op_flags)
{
	if (syscall(SYS_futex, word, FUTEX_WAKE | op_flags, 1, NULL, NULL, 0) < 0)
		fail("futex wake: %s", strerror(errno));
}

static int op_flags(const struct chan *c)
{
	return c->kind == CHAN_FUTEX ? FUTEX_PRIVATE_FLAG : 0;
}

void chan_open(struct chan *c, enum chan_kind kind)
{
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	if (kind == CHAN_PIPE && pipe(c->fd))
		fail("pipe: %s", strerror(errno));
}

void chan_send(struct chan *c)
{
	char token = 0;

	if (c->kind == CHAN_PIPE) {
		if (write(c->fd[1], &token, 1) != 1)
			fail("write to a pipe: %s", strerror(errno));
		return;
	}
	__atomic_add_fetch(&c->tokens, 1, __ATOMIC_SEQ_CST);
	futex_wake(&c->tokens, op_flags(c));
}

void chan_recv(struct chan *c)
{
	char token;

	if (c->kind == CHAN_PIPE) {
		if (read(c->fd[0], &token, 1) != 1)
			fail("read from a pipe: %s", strerror(errno));
		return;
	}
	while (!__atomic_load_n(&c->tokens, __ATOMIC_SEQ_CST))
		futex_wait(&c->tokens, 0, op_flags(c));
	__atomic_sub_fetch(&c->tokens, 1, __ATOMIC_SEQ_CST);
}
