/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as what a client sends, in pieces whose size the first byte gives:
 * requests come out checked, or the stream is refused; never both ways for the
 * same bytes in other pieces.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { MAX_REQUESTS = 64 };

struct outcome {
	size_t requests;
	size_t text_bytes;
	unsigned verbs[MAX_REQUESTS];
	int end; /* 0, or why the stream was refused */
};

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

/* Everything that a handler would read. */
static void use(const struct control_request *r)
{
	static const char *const strings[] = {"name", "group", "cgroup", "existing", "mode",
					      "op",   "proto", "addr",	 "from",     "to",
					      "exec", "ulsp",  "output"};
	const char *s;

	if ((unsigned)r->verb >= CONTROL_VERBS || !control_verb_name(r->verb))
		fail("a request without a verb");
	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
		s = control_string(r, strings[i]);
		if (s && strlen(s) > CONTROL_LINE_BYTES)
			fail("a string longer than its request");
	}
	for (size_t i = 0; i < control_count(r, "paths"); i++) {
		s = control_at(r, "paths", i);
		if (!s || (r->verb == CONTROL_LOAD && *s != '/'))
			fail("a relative path");
	}
	control_int(r, "port", 0);
	control_int(r, "uid", 0);
	control_int(r, "after", 0);
	control_flag(r, "keep");
	control_flag(r, "all");
	if (r->text && r->text[r->text_bytes])
		fail("a text without its end");
	if (r->text_bytes > CONTROL_TEXT_BYTES || (r->verb != CONTROL_LOAD && r->text))
		fail("a text that must not be");
}

static struct outcome run(const uint8_t *data, size_t bytes, size_t piece)
{
	struct control_input in = {0};
	struct control_request request;
	struct outcome o = {0};
	char why[CONTROL_WHY_BYTES] = "";

	while (bytes && !o.end) {
		size_t n = bytes < piece ? bytes : piece;
		int r;

		o.end = control_feed(&in, data, n);
		data += n;
		bytes -= n;
		while (!o.end && (r = control_next(&in, &request, why))) {
			if (r < 0) {
				if (!*why || !memchr(why, 0, sizeof(why)))
					fail("refused without a reason");
				o.end = r;
				break;
			}
			use(&request);
			if (o.requests < MAX_REQUESTS)
				o.verbs[o.requests] = request.verb;
			o.requests++;
			o.text_bytes += request.text_bytes;
			control_request_fini(&request);
		}
	}
	control_input_fini(&in);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct outcome whole, pieces;

	if (!bytes)
		return 0;
	whole = run(data + 1, bytes - 1, 16384);
	pieces = run(data + 1, bytes - 1, *data ? *data : 1);
	if (memcmp(&whole, &pieces, sizeof(whole)))
		fail("the pieces make a difference");
	return 0;
}
