#!/bin/bash
# The two ULSPs on the real path: deny-then-cache by ulsp-firewall, its reload,
# scopes, TTL and generations, fail modes; JSON lines by ulsp-log.
. "$(dirname "$0")/lib.sh"
for p in 8001 8002 8003 8004; do echo_server tcp :: $p; done
cat >"$TMP/rules" <<'E2'
allow connect tcp 127.0.0.1 port 8001 for 1m
allow connect tcp ::1 port 8001 for 1m
deny errno ECONNREFUSED connect tcp 127.0.0.1 port 8002 for 1m
allow connect tcp 127.0.0.1 port 8004 for 1s
default deny
E2
chmod 755 "$TMP"
policy <<E2
ulsp firewall { exec "ulsp-firewall" "--rules" "$TMP/rules" }
ulsp logger { exec "ulsp-log" "--file" "$TMP/log.json" user root }
group g {
	members cgroup "$REL"
	ask firewall connect tcp to any port 8001-8004 errno EAGAIN log cache 1m
	default deny
}
group h {
	members cgroup "$ID/h"
	ask firewall connect tcp to any port 8001 errno EAGAIN down allow
	default deny
}
E2
mkdir "$CG/h"
start_daemon --policy "$TMP/policy.ulsp"
tcp() { in_group "$TRY" connect tcp "$@"; }
running() { ctl ulsp list -j | grep -q '"running"'; }
until_true 10 running
answered() { [ "$(tcp "$1" "$2")" != EAGAIN ]; }

is "the first try is denied with the rule's errno" EAGAIN "$(tcp 127.0.0.1 8001)"
until_true 3 answered 127.0.0.1 8001
is "the retry finds the verdict: allow" ok "$(tcp 127.0.0.1 8001)"
is "another address is another flow" EAGAIN "$(tcp ::1 8001)"
until_true 3 answered ::1 8001
is "IPv6 is answered too" ok "$(tcp ::1 8001)"
until_true 3 answered 127.0.0.1 8002
is "the retry finds the verdict: deny with the ULSP's errno" ECONNREFUSED "$(tcp 127.0.0.1 8002)"
is "what nothing asks about is the default's" EPERM "$(tcp 127.0.0.1 8009)"
until_true 3 answered 127.0.0.1 8004
is "a short verdict" ok "$(tcp 127.0.0.1 8004)"
sleep 1.2
is "has expired" EAGAIN "$(tcp 127.0.0.1 8004)"
before=$(ctl version -j)
load
is "a reload voids the cached verdicts" EAGAIN "$(tcp 127.0.0.1 8001)"
until_true 3 answered 127.0.0.1 8001
is "and the ULSP is asked again" ok "$(tcp 127.0.0.1 8001)"

# the ULSP is stopped: its heartbeat goes stale, the fail mode of each rule holds
fw=$(ctl ulsp list -j | python3 -c 'import json, sys; print([u["pid"] for u in json.load(sys.stdin)["ulsps"] if u["name"] == "firewall"][0])')
like "the firewall has a pid" '^[0-9]+$' "$fw"
kill -STOP "$fw"
sleep 6.2
is "silent ULSP, down deny: the rule's errno" EAGAIN "$(tcp 127.0.0.1 8003)"
is "silent ULSP, down allow: allowed" ok "$(in_cgroup "$CG/h" "$TRY" connect tcp 127.0.0.1 8001)"
like "and counted by cause" '"ulsp-down": ?[1-9]' "$(ctl stats -j)"
kill -CONT "$fw"
sleep 1.5
until_true 3 answered 127.0.0.1 8002
is "awake again, it answers" ECONNREFUSED "$(tcp 127.0.0.1 8002)"

# rules that don't parse keep the old ones
echo 'allow nonsense' >"$TMP/rules"
kill -HUP "$fw"
sleep 0.3
load
tcp 127.0.0.1 8002 >/dev/null
until_true 3 answered 127.0.0.1 8002
is "bad rules leave the old ones" ECONNREFUSED "$(tcp 127.0.0.1 8002)"
# better ones are taken
echo 'allow connect tcp any port any for 1m' >"$TMP/rules"
kill -HUP "$fw"
sleep 0.3
load
tcp 127.0.0.1 8002 >/dev/null
until_true 3 answered 127.0.0.1 8002
is "new rules are taken" ok "$(tcp 127.0.0.1 8002)"

is "the firewall runs without privilege" "$(id -u nobody)" "$(awk '/^Uid:/ { print $2 }' "/proc/$fw/status")"
like "and can't gain any" 'NoNewPrivs:	1' "$(cat "/proc/$fw/status")"
sleep 0.3
is "every line of the log is JSON" 0 "$(python3 -c '
import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$TMP/log.json" >/dev/null 2>&1; echo $?)"
like "with the operation's facts" '"group": ?"g".*"remote": ?"127.0.0.1:8002".*"rule": ?"[^"]*policy.ulsp:5"' "$(cat "$TMP/log.json")"
mv "$TMP/log.json" "$TMP/log.1"
tcp 127.0.0.1 8001 >/dev/null
until_true 3 test -s "$TMP/log.json"
like "a rotated log is written anew" '8001' "$(cat "$TMP/log.json")"

# a ULSP that can't be started: the old policy stays
policy <<E2
ulsp broken { exec "/nonexistent/ulsp" }
group g { members cgroup "$REL"  ask broken connect tcp to any errno EIO  default allow }
E2
ctl load "$TMP/policy.ulsp" >"$TMP/load.out" 2>&1
is "a ULSP that can't be started refuses the load" 1 "$?"
like "and says which" 'broken|/nonexistent/ulsp' "$(cat "$TMP/load.out")"
is "the old policy holds" EPERM "$(tcp 127.0.0.1 8009)"

# a verdict that came from looking at the process answers for that process only
cp "$TRY" "$TMP/other"
printf 'allow connect tcp any port any exe %s for 1m\ndefault deny errno ECONNREFUSED\n' "$TRY" >"$TMP/exe.rules"
policy <<E2
ulsp firewall { exec "ulsp-firewall" "--rules" "$TMP/exe.rules" user root }
group g { members cgroup "$REL"  ask firewall connect tcp to any port 8001 errno EAGAIN  default deny }
E2
load
until_true 10 running
# one process that tries until it is answered
in_group "$TRY" -n 2000 connect tcp 127.0.0.1 8001 >"$TMP/this"
in_group "$TMP/other" -n 2000 connect tcp 127.0.0.1 8001 >"$TMP/that"
like "the executable that the rule names is let through" '^ok ' "$(cat "$TMP/this")"
unlike "and is never refused" 'ECONNREFUSED' "$(cat "$TMP/this")"
unlike "another in the same flow is not" '^ok ' "$(cat "$TMP/that")"
like "but refused" 'ECONNREFUSED' "$(cat "$TMP/that")"
