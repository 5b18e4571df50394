/* SPDX-License-Identifier: MIT */
/*
 * The functions of libbpf that load.c calls, through pointers: libumcg is not
 * linked to libbpf, so that programs start where it is not installed.
 */
#ifndef UMCG_SRC_BPF_LATE_LIBBPF_H
#define UMCG_SRC_BPF_LATE_LIBBPF_H

#include <bpf/libbpf.h>

#define LIBBPF_FUNCTIONS(f)			\
	f(libbpf_set_print)			\
	f(bpf_object__open_mem)			\
	f(bpf_object__load)			\
	f(bpf_object__close)			\
	f(bpf_object__find_program_by_name)	\
	f(bpf_object__find_map_fd_by_name)	\
	f(bpf_program__set_autoload)		\
	f(bpf_program__fd)

struct libbpf {
#define F(name) __typeof__(&name) name;
	LIBBPF_FUNCTIONS(F)
#undef F
};

/* All NULL before bpf_find_libbpf() has succeeded. */
extern struct libbpf libbpf __attribute__((visibility("hidden")));

#endif /* UMCG_SRC_BPF_LATE_LIBBPF_H */
