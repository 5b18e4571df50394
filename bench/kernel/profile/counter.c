// SPDX-License-Identifier: MIT
/*
 * A plugin for QEMU's translator: how often was each guest instruction
 * executed between the two marks of ../bench.h? Written to the file out=FILE
 * as "address count" when the second mark is reached. Debian ships QEMU with
 * plugins but without their header, so what is used of it is declared here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
		void (*fn)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
		void (*fn)(unsigned int cpu, void *arg), enum qemu_plugin_cb_flags flags, void *arg);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
		enum qemu_plugin_op op, void *word, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv);

/* One per translation of an instruction; never freed, QEMU may still add to it */
struct counter {
	struct counter *next;
	uint64_t address, count;
};

static struct counter *counters;
static const char *out;

static void begin(unsigned int cpu, void *arg)
{
	(void)cpu;
	(void)arg;
	for (struct counter *c = counters; c; c = c->next)
		c->count = 0;
}

static void end(unsigned int cpu, void *arg)
{
	FILE *f = fopen(out, "w");

	(void)cpu;
	(void)arg;
	if (!f) {
		perror(out);
		return;
	}
	for (struct counter *c = counters; c; c = c->next)
		if (c->count)
			fprintf(f, "%llx %llu\n", (unsigned long long)c->address,
				(unsigned long long)c->count);
	fclose(f);
}

/* 1 and 2: the marks; 0: any other instruction */
static int mark(const struct qemu_plugin_insn *insn)
{
	const uint8_t *byte = qemu_plugin_insn_data(insn);

	return qemu_plugin_insn_size(insn) == 7 && !memcmp(byte, "\x0f\x1f\x80", 3) &&
	       !memcmp(byte + 4, "CMU", 3) ? byte[3] : 0;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct counter *c = malloc(sizeof(*c));

		if (!c)
			abort();
		*c = (struct counter){ counters, qemu_plugin_insn_vaddr(insn), 0 };
		counters = c;
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
							   &c->count, 1);
		if (mark(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark(insn) == 1 ? begin : end,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "counter: expected out=FILE\n");
		return -1;
	}
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
