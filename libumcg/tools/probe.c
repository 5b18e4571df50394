// SPDX-License-Identifier: MIT
/*
 * umcg-probe: what this machine can do, why not more, and what to do about it.
 * Everything it knows comes from the library's public calls.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umcg/umcg.h>
#include <umcg/xstate.h>

enum { WORKS = 0, NOTHING_WORKS = 1, USAGE = 2 };

static const struct {
	const char *name;
	enum umcg_backend id;
} backends[] = {
	{ "kernel", UMCG_BACKEND_KERNEL },
	{ "bpf", UMCG_BACKEND_BPF },
	{ "portable", UMCG_BACKEND_PORTABLE },
};

struct capability {
	uint32_t bit;
	const char *name;
	const char *meaning;
};

/* Good to have: a yes or no for each. */
static const struct capability capabilities[] = {
	{ UMCG_CAP_BLOCK_EVENTS, "BLOCK_EVENTS", "a block is reported at once" },
	{ UMCG_CAP_HOLD, "HOLD", "a returning worker runs no user instruction before it is picked" },
	{ UMCG_CAP_PREEMPT, "PREEMPT", "a running worker can be stopped at any instruction" },
	{ UMCG_CAP_FAULT_EVENTS, "FAULT_EVENTS", "page faults that wait are blocks like any other" },
	{ UMCG_CAP_ONE_RUNNING, "ONE_RUNNING", "never two workers of a server in user space" },
};
/* What it does instead, where it falls short of one: named if it is so. */
static const struct capability limits[] = {
	{ UMCG_CAP_WATCHED, "WATCHED", "a block is reported when a monitor has seen it" },
	{ UMCG_CAP_HOLD_AT_CALL, "HOLD_AT_CALL", "a returning worker runs on until it calls the library" },
	{ UMCG_CAP_BY_SIGNAL, "BY_SIGNAL", "workers are stopped by a signal: one that masks it is not" },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char help[] =
	"usage: umcg-probe [--backend NAME]\n"
	"\n"
	"Say which libumcg backends work on this machine, with which capabilities, and\n"
	"for each that does not, why not and how to get it.\n"
	"\n"
	"  --backend NAME   only this one: kernel, bpf or portable\n"
	"  --help           this text\n"
	"\n"
	"Exit code 0: a backend works (with --backend: that one does). 1: none does.\n"
	"2: bad arguments.\n";

/*
 * What a process that asks for @id gets. In a child, as a process chooses once:
 * its capabilities go through a pipe, its error into @err.
 */
static int try_backend(enum umcg_backend id, uint32_t *caps, int *err)
{
	struct { int err; uint32_t caps; } answer;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(fd))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		struct umcg_options opts = { .size = sizeof(opts), .backend = id };

		memset(&answer, 0, sizeof(answer));
		answer.err = umcg_init(&opts);
		answer.caps = umcg_capabilities();
		_exit(write(fd[1], &answer, sizeof(answer)) != sizeof(answer));
	}
	close(fd[1]);
	do {
		n = read(fd[0], &answer, sizeof(answer));
	} while (n < 0 && errno == EINTR);
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof(answer))
		return -EIO;	/* a filter has killed it, say */
	*err = answer.err;
	*caps = answer.caps;
	return 0;
}

/*
 * The library's text about one backend: its line and the indented ones after it.
 * Returns whether it says yes.
 */
static int print_about(const char *text, const char *name)
{
	size_t len = strlen(name);
	int inside = 0, yes = 0;

	while (*text) {
		const char *end = strchr(text, '\n');
		size_t n = end ? (size_t)(end - text) + 1 : strlen(text);

		if (*text != ' ')
			inside = !strncmp(text, name, len) && text[len] == ':';
		if (inside) {
			fwrite(text, 1, n, stdout);
			yes |= *text != ' ' && !strncmp(text + len, ": yes", 5);
		}
		text += n;
	}
	return yes;
}

static void print_capabilities(uint32_t caps)
{
	for (size_t i = 0; i < COUNT(capabilities); i++) {
		const struct capability *c = &capabilities[i];

		printf("  %-3s %-14s %s\n", caps & c->bit ? "yes" : "no", c->name, c->meaning);
		caps &= ~c->bit;
	}
	for (size_t i = 0; i < COUNT(limits); i++) {
		const struct capability *c = &limits[i];

		if (caps & c->bit)
			printf("  but %-14s %s\n", c->name, c->meaning);
		caps &= ~c->bit;
	}
	if (caps)
		printf("  yes 0x%x, unknown to this umcg-probe\n", caps);
}

/* Does it work? */
static int probe(const char *text, const char *name, enum umcg_backend id)
{
	uint32_t caps = 0;
	int err = 0;
	int broken = try_backend(id, &caps, &err);

	int yes = print_about(text, name);

	if (broken) {
		printf("  Trying it out failed: %s.\n", strerror(-broken));
		return 0;
	}
	if (err) {
		if (yes)	/* it has come to light only now */
			printf("  But umcg_init() for it fails: %s.\n", strerror(-err));
		return 0;
	}
	print_capabilities(caps);
	return 1;
}

/* The last line: what umcg_init(NULL) does in this environment. */
static void print_choice(const char *text)
{
	const char *at = strstr(text, "\numcg_init() ");

	if (at)
		fputs(at + 1, stdout);
}

/* What umcg_xstate_release() does before a wait, and from which figures. */
static void print_xstate(void)
{
	static const struct {
		uint64_t mask;
		const char *name;
	} components[] = { { UMCG_XSTATE_AVX, "AVX" }, { UMCG_XSTATE_AVX512, "AVX-512" },
			   { UMCG_XSTATE_AMX, "AMX" } };
	struct umcg_xstate_decision d = { .size = sizeof(d) };
	const int err = umcg_xstate_policy(&d);

	if (err) {
		printf("xstate: UMCG_XSTATE: %s; nothing is released.\n", strerror(-err));
		return;
	}
	if (!d.available) {
		puts("xstate: nothing can be released before a wait on this processor.");
		return;
	}
	printf("xstate: %s.", d.why == UMCG_XSTATE_WHY_ENVIRONMENT ?
	       "released before a wait, as UMCG_XSTATE says" : "released before a wait, as measured");
	for (size_t i = 0; i < COUNT(components); i++) {
		if (d.available & components[i].mask)
			printf(" %s: %s.", components[i].name,
			       d.release & components[i].mask ? "yes" : "no");
	}
	putchar('\n');
	if (d.threads && d.available & UMCG_XSTATE_AVX512)
		printf("  With %u threads AVX-512 in use costs %.0f ns a switch, to release it %.0f.\n",
		       d.threads, (double)d.avx512_saves_ns, (double)d.avx512_costs_ns);
}

static char *probe_text(void)
{
	size_t len = umcg_backend_probe(NULL, 0) + 1;
	char *text = malloc(len);

	/* cut off, if it has grown since: still a string */
	if (text)
		umcg_backend_probe(text, len);
	return text;
}

static int usage(void)
{
	fputs("umcg-probe --help says more\n", stderr);
	return USAGE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *only = NULL;
	int works = 0, known = 0, opt;
	char *text;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'b':
			only = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return ferror(stdout) || fflush(stdout) ? USAGE : WORKS;
		default:	/* getopt has named it */
			return usage();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "umcg-probe: unexpected argument '%s'\n", argv[optind]);
		return usage();
	}
	for (size_t i = 0; i < COUNT(backends); i++)
		known |= only && !strcmp(only, backends[i].name);
	if (only && !known) {
		fprintf(stderr, "umcg-probe: --backend '%s': must be kernel, bpf or portable\n", only);
		return usage();
	}

	text = probe_text();
	if (!text) {
		fputs("umcg-probe: no memory\n", stderr);
		return USAGE;
	}
	for (size_t i = 0; i < COUNT(backends); i++) {
		fflush(stdout);	/* or the child's copy would be written twice */
		if (!only || !strcmp(only, backends[i].name))
			works |= probe(text, backends[i].name, backends[i].id);
	}
	if (!only) {
		print_xstate();
		print_choice(text);
	}
	free(text);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "umcg-probe: cannot write: %s\n", strerror(errno));
		return USAGE;
	}
	return works ? WORKS : NOTHING_WORKS;
}
