// SPDX-License-Identifier: MIT
/*
 * umcg_backend_probe(): what works here and, where it does not, why and how to
 * get it, for people.
 *
 *	kernel: no. This kernel (6.1.0-18-amd64) has no umcg_register() ...
 *	bpf: no. The process has not got the capabilities CAP_BPF and CAP_PERFMON. ...
 *	portable: no. It needs a signal of its own ...
 *	umcg_init() fails with ENOTSUP: no backend works here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "backend.h"

void umcg_textf(struct umcg_text *text, const char *format, ...)
{
	size_t left = text->used < text->size ? text->size - text->used : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(left ? text->buf + text->used : NULL, left, format, args);
	va_end(args);
	if (n > 0)
		text->used += (size_t)n;
}

static void explain_entry(struct umcg_text *text, const struct umcg_backend_entry *entry)
{
	umcg_textf(text, "%s: ", entry->name);
	if (entry->ops)
		entry->ops->explain(text);
	else
		umcg_textf(text, "no. It is not built into this libumcg: that needs clang, bpftool and "
			   "libbpf-dev when libumcg is built.\n");
}

/* What the sum of it is for a program that calls umcg_init(NULL). */
static void explain_choice(struct umcg_text *text)
{
	const struct umcg_backend_entry *used = __atomic_load_n(&umcg_current, __ATOMIC_ACQUIRE);
	const struct umcg_backend_entry *entry = NULL;
	enum umcg_backend id;
	const char *env = umcg_env();
	int err;

	if (used) {
		umcg_textf(text, "In use: %s.\n", used->name);
		return;
	}
	if (env && umcg_backend_from_name(env, &id)) {
		umcg_textf(text, "umcg_init() fails with EINVAL: UMCG_BACKEND is \"%.40s\", "
			   "it must be auto, kernel, bpf or portable.\n", env);
		return;
	}
	err = umcg_choose(UMCG_BACKEND_AUTO, &entry);
	if (!err)
		umcg_textf(text, "umcg_init() chooses: %s.\n", entry->name);
	else if (env)
		umcg_textf(text, "umcg_init() fails with ENOTSUP: UMCG_BACKEND is \"%.40s\", "
			   "and what it asks for does not work here.\n", env);
	else
		umcg_textf(text, "umcg_init() fails with ENOTSUP: no backend works here.\n");
}

size_t umcg_backend_probe(char *buf, size_t len)
{
	struct umcg_text text = { .buf = buf, .size = len };
	int saved = errno;

	if (len)
		buf[0] = '\0';
	for (int i = 0; i < UMCG_N_BACKENDS; i++)
		explain_entry(&text, &umcg_backends[i]);
	explain_choice(&text);
	errno = saved;
	return text.used;
}
