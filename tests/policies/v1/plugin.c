/* SPDX-License-Identifier: MIT */
/* Built against the first version of the header, whatever it is today. */
#include "policy.h"

struct task { struct umcg_policy_task *next; };
struct server { struct umcg_policy_task *head, **tail; };

static void online(struct umcg_policy *p, uint32_t s)
{
	struct server *q = umcg_policy_server(p, s);

	q->tail = &q->head;
}

static struct umcg_policy_task **next_of(struct umcg_policy_task *t)
{
	return &((struct task *)t->data)->next;
}

static void enqueue(struct umcg_policy *p, uint32_t s, struct umcg_policy_task *t,
		    enum umcg_enqueue_reason reason)
{
	struct server *q = umcg_policy_server(p, s);

	(void)reason;
	*next_of(t) = NULL;
	*q->tail = t;
	q->tail = next_of(t);
}

static void dequeue(struct umcg_policy *p, uint32_t s, struct umcg_policy_task *t)
{
	struct server *q = umcg_policy_server(p, s);
	struct umcg_policy_task **at = &q->head;

	while (*at != t)
		at = next_of(*at);
	*at = *next_of(t);
	if (!*at)
		q->tail = at;
}

static struct umcg_policy_task *pick(struct umcg_policy *p, uint32_t s, uint64_t *slice)
{
	struct server *q = umcg_policy_server(p, s);
	struct umcg_policy_task *t = q->head;

	(void)slice;
	if (t)
		dequeue(p, s, t);
	return t;
}

static const struct umcg_policy_ops ops = {
	.size = sizeof(ops),
	.major = UMCG_POLICY_MAJOR,
	.minor = UMCG_POLICY_MINOR,
	.name = "version-1-0",
	.server_size = sizeof(struct server),
	.task_size = sizeof(struct task),
	.server_online = online,
	.enqueue = enqueue,
	.dequeue = dequeue,
	.pick = pick,
};
UMCG_POLICY_EXPORT(ops)
