#!/bin/bash
# Check the models in tests/model with SPIN: every interleaving keeps what the
# model claims, and each mutant (a define that leaves something out) breaks it.
cd "$(dirname "$0")/../model" || exit 1
n=0 failed=0
if ! command -v spin >/dev/null; then
	echo "ok 1 - models # SKIP no spin: make deps"
	echo 1..1
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# check NAME HOLDS|BREAKS MODEL [-DMUTANT]
check() {
	local name=$1 want=$2 model=$3 mutant=${4:-} got
	n=$((n + 1))
	(
		cp "$model.pml" "$dir/m.pml" && cd "$dir" && rm -f pan* m.pml.trail &&
			spin -a $mutant m.pml && ${CC:-cc} -O1 -w -DSAFETY -DCOLLAPSE -o pan pan.c &&
			timeout 120 ./pan -m100000
	) >"$dir/out" 2>&1
	# What was not searched to its end proves nothing.
	if grep -q 'errors: 0$' "$dir/out" && ! grep -qiE 'max search depth|out of memory|not completed' "$dir/out"; then
		got=holds
	elif grep -q 'assertion violated' "$dir/out" && grep -q 'errors: [1-9]' "$dir/out"; then
		got=breaks
	else
		got=unknown
	fi
	if [ "$got" = "$want" ]; then
		echo "ok $n - $name"
	else
		failed=1
		echo "not ok $n - $name"
		echo "# expected: $want, got: $got"
		tail -20 "$dir/out" | sed 's/^/# /'
		[ -f "$dir/m.pml.trail" ] && (cd "$dir" && spin -t -p $mutant m.pml | tail -60 | sed 's/^/# /')
	fi
}

models() {
	local model=$1 mutant
	shift
	check "$model" holds "$model"
	for mutant; do
		grep -q "\b$mutant\b" "$model.pml" || { echo "not ok $((n += 1)) - $mutant is not in $model.pml"; failed=1; }
		check "$model without it: $mutant" breaks "$model" "-D$mutant"
	done
}

models cache PLAIN_TAKE TAKE_BUSY NO_BUSY NO_COUNT NO_AFTER PLAIN_VOID
models claim FREE_BY_TICKET PLAIN_COUNT
models slots NO_RECHECK NO_RECHECK_ULSP NO_FENCE NO_LOOK NO_AFTER NO_TICKET OVERWRITE REWRITE_PASSES
models wakeup NO_RECHECK NO_FENCE NO_SETTLE LOOK_FIRST
echo "1..$n"
exit $failed
