# SPDX-License-Identifier: GPL-2.0-only
# libkern: what loads, attaches, pins and adopts the programs.
kern_SRC := loader/adopt.c loader/bpf_log.c loader/counters.c loader/hooks.c loader/image.c loader/lsm_hooks.c \
	    loader/instance.c loader/links.c loader/loaded_policy.c loader/mounts.c loader/pins.c \
	    loader/probe.c loader/probe_bpf.c loader/programs.c loader/rates.c loader/selfcheck.c loader/ulsp_dir.c \
	    loader/ulsp_maps.c
