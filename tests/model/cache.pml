/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One entry of a cache of verdicts: ulsp_cache_put() and ulsp_cache_void() in ulsp/cache.c,
 * read_entry() in bpf/judge.bpf.h.
 *
 * Two threads write verdicts for keys of their own, the daemon voids what it read, and a program
 * looks for a key.  The verdict and the expiry that are right for a key have its number.
 *
 * Claim: what the program takes has the key, the verdict and the expiry of one writing.
 *
 * Mutants: PLAIN_TAKE makes it busy without compare-and-swap; TAKE_BUSY takes what another writes;
 * NO_BUSY writes without saying so; NO_COUNT says the same state again; NO_AFTER doesn't look at
 * the state again; PLAIN_VOID voids whatever is there by now.
 */
#define KEYS 3
#define VOID 0
#define BUSY 9

byte verdict, count; /* the state, changed as one */
byte key, expires;

inline take()
{
	was = verdict; n = count;
#ifndef TAKE_BUSY
	if
	:: was == BUSY -> goto end
	:: else
	fi;
#endif
#ifdef PLAIN_TAKE
	verdict = BUSY
#else
	atomic {
		if
		:: verdict == was && count == n ->
#ifndef NO_BUSY
			verdict = BUSY
#endif
		:: else -> goto end
		fi
	}
#endif
}

proctype writer(byte mine)
{
	byte was, n;

	take();
	key = mine;
	expires = mine;
	d_step {
		verdict = mine;
#ifndef NO_COUNT
		count = n + 1
#endif
	}
end:	skip
}

proctype daemon()
{
	byte was, n;

	d_step { was = verdict; n = count };
	if
	:: was == BUSY || was == VOID -> goto end
	:: else
	fi;
#ifdef PLAIN_VOID
	verdict = VOID;
#else
	atomic {
		if
		:: verdict == was && count == n -> verdict = VOID
		:: else
		fi
	}
#endif
end:	skip
}

proctype program(byte wanted)
{
	byte said, n, until;

	d_step { said = verdict; n = count };
	if
	:: said == BUSY || said == VOID || key != wanted -> goto end
	:: else
	fi;
	until = expires;
#ifndef NO_AFTER
	if
	:: verdict != said || count != n -> goto end
	:: else
	fi;
#endif
	assert(said == wanted && until == wanted);
end:	skip
}

init {
	atomic {
		/* as an earlier one left it */
		verdict = 1; key = 1; expires = 1;
		run writer(1); run writer(2); run daemon(); run program(1); run program(2)
	}
}
