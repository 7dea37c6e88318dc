/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that make up a ULSP under supervision, and its supervisor, share. */
#ifndef SUPERVISED_PRIV_H
#define SUPERVISED_PRIV_H

#include "supervised.h"

/* Its process must have ended. */
void supervised_free(struct supervised *p);

/* No process runs, as the programs and the next process see it. */
void supervised_clear_readers(struct supervised *p);
/* What the page says is the earlier program's; how far it read the ring still holds. */
void supervised_clear_counters(struct supervised *p);

/* Tell its process to end; SIGKILL follows from the event loop. */
void supervised_end(struct supervised *p);
/* Its process and all that it started. */
void supervised_kill(struct supervised *p);
/* What it started, also in other sessions: nothing of it may keep the ring or the cache. */
void supervised_end_rest(struct supervised *p);
/* sd-event's, for `child`. */
int supervised_on_exit(sd_event_source *source, const siginfo_t *si, void *ctx);

#endif
