/* SPDX-License-Identifier: MIT */
/* A server: the small loop of umcg.h, and umcg_wait(). */

/* umcg_unlink__(), then the read of the state */
inline unlink(list, link, x)
{
	x = list - 3;
	atomic { link != PENDING ->
		reading[x]++;
#ifdef MUT_R3_CONSUMER	/* reads the state before the link says "on no list" */
		seen = ustate[x]
	};
	atomic {
#endif
		assert(link != 0);	/* the chain is whole */
		list = (link == END -> 0 : link);
		link = 0
	};
#ifndef MUT_R3_CONSUMER
	seen = ustate[x]
#endif
}

proctype Server(byte s)
{
	LOCALS
	byte rlist, blist, x, seen, r;
#ifdef LIVE
	byte last;
#endif
	bool timer;

loop:
#ifdef MUT_TAKE_ORDER
	atomic { blist = bhead[s]; bhead[s] = 0 };
	atomic { rlist = rhead[s]; rhead[s] = 0 };
#else
	atomic { rlist = rhead[s]; rhead[s] = 0 };
	atomic { blist = bhead[s]; bhead[s] = 0 };
#endif
	do
	:: blist ->
		unlink(blist, blink[x], x);
		atomic {
			reading[x]--;
			if
			:: seen == BLOCKED -> bowed[x] = 0
			:: seen == EXITED ->
				nexit = nexit | BIT(x);
				if	/* umcg_task_unlinked(): two servers may find it so, one frees */
				:: gone[x] && blink[x] == 0 && rlink[x] == 0 -> freed[x] = 1
				:: else
				fi
			:: else
			fi;
			assert(!settled[x] || !bowed[x] || blink[x] || reading[x]);
			x = 0; seen = 0
		}
	:: rlist && !blist ->
		unlink(rlist, rlink[x], x);
		atomic {
			reading[x]--;
			if
			:: seen == EXITED
#ifdef RIVALS		/* it may have been dispatched without anybody taking the entry */
			:: seen != EXITED && seen != RUNNABLE
			:: seen == RUNNABLE ->
#else
			:: else ->
				assert(seen == RUNNABLE);
				assert(owed[x]);	/* once for each park */
				owed[x] = 0;
#endif
				q[s] = q[s] | BIT(x)
			fi;
			x = 0; seen = 0
		}
	:: !rlist && !blist -> break
	od;

	/* whom next? */
	atomic {
		if
		:: nexit == ALL -> goto over
		:: else
		fi;
#ifdef ENQ
		task[s] = 0;
#endif
#ifndef SUCC
		r = running[s]
	};
	atomic {
#endif
#ifdef LIVE	/* first in, first out, for two: never the same one while the other waits */
		if
		:: r == 0 && q[s] == ALL -> x = (last == 1 -> 2 : 1)
		:: r == 0 && q[s] != ALL && q[s] -> x = q[s]
		:: else
		fi;
		if
		:: x -> last = x
		:: else
		fi;
#else
		if
		:: !r && (q[s] & 1) -> x = 1
		:: !r && (q[s] & 2) -> x = 2
		:: !r && (q[s] & 4) -> x = 3
#ifdef RIVALS	/* names whom the other has queued, too: both may claim it */
		:: !r && q[s] == 0 && (q[1 - s] & 1) -> x = 1
		:: !r && q[s] == 0 && (q[1 - s] & 2) -> x = 2
#elif NS > 1
		/* steal what the other has queued, or its successor */
		:: !r && q[s] == 0 && (q[1 - s] & 1) -> x = 1; q[1 - s] = q[1 - s] & ~1
		:: !r && q[s] == 0 && (q[1 - s] & 2) -> x = 2; q[1 - s] = q[1 - s] & ~2
		:: !r && q[s] == 0 && next_tid[1 - s] -> x = next_tid[1 - s]; next_tid[1 - s] = 0
#endif
		:: else
		fi;
#endif
		r = 0;
		if
		:: x ->
			q[s] = q[s] & ~BIT(x - 1);
			if
			:: ustate[x - 1] == EXITED -> x = 0; goto loop
			:: else ->
				assert(next_tid[s] == 0);
				next_tid[s] = x; x = 0
			fi
		:: else
		fi
	};
#ifdef QUIET
	if
	:: atomic { q[s] -> quiet[s] = 0 }
	:: else ->
		quiet[s] = 1;
#ifdef ENQ
		task[s] = 0
#endif
	fi;
#endif

	/* ---- umcg_wait() ---- */
	atomic {
#ifdef TIMEOUT
		if
		:: timer = 1
		:: timer = 0
		fi;
#endif
		nx = next_tid[s];
		CUT_NEXT
		lock[s] == 0; lock[s] = 1;
		expired[s] = 0;
#ifdef SLICE
		timer = (running[s] || nx); armed[s] = timer;
#endif
#ifdef MUT_R1	/* the heads are read before `waiting` is published */
		c = (rhead[s] || bhead[s]);
		lock[s] = 0
	};
	atomic { lock[s] == 0 -> lock[s] = 1;
#endif
		waiting[s] = 1; idle[s] = (running[s] == 0 && nx == 0);
		CUT
		sstate[s] = (idle[s] -> IDLE : RUNNABLE);
		CUT
#ifndef MUT_R1
		c = (rhead[s] || bhead[s]);
#endif
		c = c || missed[s]; missed[s] = 0;
		if
		:: c -> nx = 0; goto undo
		:: else
		fi;
		if
#ifdef MUT_R22	/* a worker may still run */
		:: !nx -> lock[s] = 0; goto sleep
#else
		:: running[s] || !nx -> nx = 0; lock[s] = 0; goto sleep
#endif
		:: else
		fi;
		CUT_NEXT
		if
		:: next_tid[s] == nx -> next_tid[s] = 0
		:: else -> nx = 0; goto undo		/* taken away */
		fi;
		CUT_NEXT
		claim(nx - 1);
		CUT_NEXT
		if
		:: !ok ->
			if
			:: next_tid[s] == 0 -> next_tid[s] = nx
			:: else
			fi;
			nx = 0; goto undo
		:: else -> ok = 0; running[s] = nx
		fi
	};
	dispatch(nx - 1, s);
	atomic {
		if
		:: !ok -> running[s] = 0; nx = 0; goto undo	/* it was away: that is news */
		:: else
		fi;
		lock[s] = 0; ok = 0;
		CUT
		WASLEEP(nx - 1, 0);
		nx = 0
	};
sleep:
#ifdef FINE
	sasleep[s] = 1;
	atomic {
		if
		:: !waiting[s] -> sasleep[s] = 0; goto woken
		:: else
		fi
	};
	if
	:: sasleep[s] == 0 -> goto sleep
#else
	if
	:: atomic { !waiting[s] -> goto woken }
#endif
#ifdef SLICE
	:: atomic { timer && lock[s] == 0 -> timer = 0; SASLEEP(s, 0);
			if
			:: !waiting[s] -> goto woken
			:: waiting[s] && running[s] ->
				expired[s] = 1;
				preempt[running[s] - 1] = 1; tif[running[s] - 1] = 1;
				goto sleep
			:: else -> lock[s] = 1; goto undo
			fi
		}
#endif
#ifdef TIMEOUT		/* or EINTR */
	:: atomic { timer && lock[s] == 0 -> SASLEEP(s, 0);
			if
			:: !waiting[s] -> goto woken
			:: else -> lock[s] = 1; goto undo
			fi
		}
#endif
	:: nexit == ALL -> goto over
	fi;
undo:
	atomic { sstate[s] = RUNNING; waiting[s] = 0; idle[s] = 0; c = 0; lock[s] = 0 };
woken:
	atomic {
		assert(sstate[s] == RUNNING);
		timer = 0;
#ifdef SLICE
		armed[s] = 0;
#endif
		/* what was not consumed goes back */
		if
		:: next_tid[s] -> q[s] = q[s] | BIT(next_tid[s] - 1);
#ifdef LIVE
			last = 3 - next_tid[s];		/* to the front */
#endif
			next_tid[s] = 0
		:: else
		fi;
		goto loop
	};
over:
	skip
}
