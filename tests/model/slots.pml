/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Verdicts in a slot: bpf/hold.bpf.c, bpf/park.bpf.h, kernel_answer() in
 * ulsp/kernel.c, loader/parking.c; two questions that have the same slot one
 * after the other.  That their tickets differ is for claim.pml.
 *
 * A question is sent and looks for its verdict: in the hook, then maybe parked,
 * where the daemon gets a record and a poke in either order, and at a later SYN.
 * It ends with a verdict or without one, or its process is killed; then the slot
 * is free when its time is over.  The ULSP answers what it was asked in any
 * order, late or twice, and may be stopped anywhere in between.
 *
 * Claims: a verdict that someone goes by is the question's own; what was
 * answered in time while it was parked is gone by without waiting for the
 * daemon's timer or another SYN.
 *
 * Mutants: NO_RECHECK (a question hands over its record before it says that
 * it is parked, and nobody looks after that), NO_RECHECK_ULSP (the ULSP looks
 * whether one is parked only before it answers), NO_FENCE (it looks before
 * its ticket can be seen), NO_LOOK (the daemon doesn't look at a new record),
 * NO_AFTER (nobody looks whose the slot is after the verdict was read),
 * NO_TICKET (nobody looks whose the verdict is), OVERWRITE (a question whose
 * time is over says that it is parked in place of the next one),
 * REWRITE_PASSES (another address, told too late, lets a SYN pass).
 */
#define ASKED	2
#define ANSWERS 2 /* tries */
#define NONE	9

byte owner = NONE, last; /* struct ulsp_wait: who has it, the last ticket */
byte ticket, parked;	 /* struct ulsp_slot */
byte said;		 /* its verdict: whose it is */
bool rewrite;		 /* it is another address */

byte ticket_of[ASKED];
bool late[ASKED], over[NONE + 1]; /* past the deadline; and past the time after that */
bool answered[ASKED];	       /* in time */
bool waits[ASKED];	       /* parked */
bool done[ASKED];	       /* gone by its verdict, or ended without */

chan message = [ASKED] of { byte };
chan record = [ASKED] of { byte };
chan poke = [ANSWERS] of { bit };

#ifdef NO_TICKET
#define IS(t) (ticket != 0)
#else
#define IS(t) (ticket == (t))
#endif
#ifdef NO_AFTER
#define STILL(t) true
#else
#define STILL(t) (last == (t))
#endif

/* read_slot(), verdict() */
inline look(q)
{
	found = false;
	if
	:: IS(ticket_of[q]) ->
		d_step { read = said; moved = rewrite };
		d_step {
			found = STILL(ticket_of[q]);
			assert(!found || read == q);
			moved = found && moved;
			read = 0
		}
	:: else
	fi
}

/* answer_parked() */
inline park(q)
{
	atomic {
		if
#ifdef OVERWRITE
		:: parked = ticket_of[q]
#else
		:: parked < ticket_of[q] -> parked = ticket_of[q]
		:: else
#endif
		fi
	}
}

/* Of a parked one: its SYN passes, or it is refused. */
inline go_by(q)
{
	d_step {
#ifdef REWRITE_PASSES
		assert(!moved);
#endif
		moved = false;
		found = false;
		done[q] = true
	}
}

proctype question(byte me)
{
	byte read;
	bool found, moved;

end_free:
	atomic {
		owner == NONE || over[owner] ->
		owner = me;
		last++;
		ticket_of[me] = last;
		message!me
	}
	look(me); /* in the hook, where another address counts */
	if
	:: found -> goto leave
	:: !found	  /* it parks */
	:: !found -> goto leave /* its fail mode */
	:: goto end	  /* its process is killed */
	fi;
#ifdef NO_RECHECK
	record!me;
	atomic { waits[me] = true; park(me) };
#else
	park(me);
	look(me);
	if
	:: found -> goto parked_end
	:: else
	fi;
	atomic { record!me; waits[me] = true };
#endif
end_parked:
	if
	:: done[me] -> goto leave
	:: late[me] -> park(me)
	fi;
	look(me);
parked_end:
	go_by(me);
leave:	atomic {
		if
		:: owner == me -> owner = NONE
		:: else
		fi
	}
end:	skip
}

proctype ulsp()
{
	byte q, n;
	bool has[ASKED], saw;

end:	do
	:: message?q -> has[q] = true
	:: atomic {
		n < ANSWERS && (has[0] || has[1]) ->
		n++;
		if
		:: has[0] -> q = 0
		:: has[1] -> q = 1
		fi;
		if
		:: late[q] || ticket >= ticket_of[q] -> q = 0; goto next
		:: else
		fi;
		saw = parked == ticket_of[q]
	   }
	   atomic {
		said = q;
		if
		:: !saw -> rewrite = true
		:: rewrite = false
		fi
	   }
#ifdef NO_RECHECK_ULSP
	   ticket = ticket_of[q];
#else
#ifdef NO_FENCE
	   saw = parked == ticket_of[q];
	   ticket = ticket_of[q];
#else
	   ticket = ticket_of[q];
	   saw = parked == ticket_of[q];
#endif
#endif
	   d_step {
		if
		:: saw -> poke!0
		:: else
		fi;
		answered[q] = !late[q];
		saw = false;
		q = 0
	   }
next:	   skip
	od
}

#define WAITS(q) (last == ticket_of[q] && owner == (q) && !done[q])

proctype daemon()
{
	byte q, read, at = NONE;
	bool found, moved;

end:	do
	:: atomic {
		record?q ->
		if
		:: last != ticket_of[q] -> goto next /* over: another has it by now */
		:: else -> at = q
		fi
	   }
#ifdef NO_LOOK
		goto next
#else
		goto at_it
#endif
	:: atomic { poke?_ -> if :: at == NONE -> goto next :: else -> q = at fi }
at_it:		if
		:: WAITS(q) ->
			look(q);
			if
			:: found -> go_by(q)
			:: else
			fi
		:: else
		fi;
next:		q = 0
	od
}

/* Time goes by, or not; of the second, what is past its deadline is like of the first. */
proctype clock()
{
	do
	:: !late[0] -> late[0] = true
	:: late[0] && !over[0] -> over[0] = true
	:: break
	od
}

init {
	atomic { run question(0); run question(1); run ulsp(); run daemon(); run clock() }
	timeout -> assert(!waits[0] || !answered[0] || late[0] || done[0]);
	assert(!waits[1] || !answered[1] || late[1] || done[1])
}
