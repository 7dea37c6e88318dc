#!/bin/bash
# A ULSP with several rings: each thread's questions come by one of them, every
# ring is read, by one handle or by one for each, and a load changes how many
# there are.
. "$(dirname "$0")/lib.sh"

CLIENT=tests/live/hold_client.py
export PYTHONDONTWRITEBYTECODE=1
python3 $CLIENT serve "$TMP/heard" 127.0.0.1/1701 >"$TMP/heard.log" 2>&1 &
CHILDREN+=("$!")
until_true 20 grep -q ready "$TMP/heard" || bail "no listeners"

# with RINGS HOW: loads that policy
with() {
	policy <<E2
ulsp slow { exec "$BUILD/tests/slow" "20" "$2" user nobody rings $1 ring 64K }
ulsp logger { exec "$BIN/ulsp-log" "--file" "$TMP/log" user root rings $1 }
group g {
	members cgroup "$REL"
	ask slow connect tcp to any port 1701 hold 20s down deny errno EHOSTUNREACH
	deny connect tcp to any port 1702 errno ECONNREFUSED log
	default allow
}
E2
	load
	until_true 10 running || bail "the ULSPs don't run"
}
running() { [ "$(ctl ulsp list -j | json ulsps 0 state)$(ctl ulsp list -j | json ulsps 1 state)" = runningrunning ]; }
# connects N PORT: that many at a time, each in a thread of its own; what they gave
connects() {
	echo | in_group python3 $CLIENT connect $(for ((i = 0; i < $1; i++)); do echo "$i=127.0.0.1/$2"; done) 2>&1 |
		sed -nE 's/^[0-9]+\|([A-Za-z]+) .*/\1/p' | sort | uniq -c | awk '{ printf "%s%s %s", (NR > 1 ? " " : ""), $1, $2 }'
}
answers() { grep -c ' handle [0-9]* thread ' "$TMP/ulspd.log"; }
# Since the last time: the handles that answered, and those that did a thread's of another ring
echo 0 >"$TMP/since"
handles() {
	local since
	since=$(cat "$TMP/since")
	until_true 10 [ "$(answers)" -ge $((since + $1)) ]
	grep ' handle [0-9]* thread ' "$TMP/ulspd.log" | tail -n +$((since + 1)) |
		sed -E 's/.* handle ([0-9]+) thread ([0-9]+) .*/\1 \2/' |
		awk -v n="$2" '{ seen[$1] = 1 } n && $2 % n + 1 != $1 { wrong++ }
			END { for (i = 1; i <= 8; i++) if (seen[i]) printf "%d ", i; print "wrong " wrong + 0 }'
	answers >"$TMP/since"
}
pins() { (cd "/sys/fs/bpf/ulsp/$ID/ulsp/slow" && echo ring*); }
of() { ctl ulsp show "$1" -j | json ulsp "$2"; }

start_daemon
with 4 threads
is "four rings are pinned" "ring ring_1 ring_2 ring_3" "$(pins)"
is "and shown" "4 65536" "$(of slow rings) $(of slow ring_bytes)"
like "in words too" '^rings +4 of 65536 bytes, number [0-9]+, asked by rules$' "$(ctl ulsp show slow)"
is "40 threads are all let through" "40 ok" "$(connects 40 1701)"
is "a handle for each ring, and each thread by its own" "1 2 3 4 wrong 0" "$(handles 40 4)"
is "sent, received, verdicts, lost" "40 40 40 0" "$(of slow sent) $(of slow received) $(of slow verdicts) $(of slow lost)"
is "refused and logged" "30 ECONNREFUSED" "$(connects 30 1702)"
lines() { grep -c '"port":1702\|:1702' "$TMP/log"; }
until_true 5 [ "$(lines)" -ge 30 ]
is "one logger has what all rings bring" "30 0" "$(lines) $(of logger lost)"

with 2 threads
is "two rings" "ring ring_1" "$(pins)"
is "two threads" "40 ok" "$(connects 40 1701)"
is "each has its own again" "1 2 wrong 0" "$(handles 40 2)"

# while connections come and wait
(for _ in 1 2 3 4 5 6 7 8; do connects 10 1701; echo; done >"$TMP/during") &
BUSY=$!
with 8 threads
with 3 threads
wait "$BUSY"
like "loads that change the number: each gets through, or as the rule says" '^(([0-9]+ (ok|EHOSTUNREACH) ?)+|)$' "$(sort -u "$TMP/during")"
unlike "and most get through" '^10 EHOSTUNREACH$' "$(tail -1 "$TMP/during")"
sleep 0.5
answers >"$TMP/since"
is "three rings" "30 ok" "$(connects 30 1701)"
is "three threads" "1 2 3 wrong 0" "$(handles 30 3)"

# A daemon that is killed leaves them, and the next has them
stop_daemon KILL
start_daemon
until_true 10 running
is "three rings, adopted" "ring ring_1 ring_2" "$(pins)"
is "and asked" "30 ok" "$(connects 30 1701)"
handles 30 3 >/dev/null
kill -9 "$(of slow pid)"
sleep 0.3
until_true 10 running
is "by a process after one that was killed" "30 ok" "$(connects 30 1701)"
is "which has them all" "1 2 3 wrong 0" "$(handles 30 3)"

with 5 all
is "one handle reads them all" "30 ok" "$(connects 30 1701)"
is "by itself" "1 wrong 0" "$(handles 30 0)"

# Nobody reads the first ring
policy <<E2
ulsp slow { exec "$BUILD/tests/slow" "0" "2" user nobody rings 2 ring 64K }
group g {
	members cgroup "$REL"
	ask slow connect tcp to any port 1701 hold 20s down deny errno EHOSTUNREACH
	default allow
}
E2
load
until_true 10 grep -q . <(of slow pid)
sleep 1
like "half of the threads find nobody: the fail mode" '^(1[0-9]|20) EHOSTUNREACH (1[0-9]|20) ok$' "$(connects 30 1701)"
is "the others are answered" "1 wrong 0" "$(handles 10 0)"
like "and it counts" 'ulsp-down [0-9]+' "$(ctl stats)"
is "it isn't said to run" starting "$(of slow state)"

for bad in 0 9 1-2 x; do
	echo "ulsp a { exec \"/bin/true\" rings $bad }" >"$TMP/bad.ulsp"
	is "rings $bad is an error" 1 "$(ctl check "$TMP/bad.ulsp" >/dev/null 2>&1; echo $?)"
done
