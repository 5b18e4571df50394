// SPDX-License-Identifier: MIT
/*
 * For kernels whose programs cannot wake a server: a thread of the library sleeps
 * on the program's ring buffer and reports for all servers. What is in the ring
 * does not matter, it is the queue that counts; the thread's sleep is a server's,
 * see shared.h, in slot 0 and with poll() for the futex.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "bpf.h"

static struct {
	struct umcg_bpf_slot *slot;
	/* of the ring: how far it was read and written, in bytes */
	unsigned long *taken, *written;
	int fd;
} bell;

static void *bell_thread(void *unused)
{
	struct pollfd ring = { .fd = bell.fd, .events = POLLIN };

	(void)unused;
	for (;;) {
		__atomic_store_n(&bell.slot->waiting, UMCG_BPF_ASLEEP, __ATOMIC_SEQ_CST);	/* Q1 */
		if (bpf_queue_empty())
			poll(&ring, 1, -1);
		__atomic_store_n(&bell.slot->waiting, UMCG_BPF_AWAKE, __ATOMIC_SEQ_CST);
		/*
		 * Make room. A record that is just being written is skipped; what it
		 * stands for was put on the queue before, and is taken now.
		 */
		__atomic_store_n(bell.taken, __atomic_load_n(bell.written, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
		bpf_take_queue();
	}
	return NULL;
}

static int map_ring(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	bell.taken = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, bell.fd, 0);
	if (bell.taken == MAP_FAILED)
		return -errno;
	bell.written = mmap(NULL, page, PROT_READ, MAP_SHARED, bell.fd, (off_t)page);
	return bell.written == MAP_FAILED ? -errno : 0;
}

int bpf_start_bell_thread(const struct bpf_loaded *loaded)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int err;

	bell.slot = &loaded->slots[UMCG_BPF_QUEUE];
	bell.fd = loaded->map;
	err = map_ring();
	if (!err)
		err = -pthread_attr_init(&attr);
	if (err)
		return err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, bell_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}
