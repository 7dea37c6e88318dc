/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's log: the journal when stderr is connected to it, else stderr,
 * a line a message.  Only programs log; libraries return causes.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <syslog.h>

/* level: LOG_ERR ... LOG_DEBUG; less urgent messages are not written. */
void log_open(const char *instance, int level);
/* From now on to the journal; -ENOENT: none is there, and stderr stays the place. */
int log_to_journal(void);
/* "error", "warning", "notice", "info", "debug"; -EINVAL. */
int log_parse_level(const char *word, int *ret_level);

__attribute__((format(printf, 2, 3))) void log_at(int level, const char *format, ...);
#define log_error(...)	 log_at(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_at(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_at(LOG_DEBUG, __VA_ARGS__)

#endif
