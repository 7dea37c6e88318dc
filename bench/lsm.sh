#!/bin/bash
# What the LSM programs cost, in instructions, on the kernels named: each in a
# guest of one processor whose clock counts instructions.  Needs no root, and
# other work on the machine doesn't change the numbers.
#
#   make build/bench/lsm && bench/lsm.sh [quick] [SUITE...]     bookworm trixie
cd "$(dirname "$0")/.." || exit 1
program=${BUILD:-build}/bench/lsm args=()
[ "${1:-}" = quick ] && args=(quick) && shift
for suite in ${*:-bookworm trixie}; do
	echo "== $suite"
	ULSP_VM_CPUS=1 ULSP_VM_BOOT=${ULSP_VM_BOOT:-180} tests/vm/vm.sh -k "$suite" -t 900 \
		-q -icount -q shift=0,sleep=off -a "$program" -- "$(realpath -s "$program")" "${args[@]}" || exit
done
