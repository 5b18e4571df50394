/* SPDX-License-Identifier: MIT */
/*
 * The interface of a policy: what decides in which order the tasks of a runtime run. A policy is a
 * table of functions, compiled into the runtime or exported by a plugin, a shared object that links
 * to nothing of ours:
 *
 *	#include <umcg/policy.h>
 *
 *	static const struct umcg_policy_ops my_policy = { .size = sizeof(my_policy), ... };
 *	UMCG_POLICY_EXPORT(my_policy)
 *
 * It is C, sized and versioned. Within a major version fields are added at the end only, and `size`
 * says which of them the other side knows: a plugin that was built against an older header goes on
 * working. examples/policy-plugin is a whole one; docs/policies.md walks through writing one;
 * umcg/policy.hpp makes the table of a C++ class.
 *
 * Rules for every function of the table, where its comment does not say otherwise:
 *
 * - It is called by the executor of a server: at most one thread at a time for each server, several
 *   at once for different servers. What servers share needs atomics or a umcg_policy_lock.
 * - It returns soon, and calls nothing that may wait: no system call, no malloc, no mutex, no I/O,
 *   no exception. The thread that calls it may have been stopped in the middle of malloc.
 * - It runs on the stack of a fiber: a few hundred bytes of locals, no recursion.
 * - Memory is placed by the runtime: data_size bytes for the policy, server_size for each server,
 *   task_size in each task, all zero at first. Nothing else of a task is the policy's to write.
 * - A task that is queued is the policy's; one that it has given back by pick(), steal() or dequeue() is
 *   not: it may end, and its memory be another task's.
 * - NULL in the table means what the comment says.
 *
 * Who breaks a rule that the runtime can see is ejected: see struct umcg_policy_exit.
 */
#ifndef UMCG_POLICY_H
#define UMCG_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UMCG_POLICY_MAJOR 1 /* differs: not compatible, refused */
#define UMCG_POLICY_MINOR 1 /* greater: has more fields at the end */

#define UMCG_POLICY_TASK_ROOM 128u /* the most that task_size may be */
#define UMCG_POLICY_NO_SERVER 0xffffffffu

/* Why a task is queued. */
enum umcg_enqueue_reason {
	UMCG_ENQUEUE_SPAWN,	/* it is new */
	UMCG_ENQUEUE_WAKE,	/* it has waited: parked, now signalled, timed out or cancelled */
	UMCG_ENQUEUE_YIELD,	/* it lets others go first */
	UMCG_ENQUEUE_PREEMPTED, /* it was stopped: its slice was over, or it was kicked */
	UMCG_ENQUEUE_UNBLOCKED, /* its call into the kernel has finished */
	UMCG_ENQUEUE_MIGRATED,	/* it was stolen, or queued when this policy took over */
};

/* Why a task that has run does not run on, and is not queued. */
enum umcg_blocked_reason {
	UMCG_BLOCKED_PARK,    /* it waits: for another task, a time, a lock of ours */
	UMCG_BLOCKED_IO,      /* for asynchronous I/O: umcg::io through io_uring */
	UMCG_BLOCKED_SYSCALL, /* in the kernel: a system call, or whatever it is */
	UMCG_BLOCKED_FAULT,   /* in a page fault. With UMCG_POLICY_WANTS_FAULTS; else those, and the few
				 that are over by then, are SYSCALL */
};

/* umcg_policy_task.flags */
#define UMCG_POLICY_TASK_MOVABLE 1u /* may be stolen; does not change while it is queued */
#define UMCG_POLICY_TASK_THREAD 2u  /* has a thread of its own */

/*
 * A task. 64 bytes that the runtime writes, then the policy's own. The address identifies it from
 * attach() to detach(), and while it is queued.
 */
struct umcg_policy_task {
	uint64_t id;	      /* 1, 2, ...: never of two tasks of a runtime */
	uint32_t server;      /* on which it was queued last */
	uint32_t flags;
	uint64_t ran_ns;      /* how long it ran since it was last queued; with UMCG_POLICY_WANTS_TIME,
				 when it is queued or blocked. 0 for SPAWN, WAKE and UNBLOCKED; for
				 PREEMPTED CPU time, where that is known, else by the clock */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
	int32_t priority;     /* the higher the more urgent; 0 */
	uint32_t weight;      /* 1 to 10000; 100 */
	uint32_t group;	      /* 0 */
	uint32_t reserved[5];
	__attribute__((aligned(64))) unsigned char data[UMCG_POLICY_TASK_ROOM]; /* the policy's */
};

struct umcg_policy;

enum umcg_policy_log { UMCG_POLICY_LOG_ERROR, UMCG_POLICY_LOG_INFO };

/*
 * What the runtime offers to a policy. `size` is how much of it there is. Every function may be
 * called from every function of the table.
 */
struct umcg_policy_host {
	uint32_t size;
	uint16_t major, minor; /* of the runtime */

	/* The time: CLOCK_MONOTONIC in ns, or the simulator's. */
	uint64_t (*now)(const struct umcg_policy *p);
	/* A line for the log, at most 200 bytes of it. Does not wait; what is said in a flood is dropped. */
	void (*log)(const struct umcg_policy *p, enum umcg_policy_log level, const char *text);
	/* Stop what runs on `server` as if its slice were over; it is queued as PREEMPTED. A request:
	 * nothing happens where nothing can be preempted, nothing else is queued, or nothing runs,
	 * as when the executor takes in what has come before it picks. */
	void (*kick)(const struct umcg_policy *p, uint32_t server);
	/* The name of a task, for dump(); "" if it has none. As long as the task is attached. */
	const char *(*task_name)(const struct umcg_policy *p, const struct umcg_policy_task *task);
	/* The slow halves of umcg_policy_lock() and umcg_policy_unlock(). */
	void (*lock_slowly)(const struct umcg_policy *p, uint32_t *word);
	void (*wake_one)(const struct umcg_policy *p, uint32_t *word);
};

/* One policy at work. The runtime's; constant after init(). */
struct umcg_policy {
	uint32_t size;
	uint32_t n_servers;
	const struct umcg_policy_host *host;
	void *data;		 /* data_size bytes, 64-aligned */
	unsigned char *servers;	 /* server 0's data, 64-aligned; that of i is i * server_stride further */
	size_t server_stride;
	const char *options;	 /* the user's, "key=value,key=value"; "" if there are none */
	const uint32_t *domain;	 /* of each server: servers with the same number share a cache */
	uint64_t slice_ns;	 /* the runtime's: what a task gets when pick() does not say; 0: no end */
	uint64_t internal[4];	 /* the runtime's */
};

/* Why exit() is called. */
enum umcg_policy_exit_reason {
	UMCG_POLICY_EXIT_STOP,	    /* the runtime ends */
	UMCG_POLICY_EXIT_REPLACED,  /* the user has put another one in its place */
	/* ejected: */
	UMCG_POLICY_EXIT_LOST,	    /* pick() had nothing although a task was queued */
	UMCG_POLICY_EXIT_DOUBLED,   /* a task came out that was not queued: it had come out before */
	UMCG_POLICY_EXIT_FOREIGN,   /* what came out is no task, or one of another server, or not movable */
	UMCG_POLICY_EXIT_STARVED,   /* a task waited too long while later ones were picked */
	UMCG_POLICY_EXIT_OVERRUN,   /* a function did not return in time */
	UMCG_POLICY_EXIT_CRASHED,   /* a function was ended by SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT */
	UMCG_POLICY_EXIT_EXCEPTION, /* a function let a C++ exception out */
	UMCG_POLICY_EXIT_BAD_SERVER,/* select() named a server that there is not */
};

struct umcg_policy_exit {
	uint32_t size;
	enum umcg_policy_exit_reason reason;
	const char *op;	      /* the function of the table; NULL: none */
	uint64_t task_id;     /* whom it was about; 0: none */
	const char *message;  /* the whole, in words */
};

/* umcg_policy_ops.flags */
#define UMCG_POLICY_WANTS_TIME 1u /* umcg_policy_task.ran_ns is kept; costs two looks at the clock */
#define UMCG_POLICY_WANTS_FAULTS 2u /* FAULT is told from SYSCALL; costs a look into /proc a block */

struct umcg_policy_ops {
	uint32_t size; /* sizeof(struct umcg_policy_ops) where the policy was compiled */
	uint16_t major, minor;
	uint32_t flags;
	const char *name;	 /* a-z, 0-9, _ and -; at most 31 */
	const char *description; /* one line; NULL: none */
	uint32_t data_size, server_size, task_size;

	/*
	 * The beginning: read the options. From a plain thread or a task, before anything else, and
	 * it may wait and allocate. 0, or a negative errno value: the policy is not used, and what it
	 * logged says why. NULL: nothing to do, and options other than "" are refused.
	 */
	int (*init)(struct umcg_policy *p);
	/*
	 * The end; nothing is called after it. Tasks may not be touched, queued ones are no concern
	 * any more. From any thread, and it must not wait if it was ejected. NULL: nothing to do.
	 */
	void (*exit)(struct umcg_policy *p, const struct umcg_policy_exit *info);
	/* After init(), once for each server; before exit(), when nothing is queued. From any thread.
	 * Not called when it was ejected. NULL: nothing to do. */
	void (*server_online)(struct umcg_policy *p, uint32_t server);
	void (*server_offline)(struct umcg_policy *p, uint32_t server);

	/*
	 * A task comes into being, or is about to be queued here for the first time because this
	 * policy has taken over. From any thread; several at once. `reason` SPAWN: 0, or a negative
	 * errno value: spawn() throws that as std::system_error. Else: what it returns is not looked at.
	 * NULL: 0.
	 */
	int (*attach)(struct umcg_policy *p, struct umcg_policy_task *task, enum umcg_enqueue_reason reason);
	/* It ends, and is not queued. Not called for tasks that are left at exit(). From any thread.
	 * NULL: nothing to do. */
	void (*detach)(struct umcg_policy *p, struct umcg_policy_task *task);

	/*
	 * On which server shall this one be queued? `reason` SPAWN or WAKE. `waker`: the server on
	 * which that was asked for, or UMCG_POLICY_NO_SERVER. From any thread; several at once.
	 * NULL: SPAWN: where it was spawned, by a plain thread: the servers in turn. WAKE: where it was.
	 */
	uint32_t (*select)(struct umcg_policy *p, struct umcg_policy_task *task, uint32_t waker,
			   enum umcg_enqueue_reason reason);
	/* Queue it. Needed. */
	void (*enqueue)(struct umcg_policy *p, uint32_t server, struct umcg_policy_task *task,
			enum umcg_enqueue_reason reason);
	/* Take out this one, which is queued on `server`: it runs, or has to go elsewhere. Needed. */
	void (*dequeue)(struct umcg_policy *p, uint32_t server, struct umcg_policy_task *task);
	/*
	 * Take out who is to run next; NULL only if nothing is queued on this server. `slice_ns`: for
	 * how long it may run while others wait, p->slice_ns unless this changes it; 0: no end. Needed.
	 */
	struct umcg_policy_task *(*pick)(struct umcg_policy *p, uint32_t server, uint64_t *slice_ns);
	/*
	 * Take out a movable one of `victim` for `thief`, whose executor asks, beside that of the
	 * victim. NULL: none. What was enqueued before is found: read what says "empty" with
	 * sequential consistency, and let enqueue() write it so. It is enqueued on the thief as
	 * MIGRATED or runs at once. NULL in the table: tasks stay on their server.
	 */
	struct umcg_policy_task *(*steal)(struct umcg_policy *p, uint32_t thief, uint32_t victim);
	/*
	 * What was picked last has run for at least ran_ns, its slice is over, and others of its server
	 * are queued. Not 0: stop it. Called by the server's own thread *beside* the executor: atomics
	 * only, no tasks. NULL: a task is stopped when its slice is over.
	 */
	int (*tick)(struct umcg_policy *p, uint32_t server, uint64_t ran_ns);
	/*
	 * It waits, and is not queued. Short waits may be left out, and those of SYSCALL that the
	 * server's own thread hears of beside a worker that runs. Who comes back from SYSCALL with
	 * nobody queued may have run on already when it is enqueued as UNBLOCKED, and is dequeued at
	 * once. NULL: nothing to do.
	 */
	void (*blocked)(struct umcg_policy *p, uint32_t server, struct umcg_policy_task *task,
			enum umcg_blocked_reason reason);
	/* Its priority, weight, deadline or group has changed; it may be queued, on task->server, whose
	 * executor calls. NULL: it is seen when it is next queued. */
	void (*attr_changed)(struct umcg_policy *p, struct umcg_policy_task *task);
	/*
	 * Say in words what is queued and why, into `text`, ended by 0; at most size - 1 bytes.
	 * Returns the length. While nothing else is called. NULL: nothing to say.
	 */
	size_t (*dump)(struct umcg_policy *p, char *text, size_t size);
	/* here ends version 1.0 */

	/*
	 * `task` has become runnable and is on its way to `server`, whose executor has not been told
	 * yet: it is in the middle of a task (or was: then the answer is of no matter), picked ran_ns
	 * ago (waits that no op was told of included; 0: not known, just picked, or no
	 * UMCG_POLICY_WANTS_TIME). Not 0: stop that one, so that `task` is queued now, and not at the
	 * end of a slice. `task` is a copy as of when it became runnable, good for this call, without
	 * a name. Asked after select(), for the same two reasons, and not of tasks that can go on in
	 * one thread only; a request like kick(). From any thread, *beside* the executor, or by it
	 * when it has just picked; several at once: atomics only, and of `task` what the runtime
	 * writes. NULL: nobody is stopped for one that comes.
	 */
	int (*preempts)(struct umcg_policy *p, uint32_t server, const struct umcg_policy_task *task,
			uint64_t ran_ns);
	/* here ends version 1.1 */
};

#define UMCG_POLICY_OPS_SIZE_1_0 \
	(offsetof(struct umcg_policy_ops, dump) + sizeof(((struct umcg_policy_ops *)0)->dump))

/* The one symbol that a plugin exports: const struct umcg_policy_ops *umcg_policy_plugin(void) */
#define UMCG_POLICY_SYMBOL "umcg_policy_plugin"
#ifdef __cplusplus
#define UMCG_POLICY_EXPORT_LINKAGE extern "C"
#else
#define UMCG_POLICY_EXPORT_LINKAGE
#endif
#define UMCG_POLICY_EXPORT(ops)                                                            \
	UMCG_POLICY_EXPORT_LINKAGE __attribute__((visibility("default")))                  \
	const struct umcg_policy_ops *umcg_policy_plugin(void);                            \
	const struct umcg_policy_ops *umcg_policy_plugin(void) { return &(ops); }

/* The policy's data of a server. */
static inline void *umcg_policy_server(const struct umcg_policy *p, uint32_t server)
{
	return p->servers + server * p->server_stride;
}

/*
 * A lock for a few instructions, in the policy's own data; 0 is free. It spins, then sleeps: its
 * owner is never one whom a server has stopped. Not recursive.
 */
static inline void umcg_policy_lock(const struct umcg_policy *p, uint32_t *word)
{
	uint32_t unlocked = 0;

	if (!__atomic_compare_exchange_n(word, &unlocked, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		p->host->lock_slowly(p, word);
}

static inline void umcg_policy_unlock(const struct umcg_policy *p, uint32_t *word)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2)
		p->host->wake_one(p, word);
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* UMCG_POLICY_H */
