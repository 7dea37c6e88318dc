#!/bin/bash
# Run test programs and say what came out: a line a program, the output of what
# failed, and a closing count.
#
#   tests/run.sh all|unit|san|live|vm [NAME...]     BUILD=build
#
# vm runs in guests on each of KERNELS; all takes the quick ones of its list.
#
# Each program writes TAP (cmocka does with CMOCKA_MESSAGE_OUTPUT=TAP).  A skip
# prints its reason; one that is not listed in tests/skips fails.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
what=${1:-all}
shift
only="$*"
: "${UNITS:=$(make -s list-unit)}" "${UNIT_SCRIPTS:=$(make -s list-unit-scripts)}" "${LIVES:=$(make -s list-live)}" "${SCRIPTS:=$(make -s list-scripts)}"
if [ "$what" = vm ]; then
	: "${VMS:=$(make -s list-vm) $(make -s list-vm-long)}"
else
	: "${VMS:=$(make -s list-vm)}"
fi

without_lsm=without_lsm # in a guest of its own, whose kernel has no BPF LSM

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
	local label=$1 rerun=$2 log="$out/log" t0=$SECONDS
	shift 2
	timeout -k 10 "${TEST_TIMEOUT:-1500}" env CMOCKA_MESSAGE_OUTPUT=TAP "$@" >"$log" 2>&1 </dev/null
	judge "$label" "$rerun" $? $((SECONDS - t0)) "$log"
}

# judge LABEL RERUN STATUS SECONDS LOG: say and count what came out
judge() {
	local label=$1 rerun=$2 rc=$3 secs=$4 log=$5 ok bad skip
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
		printf 'FAIL %-28s %3d ok %3d failed (exit %d, %ds)\n' "$label" "$ok" "$bad" "$rc" "$secs"
		grep -vE '^ok [0-9]+' "$log" | tail -60 | sed 's/^/     | /'
		echo "     rerun: $rerun"
		broken+=("$label")
	else
		printf 'ok   %-28s %3d tests%s (%ds)\n' "$label" "$ok" \
			"$([ "$skip" -gt 0 ] && echo ", $skip skipped")" "$secs"
		[ "$skip" -gt 0 ] && sed 's/^/     | /' "$out/skips"
	fi
}

# vm KERNEL NAME...: in one guest; tests/vm/suite.sh says which lines are whose.
# A program that a dead guest left without an end fails, and a kernel that warns.
vm() {
	local kernel=$1 log="$out/log" line word name status secs t0=$SECONDS
	local rerun="KERNELS=$1 BUILD=$BUILD tests/run.sh vm"
	local -a options=()
	shift
	[[ " $* " != *" isolated_servers "* ]] || options+=(-s)
	[ "$*" != "$without_lsm" ] || options+=(-l landlock,lockdown,yama)
	: >"$log"
	: >"$out/begun"
	: >"$out/klog"
	while IFS= read -r line; do
		case $line in
		"@begin "*) echo "${line#* }" >>"$out/begun" ;;
		"@log "*) : >"$log" ;;
		"@end "*)
			read -r word name status secs <<<"$line"
			sed -i "/^$name\$/d" "$out/begun"
			echo "$name" >>"$out/ended.$kernel"
			judge "$name.$kernel" "$rerun $name" "$status" "$secs" "$log"
			: >"$log"
			;;
		*) printf '%s\n' "$line" >>"$log" ;;
		esac
	done < <(tests/vm/vm.sh -k "$kernel" -B "$BUILD" -t "${VM_TIMEOUT:-1500}" -L "$out/klog" \
		"${options[@]}" -- tests/vm/suite.sh "$@" 2>"$out/vm.err"; echo $? >"$out/vm.status")
	status=$(cat "$out/vm.status")
	cat "$out/vm.err" >>"$log"
	for name; do
		grep -qx "$name" "$out/ended.$kernel" 2>/dev/null && continue
		if grep -qx "$name" "$out/begun"; then
			echo "the guest ended while this ran" >"$out/log2"
		else
			echo "the guest ended before this ran" >"$out/log2"
		fi
		cat "$log" >>"$out/log2"
		judge "$name.$kernel" "$rerun $name" "$status" $((SECONDS - t0)) "$out/log2"
	done
	{
		if grep -nE 'WARNING:|BUG:|Oops|Call Trace|KASAN' -A 20 "$out/klog"; then
			echo "not ok 1 - the kernel's log has no warnings"
		else
			echo "ok 1 - the kernel's log has no warnings"
		fi
	} >"$log"
	judge "kernel-log.$kernel" "$rerun $*" 0 $((SECONDS - t0)) "$log"
}

if [ "$what" = all ] || [ "$what" = unit ]; then
	for t in $UNITS; do
		wanted "$t" && one "$t" "make check-unit && $BUILD/tests/$t" "$BUILD/tests/$t"
	done
	for t in $UNIT_SCRIPTS; do
		wanted "$t" && one "$t" "tests/unit/$t.sh" "tests/unit/$t.sh"
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
if [ "$what" = all ] || [ "$what" = vm ]; then
	names=
	for t in $VMS; do wanted "$t" && names="$names $t"; done
	if [ "$(uname -m)" != x86_64 ]; then
		echo "no vm tests: the guests are x86_64, this machine is not"
	elif [ -n "$names" ]; then
		for k in ${KERNELS:-bookworm trixie sid}; do vm "$k" $names; done
	fi
	# one kernel will do
	if [ "$(uname -m)" = x86_64 ] && wanted "$without_lsm"; then
		read -r k _ <<<"${KERNELS:-bookworm}"
		vm "$k" "$without_lsm"
	fi
fi

[ ${#broken[@]} -gt 0 ] && echo "failed: ${broken[*]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
