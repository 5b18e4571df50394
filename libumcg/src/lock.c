// SPDX-License-Identifier: MIT
/*
 * The library's one mutex. It guards the choice of the backend and the task
 * allocator: both rare, neither on the path of a switch.
 */
#include <pthread.h>

#include "backend.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

static void arm(void)
{
	/*
	 * Fails only without memory. Then a child forked while another thread
	 * is in here cannot use the library, and nothing else is lost.
	 */
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

void umcg_lock(void)
{
	pthread_once(&once, arm);
	pthread_mutex_lock(&mutex);
}

void umcg_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}
