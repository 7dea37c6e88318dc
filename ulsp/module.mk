# SPDX-License-Identifier: BSD-2-Clause
libulsp_SRC := ulsp/handle.c ulsp/threads.c ulsp/kernel.c ulsp/kernel_open.c ulsp/ring.c ulsp/cache.c ulsp/test.c ulsp/message.c ulsp/verdict.c \
	ulsp/track.c ulsp/format.c ulsp/process.c ulsp/cgroup.c
libulsp_LIBS := -lbpf -lelf -lz
ulsp-log_SRC := ulsp/log.c ulsp/program.c ulsp/sink.c
ulsp-firewall_SRC := ulsp/firewall.c ulsp/program.c ulsp/drop.c \
	ulsp/rules.c ulsp/rules_parse.c ulsp/rules_print.c ulsp/decisions.c ulsp/questions.c ulsp/asking.c \
	ulsp/prompt.c ulsp/prompt_server.c ulsp/prompt_client.c ulsp/prompt_screen.c ulsp/lines.c ulsp/escape.c
