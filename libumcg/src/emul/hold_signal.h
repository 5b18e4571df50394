/* SPDX-License-Identifier: MIT */
/* The signal by which a backend reaches a worker where it is. */
#ifndef UMCG_SRC_EMUL_HOLD_SIGNAL_H
#define UMCG_SRC_EMUL_HOLD_SIGNAL_H

#include "emul.h"

#pragma GCC visibility push(hidden)

/* $UMCG_SIGNAL or the default; 0: that is none to be used. */
int emul_signal_wanted(void);
/*
 * Take the signal that is wanted now; @handler is called by it in any registered
 * thread but a server's, all masked that the library masks. 0 or -errno.
 */
int emul_signal_start(void (*handler)(struct emul_thread *self));
/* The one that was taken; 0 before that. */
int emul_signal(void);
/* Is the handler still there? A program that took the signal away gets none of ours. */
bool emul_signal_ours(void);
/* Has @signal no handler, or ours? */
bool emul_signal_free(int signal);

#pragma GCC visibility pop

#endif /* UMCG_SRC_EMUL_HOLD_SIGNAL_H */
