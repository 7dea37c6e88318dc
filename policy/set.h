/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets as written: addresses, numbers (ports, uids) and strings (paths, names)
 * between braces, by define or alone.  What a set may hold is decided where it
 * is used.
 *
 * A negated element takes away from the others: { 10.0.0.0/8, !10.1.0.0/16 };
 * when all are negated, from everything.  Sets live until the parser ends.
 */
#ifndef SET_H
#define SET_H

#include "atom.h"

struct parser;

enum set_kind { SET_ADDRS, SET_NUMBERS, SET_STRINGS, SET_KINDS };

struct set {
	struct set *next; /* of all sets of the parser */
	struct spans v4, v6, numbers;
	struct spans not4, not6, not_numbers; /* empty once closed */
	unsigned kinds;			      /* bit per set_kind: elements present */
	unsigned plain;			      /* of these, with an element that isn't negated */
	struct pol_loc loc;
	struct pol_loc kind_loc[SET_KINDS]; /* of the first element of each kind */
	uint64_t largest;		    /* number written */
	struct pol_loc largest_loc;
	const char **strings;
	struct pol_loc *string_locs;
	size_t nstrings;
	bool bad;		/* some element was wrong and is missing; reported */
	struct pol_addrs addrs; /* set_addrs() made it: shared by all uses */
	bool addrs_made;
};

/* How a clause names a set. */
struct set_use {
	struct set *set; /* NULL: any, or no memory */
	struct pol_loc loc;
	bool negated;
};

/* Like every builder here: when memory ends they set parser->oom and go on. */
struct set *set_new(struct parser *p, const struct pol_loc *loc);
void sets_free(struct parser *p);

void set_add_addr(struct parser *p, struct set *s, bool negated, const struct atom *a,
		  const struct pol_loc *loc);
void set_add_numbers(struct parser *p, struct set *s, bool negated, const struct atom *a,
		     const struct pol_loc *loc);
void set_add_string(struct parser *p, struct set *s, bool negated, const char *text,
		    const struct pol_loc *loc);
void set_add_set(struct parser *p, struct set *s, bool negated, const struct set *other,
		 const struct pol_loc *loc);
/* Prefixes from a file, one a line. */
void set_add_file(struct parser *p, struct set *s, bool negated, const char *name,
		  const struct pol_loc *loc);
/* After the last element. */
void set_close(struct parser *p, struct set *s);

/*
 * What a clause makes of a set; errors are reported with `what`, the clause's
 * word.  Return false when there was one.
 */
bool set_addrs(struct parser *p, const struct set_use *u, const char *what, struct pol_addrs *ret);
bool set_ports(struct parser *p, const struct set_use *u, struct pol_portset *ret);
bool set_uids(struct parser *p, const struct set_use *u, struct pol_uids **ret, size_t *ret_n);
/* The strings, as many as the set has; *ret is the set's own array. */
bool set_strings(struct parser *p, const struct set_use *u, const char *what, const char ***ret,
		 size_t *ret_n);

#endif
