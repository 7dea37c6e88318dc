# SPDX-License-Identifier: GPL-2.0-only
# The LSM tier's programs, an object of their own: one set an instance.  reach
# and tag first: libbpf's linker (1.1) resolves what was defined before.
lsm_SRC := $(patsubst %,bpf/lsm/%.bpf.c,reach tag process sched ipc channel key socket unix \
	   loopback sigio caps files guard bpf)
