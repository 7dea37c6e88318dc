#!/bin/bash
# Run test programs and say what came out: a line a program, the output of what
# failed, and a closing count.
#
#   tests/run.sh all|unit|san|live [NAME...]     BUILD=build
#
# Each program writes TAP (cmocka does with CMOCKA_MESSAGE_OUTPUT=TAP).  A skip
# prints its reason; one that is not listed in tests/skips fails.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
what=${1:-all}
shift
only="$*"
: "${UNITS:=$(make -s list-unit)}" "${LIVES:=$(make -s list-live)}" "${SCRIPTS:=$(make -s list-scripts)}"

passed=0 failed=0 skipped=0
broken=()
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

wanted() {
	[ -z "$only" ] && return 0
	local n
	for n in $only; do [ "$n" = "$1" ] && return 0; done
	return 1
}

# one LABEL RERUN COMMAND...
one() {
	local label=$1 rerun=$2 log="$out/log" rc ok bad skip t0=$SECONDS
	shift 2
	timeout -k 10 "${TEST_TIMEOUT:-1500}" env CMOCKA_MESSAGE_OUTPUT=TAP "$@" >"$log" 2>&1 </dev/null
	rc=$?
	# cmocka writes a skip as "not ok N # SKIP name"
	grep -E '^(not )?ok [0-9]+.*# SKIP' "$log" >"$out/skips"
	skip=$(wc -l <"$out/skips")
	ok=$(grep -E '^ok [0-9]+' "$log" | grep -cv '# SKIP')
	bad=$(grep -E '^not ok [0-9]+' "$log" | grep -cv '# SKIP')
	while IFS= read -r line; do
		name=$(sed -E 's/^(not )?ok [0-9]+ *(- )?(# SKIP)? *//; s/ *# SKIP.*//' <<<"$line")
		grep -qE "^$label:$name( |\$)" tests/skips 2>/dev/null ||
			{ bad=$((bad + 1)); echo "unexpected skip: $label:$name" >>"$log"; }
	done <"$out/skips"
	# an end without a result (a crash, a timeout, no plan) is a failure of its own
	if [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ $((ok + bad + skip)) -eq 0 ]; then bad=1; echo "no test was run" >>"$log"; fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	if [ "$bad" -gt 0 ]; then
		printf 'FAIL %-28s %3d ok %3d failed (exit %d, %ds)\n' "$label" "$ok" "$bad" "$rc" $((SECONDS - t0))
		grep -vE '^ok [0-9]+' "$log" | tail -60 | sed 's/^/     | /'
		echo "     rerun: $rerun"
		broken+=("$label")
	else
		printf 'ok   %-28s %3d tests%s (%ds)\n' "$label" "$ok" \
			"$([ "$skip" -gt 0 ] && echo ", $skip skipped")" $((SECONDS - t0))
		[ "$skip" -gt 0 ] && sed 's/^/     | /' "$out/skips"
	fi
}

if [ "$what" = all ] || [ "$what" = unit ]; then
	for t in $UNITS; do
		wanted "$t" && one "$t" "make check-unit && $BUILD/tests/$t" "$BUILD/tests/$t"
	done
fi
if [ "$what" = all ] || [ "$what" = san ]; then
	san=$BUILD/san-address-undefined
	for t in $UNITS; do
		wanted "$t" && one "$t.san" "make check-san && $san/tests/$t" \
			env ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 "$san/tests/$t"
	done
fi
if [ "$what" = all ] || [ "$what" = live ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "live tests need root: run sudo make check" >&2
		exit 1
	fi
	for t in $LIVES; do
		wanted "$t" && one "$t" "sudo $BUILD/tests/$t" "$BUILD/tests/$t"
	done
	for t in $SCRIPTS; do
		wanted "$t" && one "$t" "sudo BUILD=$BUILD tests/live/$t.sh" env BUILD="$BUILD" "tests/live/$t.sh"
	done
fi

[ ${#broken[@]} -gt 0 ] && echo "failed: ${broken[*]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
