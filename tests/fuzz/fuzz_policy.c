/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as a policy: they parse, or are refused with an error; and what
 * parses prints to text that parses to the same and prints the same, with and
 * without places.
 *
 * What follows a line "%%" is what every other file holds: set files, includes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "../unit/policy_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Files read by one input: includes multiply, which says nothing new. */
enum { MAX_READS = 6 };

struct rest {
	const uint8_t *data;
	size_t bytes;
	int reads;
};

static int read_rest(void *ctx, const char *path, char **ret_text, size_t *ret_bytes)
{
	struct rest *rest = ctx;

	if (strchr(path, '!') || rest->reads++ == MAX_READS) /* some files aren't there */
		return -ENOENT;
	*ret_text = malloc(rest->bytes + 1);
	if (!*ret_text)
		return -ENOMEM;
	if (rest->bytes)
		memcpy(*ret_text, rest->data, rest->bytes);
	(*ret_text)[rest->bytes] = '\0';
	*ret_bytes = rest->bytes;
	return 0;
}

static int glob_one(void *ctx, const char *pattern, char ***ret_paths)
{
	(void)ctx;
	(void)pattern;
	*ret_paths = calloc(2, sizeof(**ret_paths));
	if (!*ret_paths)
		return -ENOMEM;
	(*ret_paths)[0] = strdup("fuzz/found.ulsp");
	return 0;
}

static void fail(const char *what, const char *text)
{
	fprintf(stderr, "%s:\n%s\n", what, text);
	abort();
}

static void check_diags(const struct pol_diags *d, int r)
{
	char *text;
	size_t bytes;
	FILE *out;

	if ((r < 0) != (d->errors > 0) || d->n > POL_MAX_DIAGS)
		fail("result and diagnostics disagree", "");
	out = open_memstream(&text, &bytes);
	pol_diags_print(d, out, true);
	fclose(out);
	if (bytes > 1024 * 1024)
		fail("too much to say", text);
	free(text);
}

static void check_round_trip(const struct pol_policy *p, unsigned flags)
{
	struct pol_diags diags = {0};
	struct pol_policy *again;
	char *text, *text_again;
	const char *what;

	if (pol_print(p, flags, &text) < 0)
		return;
	if (pol_parse_text("printed", text, strlen(text), NULL, &diags, &again) < 0) {
		pol_diags_print(&diags, stderr, false);
		fail("what was printed doesn't parse", text);
	}
	what = policy_differs(p, again, flags & POL_PRINT_LINES);
	if (what)
		fail(what, text);
	if (pol_print(again, flags, &text_again) == 0) {
		if (strcmp(text, text_again) != 0)
			fail("printed otherwise the second time", text_again);
		free(text_again);
	}
	free(text);
	pol_free(&again);
	pol_diags_fini(&diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const uint8_t *mark = bytes ? memmem(data, bytes, "\n%%\n", 4) : NULL;
	size_t own = mark ? (size_t)(mark - data) + 1 : bytes;
	struct rest rest = {
		.data = mark ? mark + 4 : NULL,
		.bytes = mark ? bytes - own - 3 : 0,
	};
	const struct pol_reader reader = {.ctx = &rest, .read = read_rest, .glob = glob_one};
	struct pol_diags diags = {0};
	struct pol_policy *p = NULL;
	int r = pol_parse_text("fuzz/input.ulsp", (const char *)data, own, &reader, &diags, &p);

	check_diags(&diags, r);
	if (r == 0) {
		check_round_trip(p, 0);
		check_round_trip(p, POL_PRINT_LINES);
		pol_free(&p);
	}
	pol_diags_fini(&diags);
	return 0;
}
