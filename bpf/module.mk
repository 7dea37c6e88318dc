# SPDX-License-Identifier: GPL-2.0-only
# Those that define maps and knobs come before their users: libbpf's linker
# (1.1) leaves the place of an extern map wrong that is resolved later.
bpf_SRC := bpf/explain.bpf.c bpf/knobs.bpf.c bpf/task.bpf.c bpf/hold.bpf.c bpf/restart.bpf.c bpf/sockaddr.bpf.c bpf/sock.bpf.c \
	   bpf/sockops.bpf.c bpf/sockopt.bpf.c bpf/skb.bpf.c bpf/held.bpf.c
