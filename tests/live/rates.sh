#!/bin/bash
# `limit` rules through the daemon: their buckets outlive loads and daemons, and
# go with their rules; explain, stats and messages tell what was over a rate.
. "$(dirname "$0")/lib.sh"
server udp 127.0.0.1 0

write_policy() { # RULE...
	{
		printf 'group g {\n\tmembers cgroup "%s"\n' "$REL"
		printf '\t%s\n' "$@"
		printf '\tdefault deny errno EHOSTUNREACH\n}\n'
	} >"$TMP/policy.ulsp"
}
SENDS="limit 1/h burst 10 sendto udp to 127.0.0.1 port $PORT errno EAGAIN"
EACH="limit 1/h burst 2 per process connect udp to 127.0.0.1 port $PORT errno ENOBUFS"
try() { in_group "$TRY" "$@" | tr '\n' ' ' | sed 's/ $//'; }

write_policy "$SENDS" "$EACH"
start_daemon --policy "$TMP/policy.ulsp"
is "control: outside of the group there is no rate" "ok 20" "$("$TRY" -n 20 sendto udp 127.0.0.1 "$PORT")"
is "within the burst" "ok 4" "$(try -n 4 sendto udp 127.0.0.1 "$PORT")"
for _ in 1 2; do
	is "each process has its own" "ok 2 ENOBUFS 3" "$(try -n 5 connect udp 127.0.0.1 "$PORT")"
done
like "explain says the rate" 'limit to 1/h, burst 10, per group; EAGAIN above' "$(ctl explain g sendto udp 127.0.0.1 "$PORT")"
like "and whose" 'limit to 1/h, burst 2, per process; ENOBUFS above' "$(ctl explain g connect udp 127.0.0.1 "$PORT")"

write_policy "deny bind tcp port 1" "$EACH" "$SENDS"
load
is "a load leaves what is left" "ok 4" "$(try -n 4 sendto udp 127.0.0.1 "$PORT")"
stop_daemon KILL
is "and so does the daemon's end" ok "$(try sendto udp 127.0.0.1 "$PORT")"
start_daemon
is "and a new one: the tenth passes" "ok 1 EAGAIN 5" "$(try -n 6 sendto udp 127.0.0.1 "$PORT")"
is "others than the rate's are judged by what follows" "EHOSTUNREACH" "$(try sendto udp 127.0.0.1 1)"
stats=$(ctl stats)
like "stats say what was over" 'over-limit 11' "$stats"
like "and how often the rule was asked" ' 15 +0 .*limit 1/h burst 10 sendto' "$stats"

ctl group mode g audit
is "audit lets pass" "ok 3" "$(try -n 3 sendto udp 127.0.0.1 "$PORT")"
like "and counts" ' 18 +3 .*limit 1/h burst 10 sendto' "$(ctl stats)"
ctl group mode g enforce
is "control: enforced again" EAGAIN "$(try sendto udp 127.0.0.1 "$PORT")"

echo 'group g {' >"$TMP/bad.ulsp"
ctl load "$TMP/bad.ulsp" >"$TMP/load.out" 2>&1
is "a load that fails gives nothing back" EAGAIN "$(try sendto udp 127.0.0.1 "$PORT")"
write_policy "allow bind tcp"
load
is "without the rule" EHOSTUNREACH "$(try sendto udp 127.0.0.1 "$PORT")"
write_policy "$SENDS" "$EACH"
load
is "the rule comes back with a full bucket" "ok 10 EAGAIN 1" "$(try -n 11 sendto udp 127.0.0.1 "$PORT")"
server_count
is "the listener heard what passed, and no more" $((20 + 4 + 4 + 1 + 1 + 3 + 10)) "$COUNT"
stop_daemon
