// SPDX-License-Identifier: MIT
/* libbpf, opened when a program is to be loaded, and kept. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "bpf.h"
#include "late_libbpf.h"

#define LIBRARY "libbpf.so.1"

struct libbpf libbpf;

static int find(void *lib, const char *name, void *where)
{
	void *at = dlsym(lib, name);

	/* a function pointer in a void * is what dlsym() is made of */
	memcpy(where, &at, sizeof(at));
	return at ? 0 : -ENOTSUP;
}

int bpf_find_libbpf(struct bpf_reason *why)
{
	struct libbpf found;
	void *lib;

	if (libbpf.bpf_object__load)
		return 0;
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(why->text, sizeof(why->text), "%s cannot be loaded (%.200s). "
			 "Install it: apt-get install libbpf1", LIBRARY, dlerror());
		return why->err = -ENOTSUP;
	}
#define F(name)											\
	if (find(lib, #name, &found.name)) {							\
		snprintf(why->text, sizeof(why->text), "%s has no function %s().", LIBRARY, #name);	\
		dlclose(lib);									\
		return why->err = -ENOTSUP;							\
	}
	LIBBPF_FUNCTIONS(F)
#undef F
	libbpf = found;
	return 0;
}
