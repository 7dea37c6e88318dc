/* SPDX-License-Identifier: GPL-2.0-only */
/* Diagnostics across the control socket. */
#ifndef DIAG_JSON_H
#define DIAG_JSON_H

#include "policy.h"

struct json_object;

struct json_object *diags_to_json(const struct pol_diags *d);
/* What is not a diagnostic in the array is left out. */
void diags_from_json(struct json_object *array, struct pol_diags *ret);

#endif
