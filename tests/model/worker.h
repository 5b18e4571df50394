/* SPDX-License-Identifier: MIT */
/* A worker: what it does in user space, its stop, its way back, the hold. */

inline leave_user(s, w)
{
	if
	:: inuser[s] == w + 1 -> inuser[s] = 0
	:: else
	fi
}

proctype Worker(byte w)
{
	LOCALS
	byte s;		/* who dispatched it */
	byte h;		/* whose list it goes to */
	byte hn;	/* hands over to, worker + 1 */
	byte to;	/* where it goes after it has stopped: BLOCKED, RUNNABLE, DEAD */
	bool enq, an, aq, kk, fromblock;

	goto ret;	/* umcg_register() */

user:
	if
	:: atomic { tif[w] -> tif[w] = 0;	/* asked to stop, at any instruction */
			CUT
			if
			:: preempt[w] -> goto preempted
			:: else -> goto user
			fi
		}
#ifdef SPIN
	:: armed[s] -> tif[w];			/* never stops by itself */
		goto user
#endif
#ifdef QUIET
	/* the carrier has nothing left: QUIET first, then the last look */
	:: quiet[s] = 1;
		atomic {
			if
			:: q[s] -> quiet[s] = 0
			:: else
			fi
		}
#ifdef ENQ
		if
		:: task[s] -> task[s] = 0; goto user
		:: else
		fi
#endif
		goto block
#else
	:: goto block
#endif
#ifdef ENQ
	:: atomic { task[s] -> task[s] = 0; goto user }
#endif
#ifdef YIELD
	:: atomic { enq = 1; an = 1; goto park }
#endif
#ifdef SILENT	/* parks on no list: user space has put it somewhere before */
	:: atomic { q[s] = q[s] | BIT(w); an = 1; goto park }
#endif
#ifdef HANDOVER
	:: atomic { q[s] ->
			if
			:: (q[s] & 1) -> hn = 1
			:: (q[s] & 2) -> hn = 2
			:: (q[s] & 4) -> hn = 3
			fi;
			q[s] = q[s] & ~BIT(hn - 1)
		};
		atomic {
			claim(hn - 1);
			if
			:: ok -> ok = 0; enq = 1; goto park
			:: else ->
				if
				:: ustate[hn - 1] != EXITED -> q[s] = q[s] | BIT(hn - 1)
				:: else
				fi;
				hn = 0; goto user
			fi
		}
#endif
	:: goto die
	fi;

block:	/* schedule() with phase RUNNING */
#ifdef MUT_P3_BLOCK	/* the request is read before the phase changes */
	atomic {
		kk = preempt[w]; preempt[w] = 0;
		if
		:: kk -> GAVE_UP(w)
		:: else
		fi
	};
#endif
	atomic {
		leave_user(s, w);
		assert(phase[w] == RUNNING);
		phase[w] = BLOCKED;
#ifndef MUT_P6		/* the state before the push */
		ustate[w] = BLOCKED;
#endif
		bowed[w] = 1; settled[w] = 0
	};
#ifndef MUT_P3_BLOCK
	atomic {	/* who asked is told: no successor, no quiet */
		kk = preempt[w]; preempt[w] = 0;
		if
		:: kk -> GAVE_UP(w)
		:: else
		fi
	};
#endif
	push(bhead[s], blink[w], w);
#ifdef MUT_P6
	ustate[w] = BLOCKED;
#endif
	atomic {
		LISTED(w, s); pushed = 0;
		to = BLOCKED; an = !kk; aq = !kk; kk = 0;
		settled[w] = 1;
		assert(!bowed[w] || blink[w] || reading[w]);
		goto stopped
	};

die:	/* exit, or killed in the hold; a claimer finishes first, it writes to our struct */
	atomic {
#ifndef MUT_DIE_CLAIMED
		phase[w] != CLAIMED && phase[w] != CLAIMED_A;
#endif
		leave_user(s, w);
		s = (srv[w] -> srv[w] - 1 : HOME(w));
		phase[w] = DEAD; GAVE_UP(w); WASLEEP(w, 0);
		CUT
		ustate[w] = EXITED
	};
#ifdef MUT_GONE	/* EXITED is the last word, though its entry is still to come */
	gone[w] = 1;
#endif
	push(bhead[s], blink[w], w);
#if NS > 1 && !defined(MUT_EXIT_LISTED)
	/* an older entry says it now, on the list of somebody who may be asleep */
	if
	:: pushed -> pushed = 0
	:: else ->
		atomic { h = listed[w]; lock[h] == 0; lock[h] = 1 };
		wake_unlock(h);
		h = 0
	fi;
#endif
	atomic { pushed = 0; to = DEAD; an = 1; goto stopped };

preempted:
	atomic { enq = 1; an = 0; h = s + 1 };

park:	/* from RUNNING */
	atomic {
		kk = preempt[w]; preempt[w] = 0; GAVE_UP(w);
		leave_user(s, w)
	};
publish:
	ustate[w] = RUNNABLE;
	atomic {
		assert(phase[w] == RUNNING || phase[w] == BLOCKED);
#ifndef RIVALS
		assert(!owed[w]);
		owed[w] = enq;
#endif
		GAVE_UP(w);
		phase[w] = RUNNABLE
	};
	if
	:: enq ->
		atomic {
			h = (h -> h - 1 : HOME(w));	/* preempted: its dispatcher */
#ifdef PEER
			CUT
			if
			:: !idle[h] && idle[1 - h] -> h = 1 - h
			:: else
			fi
#endif
		};
		push(rhead[h], rlink[w], w);
		wake_idle(h);
		atomic { enq = 0; h = 0; pushed = 0 }
	:: else
	fi;
	atomic {
		if
		:: fromblock -> kk = 0; fromblock = 0; goto hold
		:: else -> an = an && !kk; to = RUNNABLE; kk = 0
		fi;
		if
		:: hn -> nx = hn; hn = 0
		:: else
		fi
	};

stopped:
	atomic { lock[s] == 0 -> lock[s] = 1;
		had = (running[s] == w + 1);
		if
		:: nx -> goto runnext		/* hand-over to the claimed nx */
		:: else
		fi;
		if
		:: had && an && !expired[s] -> nx = next_tid[s]
		:: else
		fi;
		an = 0;
		if
		:: !nx -> goto nosucc
		:: else
		fi;
		CUT_NEXT
#ifdef MUT_R25	/* the claim first, then the word, whoever it names by now */
		claim(nx - 1);
		CUT_NEXT
		if
		:: ok -> next_tid[s] = 0
		:: else
		fi;
#else
		if
		:: next_tid[s] == nx -> next_tid[s] = 0
		:: else -> nx = 0; goto nosucc
		fi;
		CUT_NEXT
		claim(nx - 1);
		CUT_NEXT
		if
		:: !ok && next_tid[s] == 0 -> next_tid[s] = nx
		:: else
		fi;
#endif
		if
		:: ok -> ok = 0; goto runnext
		:: else -> nx = 0
		fi
	};
	goto nosucc;

runnext:
	atomic { assert(had); running[s] = nx; an = 0 };
	dispatch(nx - 1, s);
	atomic {
		if
		:: !ok -> nx = 0; aq = 0; goto nosucc	/* it was away */
		:: else
		fi;
#ifndef MUT_R20
		if
		:: expired[s] -> preempt[nx - 1] = 1; tif[nx - 1] = 1
		:: else
		fi;
#endif
		lock[s] = 0; ok = 0; aq = 0;
		CUT
		WASLEEP(nx - 1, 0);
		nx = 0;
		goto told
	};
nosucc:
	atomic {
		if
		:: had -> running[s] = 0
		:: else
		fi;
#ifdef QUIET
		c = (had && aq && waiting[s] &&
#ifndef MUT_QUIET_EXPIRED	/* its server waits for this very stop */
			!expired[s] &&
#endif
			quiet[s] && rhead[s] == 0 && next_tid[s] == 0);
#endif
		aq = 0
	};
#ifdef QUIET
	if
	:: c ->
		atomic { idle[s] = 1; sstate[s] = IDLE };
#ifndef MUT_R26
		atomic {
			c = (quiet[s] && rhead[s] == 0 && next_tid[s] == 0)
		};
#endif
		atomic {
			if
			:: c -> c = 0; lock[s] = 0; goto told
			:: else
			fi
		}
	:: else
	fi;
#endif
	wake_unlock(s);
told:
	atomic {
#ifdef KICKW
		assert(to != BLOCKED || !kdue[w]);	/* a kick that returned 0 is not quiet */
#endif
		had = 0; s = 0;
		if
		:: to == BLOCKED -> to = 0; goto asleep
		:: to == RUNNABLE -> to = 0; goto hold
		:: to == DEAD -> gone[w] = 1; goto over
		fi
	};

asleep:	/* what it waits for comes some time */
#if defined(MUT_R19) && defined(FINE)	/* in the hold, only its wake-up comes */
	wasleep[w] == 0;
#endif
#ifdef ENQ	/* but not before the queued task is done: nobody else may save it */
	task[0] == 0;
#endif

ret:	/* on the way to user space, phase BLOCKED */
	atomic { bowed[w] = 0; settled[w] = 0; tif[w] = 0 };
#ifdef DIRECT
	atomic {
		h = HOME(w);
		lock[h] == 0;
		c = (waiting[h] && idle[h]);
#ifdef MUT_R18	/* looks, and takes its place without the lock */
	};
	atomic {
#else
		lock[h] = c;
#endif
		if
		:: c ->
			c = (rhead[h] == 0)
		:: else
		fi;
#ifdef MUT_DIRECT_CLEARS	/* "stale" requests are dropped */
		preempt[w] = 0;
#endif
		if
		:: c ->
			assert(running[h] == 0);
			running[h] = w + 1; idle[h] = 0; srv[w] = h + 1;
			sstate[h] = RUNNABLE
		:: else -> lock[h] = 0
		fi
	};
	if
	:: c -> atomic { c = 0; ustate[w] = RUNNING; phase[w] = RUNNING; lock[h] = 0; h = 0; goto leave }
	:: else -> h = 0
	fi;
#endif
	atomic { enq = 1; fromblock = 1; preempt[w] = 0; goto publish };

hold:	/* asleep until somebody runs it */
	tif[w] = 0;
#ifdef FINE
holding:
#ifdef MUT_P4	/* looks, then sets its task state */
	atomic {
		if
		:: phase[w] == RUNNING -> goto leave
		:: else
		fi
	};
	wasleep[w] = 1;
#else
	wasleep[w] = 1;
	atomic {
		if
		:: phase[w] == RUNNING || phase[w] == BLOCKED -> wasleep[w] = 0; goto letgo
		:: else
		fi
	};
#endif
	if
	:: wasleep[w] == 0 -> goto holding
#ifdef MUT_R19	/* the hold's own schedule() tests the user's word and reports a block */
	:: atomic { wasleep[w] && phase[w] == RUNNING && ustate[w] == RUNNING -> s = srv[w] - 1; goto block }
#endif
#else
	if
#ifdef MUT_USERWORD	/* lets go on user space's copy */
	:: ustate[w] == RUNNING -> goto letgo
#else
	:: phase[w] == RUNNING || phase[w] == BLOCKED -> goto letgo
#endif
#endif
#ifdef KILL
	:: others -> goto die
#endif
#ifdef SIGNALS
	:: others -> goto sig
#endif
	fi;
letgo:
	if
	:: phase[w] == BLOCKED -> goto ret
	:: else
	fi;

leave:
	atomic {
		s = srv[w] - 1;
#ifdef MUT_R21	/* whatever was asked on the way is forgotten */
		preempt[w] = 0;
#endif
		if
#ifndef MUT_HOLD_PREEMPT	/* the request is read at the hold's entry only */
		:: preempt[w] -> goto preempted
#endif
		:: else ->
			assert(inuser[s] == 0);		/* never two */
			assert(phase[w] == RUNNING);
			assert(!owed[w]);
			assert(!preempt[w] || tif[w]);
#ifdef KICKW
			assert(!kdue[w] || preempt[w]);
#endif
			inuser[s] = w + 1;
			goto user
		fi
	};

#ifdef SIGNALS
sig:	/* building a signal frame faults: it sleeps outside the hold */
#ifdef MUT_AWAY_WORD
	atomic { WASLEEP(w, 0); away[w] = 1 };
	atomic {
		if
		:: phase[w] == RUNNING -> away[w] = 0; s = srv[w] - 1; goto block
		:: else
		fi
	};
	away[w] = 0;
	goto hold;
#else
	atomic {
		WASLEEP(w, 0);
		if
		:: phase[w] == RUNNABLE -> phase[w] = RUNNABLE_A
		:: phase[w] == CLAIMED -> phase[w] = CLAIMED_A
		:: phase[w] == RUNNING -> s = srv[w] - 1; goto block
		:: phase[w] == BLOCKED -> goto ret	/* claimed while it was away before */
		fi
	};
	atomic {
		if
		:: phase[w] == RUNNABLE_A -> phase[w] = RUNNABLE; goto hold
		:: phase[w] == CLAIMED_A -> phase[w] = CLAIMED; goto hold
		:: phase[w] == BLOCKED -> goto ret
		:: else -> assert(false)	/* its server thought it ran, and it slept unreported */
		fi
	};
#endif
#endif
over:
	skip
}
