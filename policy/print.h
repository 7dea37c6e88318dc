/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PRINT_H
#define PRINT_H

#include "policy.h"

/*
 * A rule's canonical text.  Sets can be left out of it (a `$` stands for them)
 * where their elements are taken into account otherwise.
 */
void print_rule(FILE *out, const struct pol_rule *r, bool sets);

#endif
