// SPDX-License-Identifier: MIT
/*
 * One server, two workers, first in first out; the server says what it sees.
 * The workers are plain threads with plain blocking calls.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <umcg/umcg.h>

#define WORKERS 2

static struct umcg_task *server, *workers[WORKERS];

/*
 * One write(), not printf(): a worker that blocks inside printf() is held with
 * stdout's lock, and the server that runs it must not wait for that lock.
 */
static void say(const char *who, const struct umcg_task *w, const char *what)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "%s%c %s\n", who, w == workers[0] ? 'A' : 'B', what);

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(1);
}

/* Which @call failed, and in what way. Without any backend: why, and 77, "skipped". */
static void must(const char *call, int err)
{
	char why[4096] = "";

	if (!err)
		return;
	if (!umcg_backend_name())
		umcg_backend_probe(why, sizeof(why));
	fprintf(stderr, "hello: %s: %s\n%s", call, strerror(-err), why);
	_exit(err == -ENOTSUP && *why ? 77 : 1);
}

static void *work(void *arg)
{
	struct umcg_task *self = arg;
	const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };

	self->server_tid = server->tid;
	must("umcg_register(worker)", umcg_register(self, UMCG_REG_WORKER));
	/* from here on this code runs only while the server wants it to */
	for (int i = 0; i < 2; i++) {
		say("  worker ", self, "works, then sleeps");
		nanosleep(&nap, NULL);
	}
	return NULL;
}

int main(void)
{
	/* at most all of them wait at once */
	struct umcg_task *queue[WORKERS], *newest_first[WORKERS], *w;
	unsigned int head = 0, tail = 0, n, live = WORKERS;
	pthread_t threads[WORKERS];
	struct umcg_news news;
	int err;

	server = umcg_task_alloc();
	must("umcg_task_alloc()", server ? 0 : -ENOMEM);
	must("umcg_register(server)", umcg_register(server, UMCG_REG_SERVER));
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = umcg_task_alloc();
		must("umcg_task_alloc()", workers[i] ? 0 : -ENOMEM);
		must("pthread_create()", -pthread_create(&threads[i], NULL, work, workers[i]));
	}

	while (live) {
		umcg_take(server, &news);
		while ((w = umcg_next_blocked(&news))) {
			if (umcg_exited(w)) {
				say("server: ", w, "exited");
				live--;
			} else {
				say("server: ", w, "blocked");
			}
		}
		n = 0;
		while ((w = umcg_next_runnable(&news)))
			newest_first[n++] = w;
		while (n) {
			w = newest_first[--n];
			say("server: ", w, "wants to run");
			queue[tail++ % WORKERS] = w;
		}
		if (!live)
			break;
		if (!server->next_tid && head != tail) {
			w = queue[head++ % WORKERS];
			say("server: ", w, "is next");
			server->next_tid = w->tid;
		}
		err = umcg_wait(0, 0);	/* run it, or wait for news */
		if (err != -EAGAIN && err != -EINTR)
			must("umcg_wait()", err);
	}

	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		umcg_task_free(workers[i]);
	}
	must("umcg_unregister(server)", umcg_unregister(server));
	umcg_task_free(server);
	return 0;
}
