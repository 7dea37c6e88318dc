/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has a verdict slot: take() and hold_end() in bpf/hold.bpf.c.
 *
 * A slot is taken by compare-and-swap on the time until which it is, then its
 * ticket is counted up.  It is given back, or its time goes by while its owner
 * is still there.
 *
 * Claims: no two questions get the same ticket, and a slot whose time has not
 * gone by is given back by its owner only.
 *
 * Mutants: FREE_BY_TICKET gives back what has the own ticket, whoever took it
 * since; PLAIN_COUNT also counts tickets in two steps.
 */
#define ASKED 3
#ifdef PLAIN_COUNT
#define FREE_BY_TICKET
#define COUNTED true /* go on to where it leads */
#else
#define COUNTED false
#endif

byte until, ticket; /* struct ulsp_wait; the time is the question that took it, from 1 */
bool over[ASKED + 1];
byte ticket_of[ASKED + 1];
byte owner; /* by the last compare-and-swap */

proctype question(byte me)
{
	byte was, mine;

	was = until;
	if
	:: was == 0 || over[was]
	:: else -> goto end
	fi;
	atomic {
		if
		:: until == was -> until = me; owner = me
		:: else -> goto end
		fi
	}
#ifdef PLAIN_COUNT
	mine = ticket + 1;
	ticket = mine;
#else
	d_step { ticket++; mine = ticket }
#endif
	d_step {
		ticket_of[me] = mine;
		assert(mine != ticket_of[1] || me == 1);
		assert(mine != ticket_of[2] || me == 2);
		assert(mine != ticket_of[3] || me == 3)
	}
#ifdef FREE_BY_TICKET
	if
	:: ticket == mine ->
		atomic {
			assert(COUNTED || until == 0 || until == me || over[until]);
			until = 0
		}
	:: else
	fi;
#else
	atomic {
		if
		:: until == me -> until = 0
		:: else
		fi
	}
#endif
end:	skip
}

proctype clock()
{
	byte n = 1;

	do
	:: n <= ASKED -> over[n] = true; n++
	:: break
	od
}

init {
	atomic { run question(1); run question(2); run question(3); run clock() }
}
