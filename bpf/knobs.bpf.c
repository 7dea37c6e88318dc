/* SPDX-License-Identifier: GPL-2.0-only */
/* The knobs' own section, so that their map holds nothing else. */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "knobs.h"

SEC(".rodata.knobs") const volatile struct ulsp_knobs knobs = {};

char _license[] SEC("license") = "GPL";
