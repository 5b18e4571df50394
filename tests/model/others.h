/* SPDX-License-Identifier: MIT */
/* Everybody else: kicks, a remote enqueuer; as often as they like, and at some time no more. */

proctype Others()
{
	LOCALS
	byte st;

	do
	:: atomic { others = 0; break }
#ifdef KICKS
	:: kick_server(0)
#if NS > 1
	:: kick_server(1)
#endif
#endif
#ifdef KICKW
	:: atomic { phase[0] == RUNNING -> kreq[0] = 1 };	/* else EAGAIN */
		atomic { preempt[0] = 1; tif[0] = 1 };
		atomic {
			if
			:: phase[0] == RUNNING ->	/* returns 0 */
				assert(!kreq[0] || preempt[0]);
				kdue[0] = kreq[0]
			:: else
			fi;
			kreq[0] = 0
		}
#endif
#ifdef ENQ
	:: atomic { task[0] == 0 ->
#ifdef MUT_P2_ORDER	/* QUIET is cleared before the task is visible */
			quiet[0] = 0
		};
		task[0] = 1;
#else
			task[0] = 1
		};
		quiet[0] = 0;
#endif
		st = sstate[0];
		if
#ifdef MUT_P2_IDLE	/* kicks nobody but an idle server */
		:: st == IDLE -> kick_server(0)
#else
		:: st != RUNNABLE -> kick_server(0)
#endif
		:: else
		fi;
		atomic { task[0] == 0 || nexit == ALL -> st = 0 }
#endif
	od
}
