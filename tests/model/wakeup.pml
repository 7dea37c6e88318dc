/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The wake-up of a ring's consumer: ulsp/ring.c and ulsp/kernel.c against the
 * kernel's bpf_ringbuf_commit().
 *
 * A producer makes its record readable by an exchange, a full barrier, then
 * looks at what is given back, and wakes the consumer if that is all before its
 * record.  The consumer gives the last record that it took back late: with the
 * next one, or before it sleeps.  What it stores may be seen late by others
 * (a store buffer), unless it is stored sequentially consistent.
 *
 * Claim: when nothing can go on, everything was taken.
 *
 * Mutants: NO_RECHECK sleeps without another look, NO_FENCE gives back without
 * the order, NO_SETTLE sleeps without giving back, LOOK_FIRST is a producer that
 * looks at what is given back before its record is readable.
 */
#define PRODUCERS 2
#define EACH	  2
#define ALL	  (PRODUCERS * EACH)
#define READY	  (at < reserved && !busy[at])

byte reserved; /* records that have a place */
bool busy[ALL];
byte given; /* back, as others see it */
bool woken;
byte at; /* the consumer's */
chan buffer = [4] of { byte };

proctype producer()
{
	byte n, mine;
	bool wake;

	do
	:: n < EACH ->
		n++;
		d_step { mine = reserved; busy[mine] = true; reserved++ }
#ifdef LOOK_FIRST
		wake = given == mine;
		busy[mine] = false;
#else
		busy[mine] = false;
		wake = given == mine;
#endif
		if
		:: wake -> woken = true
		:: else
		fi
	:: else -> break
	od
}

/* Stores come out in their order, at any time. */
proctype storing()
{
	byte value;

end:	do
	:: buffer?<value> -> given = value; buffer?value
	od
}

proctype consumer()
{
	byte last, given_before;

end_loop:
	do
	:: true ->
		last = at;
		do /* ulsp_ring_drain() */
		:: READY ->
			last = at;
			at++
		:: else -> break
		od;
		if
		:: last != at && last != given_before -> buffer!last; given_before = last
		:: else
		fi;
		if /* a short wait may find one */
		:: READY -> goto again
		:: true
		fi;
#ifndef NO_SETTLE
		if
		:: given_before != at -> /* ulsp_ring_settle() */
			buffer!at;
			given_before = at;
#ifndef NO_FENCE
			empty(buffer)
#endif
		:: else
		fi;
#endif
#ifndef NO_RECHECK
		if
		:: READY -> goto again
		:: else
		fi;
#endif
end_sleep:	woken -> woken = false;
again:		skip
	od
}

init {
	atomic { run producer(); run producer(); run storing(); run consumer() }
	timeout -> assert(at == ALL)
}
