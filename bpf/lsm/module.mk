# SPDX-License-Identifier: GPL-2.0-only
# The LSM tier's programs, an object of their own: one set an instance.  reach
# and tag first: libbpf's linker (1.1) resolves what was defined before.
lsm_SRC := bpf/lsm/reach.bpf.c bpf/lsm/tag.bpf.c bpf/lsm/process.bpf.c \
	   bpf/lsm/sched.bpf.c bpf/lsm/ipc.bpf.c bpf/lsm/inode.bpf.c bpf/lsm/key.bpf.c bpf/lsm/proc.bpf.c bpf/lsm/socket.bpf.c bpf/lsm/unix.bpf.c bpf/lsm/passing.bpf.c bpf/lsm/loopback.bpf.c bpf/lsm/sigio.bpf.c bpf/lsm/caps.bpf.c bpf/lsm/files.bpf.c bpf/lsm/guard.bpf.c bpf/lsm/bpf.bpf.c
