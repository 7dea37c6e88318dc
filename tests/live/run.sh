#!/bin/bash
# ulspctl run with a private instance: exit status, descriptors, signals,
# nothing left behind; and with the daemon that runs.
. "$(dirname "$0")/lib.sh"
export ULSP_RUN_DIR=$TMP/run
unset ULSP_INSTANCE
echo_server tcp 127.0.0.1 8001
policy <<'E2'
group box {
	deny connect tcp to any port 8001 errno EHOSTUNREACH
	default allow
}
E2
P=$TMP/policy.ulsp
run() { timeout 60 "$BIN/ulspctl" run --policy "$P" --group box -- "$@"; }
# a root of its own: what other runs have is not seen
mkdir "$CG/root"
export ULSP_CGROUP_ROOT=$CG/root
# A private instance of another run that is there now is gone soon.
things() { find "$CG/root" -type d | sort; find /sys/fs/bpf/ulsp -mindepth 1 2>/dev/null | grep -v ulsptest- | sort; }
as_before() { [ "$(things)" = "$before" ]; }
before=$(things)
is "control" ok "$("$TRY" connect tcp 127.0.0.1 8001)"
is "a denied operation" EHOSTUNREACH "$(run "$TRY" connect tcp 127.0.0.1 8001)"
run true
is "exit status 0" 0 "$?"
run sh -c 'exit 7'
is "exit status 7" 7 "$?"
run sh -c 'kill -TERM $$'
is "ended by a signal" 143 "$?"
run /nonexistent/program 2>/dev/null
is "a program that isn't there" 127 "$?"
is "stdin and stdout pass" "through" "$(echo through | run cat)"
is "environment and directory pass" "$PWD x" "$(X=x run sh -c 'echo $PWD $X')"
out=$(timeout 60 "$BIN/ulspctl" run --policy "$P" --group nobody -- true 2>&1)
is "an unknown group" 1 "$?"
like "is named" 'nobody' "$out"
out=$(timeout 60 "$BIN/ulspctl" run --policy "$TMP/none.ulsp" --group box -- true 2>&1)
is "no policy file" 1 "$?"
is "usage" 2 "$(timeout 60 "$BIN/ulspctl" run >/dev/null 2>&1; echo $?)"
"$BIN/ulspctl" run --policy "$P" --group box -- sleep 60 &
R=$!
CHILDREN+=($R)
sleep 2
kill -TERM $R
wait $R
is "a signal is passed on" 143 "$?"
until_true 10 as_before
is "nothing is left behind" "$before" "$(things)"
is "no control directory either" "" "$(ls "$ULSP_RUN_DIR" 2>/dev/null)"

# two at once
run sh -c 'sleep 1; exit 3' &
A=$!
run sh -c 'sleep 1; exit 4' &
B=$!
wait $A; a=$?
wait $B; b=$?
is "two private instances side by side" "3 4" "$a $b"
