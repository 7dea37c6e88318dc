#!/bin/bash
# Many connections that are held at a time: each is answered once, none is
# lost, and afterwards nothing is left of them.  How long a verdict takes.
. "$(dirname "$0")/lib.sh"

CLIENT=tests/live/hold_client.py
export PYTHONDONTWRITEBYTECODE=1
sysctl -qw net.core.somaxconn=20000 net.ipv4.tcp_max_syn_backlog=20000 net.ipv4.ip_local_port_range="2000 65000"
ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" -ge 12000 ] || bail "too few files may be open: $(ulimit -n)"
python3 $CLIENT serve "$TMP/heard" 0.0.0.0/1701 0.0.0.0/1702 0.0.0.0/1703 0.0.0.0/1704 >"$TMP/heard.log" 2>&1 &
CHILDREN+=("$!")
until_true 20 grep -q ready "$TMP/heard" || bail "no listeners"
policy <<E2
ulsp oracle { exec "$BUILD/tests/answerer" "1701=allow@4000" "1702=nothing" "1703=allow@3" "1704=allow@15000" user nobody ring 16M }
group g {
	members cgroup "$REL"
	ask oracle connect tcp to any port { 1701, 1704 } hold 60s down deny errno EHOSTUNREACH
	ask oracle connect tcp to any port 1702 hold 3s down deny errno EHOSTUNREACH
	ask oracle connect tcp to any port 1703 hold 60s
	default allow
}
E2
start_daemon
load
reason() {
	ctl stats | sed -n '/^group g /,/^HITS/s/^ *reasons: //p' | tr ',' '\n' | awk -v w="$1" '$1 == w { n = $2 } END { print n + 0 }'
}
waits=/sys/fs/bpf/ulsp/$ID/ulsp/oracle/waits
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$DAEMON/status"; }
heard() { sleep 0.5; grep -c " $1|" "$TMP/heard"; }

for round in 1 2; do
	in_group python3 $CLIENT flood "127.0.1.$round" 1701 10000 30 >"$TMP/out" 2>&1
	is "10,000 are held" "at once|EINPROGRESS 10000" "$(head -1 "$TMP/out")"
	is "and all let through" "in the end|ok 10000" "$(tail -1 "$TMP/out")"
	is "held, by the counters" $((10000 * round)) "$(reason held)"
	is "answered" $((10000 * round)) "$(reason answered)"
	is "none was late" 0 "$(reason timeout)"
	is "each was heard of once" $((10000 * round)) "$(heard 1701)"
	is "and asked about once" "$((10000 * round)) 0" "$(ctl stats | awk '$1 == "oracle" && $2 == "running" { print $3, $4 }')"
	is "all slots are free" 0 "$(python3 $CLIENT taken "$waits")"
	memory[round]=$(rss)
done
is "the second round has left no memory behind" 1 "$((memory[2] - memory[1] < 1024))"
echo "# the daemon's memory: ${memory[1]} kB, ${memory[2]} kB"

# as many again, and nobody answers: refused at the deadline, each by the daemon
in_group python3 $CLIENT flood 127.0.1.3 1702 5000 20 >"$TMP/out" 2>&1
is "5,000 that nobody answers" "in the end|EHOSTUNREACH 5000" "$(tail -1 "$TMP/out")"
is "are timeouts" 5000 "$(reason timeout)"
is "heard by nobody" 0 "$(heard 1702)"

# more than there are slots
in_group python3 $CLIENT flood 127.0.1.4 1704 9000 60 >"$TMP/out.4" 2>&1 &
one=$!
in_group python3 $CLIENT flood 127.0.1.5 1704 9000 60 >"$TMP/out.5" 2>&1
wait "$one"
cat "$TMP"/out.[45] >"$TMP/out"
count() { grep "^$1|" "$TMP/out" | grep -oE "$2 [0-9]+" | awk '{ n += $2 } END { print n + 0 }'; }
held=$(count "at once" EINPROGRESS)
is "of 18,000 some find no slot and fail at once" 18000 $((held + $(count "at once" EHOSTUNREACH)))
is "not before nearly all are taken" 1 $((held <= 16384 && held > 15500))
echo "# $held were held"
is "no-slot is counted" $((18000 - held)) "$(reason no-slot)"
is "those that were held are let through" "$held" "$(count "in the end" ok)"
is "all slots are free" 0 "$(python3 $CLIENT taken "$waits")"

# from the verdict to the connection
: >"$TMP/ulspd.log"
sleep 1.5 # or lines of theirs are dropped
in_group python3 $CLIENT series 127.0.1.6 1703 200 >"$TMP/there"
is "200, one after the other" "200 ok" "$(awk '{ print $1 }' "$TMP/there" | uniq -c | xargs)"
paste <(grep -oE 'oracle: connect 127.0.1.6:1703 .* at [0-9]+' "$TMP/ulspd.log" | awk '{ print $NF }') <(awk '{ print $2 }' "$TMP/there") |
	awk 'NF == 2 { printf "%d\n", ($2 - $1) / 1000 }' | sort -n >"$TMP/us"
is "each by its verdict" 200 "$(wc -l <"$TMP/us")"
p50=$(sed -n 100p "$TMP/us") p99=$(sed -n 198p "$TMP/us")
is "half of them within 20 ms of the verdict, that is not by the kernel's next SYN" 1 "$((p50 > 0 && p50 < 20000))"
echo "# from the verdict to the connection, us: p50 $p50 p99 $p99 max $(tail -1 "$TMP/us")"
