/* SPDX-License-Identifier: BSD-2-Clause */
#include "track.h"

void ulsp_track_start(struct ulsp_track *t, uint64_t next)
{
	t->before += t->lost;
	t->base = next;
	t->max = t->mark = t->tail = next - 1;
	t->received = t->missing = t->lost = 0;
}

/* The slot was given to another group, or the sender's maps are new. */
static bool restarted(const struct ulsp_track *t, const uint64_t *sent)
{
	return sent && t->base && __atomic_load_n(sent, __ATOMIC_RELAXED) < t->max;
}

void ulsp_track_seen(struct ulsp_track *t, uint64_t seq, const uint64_t *sent)
{
	if (!t->base)
		ulsp_track_start(t, seq);
	if (seq <= t->max && restarted(t, sent))
		ulsp_track_start(t, 1);
	if (seq < t->base)
		return; /* was on its way when we began to count */
	t->received++;
	if (seq > t->max)
		t->max = seq;
	if (seq <= t->mark && t->missing) {
		t->missing--;
		if (t->lost > t->missing)
			t->lost = t->missing;
	}
}

uint64_t ulsp_track_settle(struct ulsp_track *t, const uint64_t *sent, bool drained)
{
	uint64_t fresh = 0, span;

	if (restarted(t, sent))
		ulsp_track_start(t, 1);
	if (!t->base) {
		if (sent && drained && t->tail)
			ulsp_track_start(t, t->tail + 1);
	} else {
		if (t->missing > t->lost) {
			fresh = t->missing - t->lost;
			t->lost = t->missing;
		}
		if (drained && t->tail > t->max)
			t->max = t->tail;
		span = t->max - t->base + 1;
		t->mark = t->max;
		t->missing = span > t->received ? span - t->received : 0;
	}
	if (sent)
		t->tail = __atomic_load_n(sent, __ATOMIC_RELAXED);
	return fresh;
}

uint64_t ulsp_track_lost(const struct ulsp_track *t)
{
	return t->before + t->lost;
}
