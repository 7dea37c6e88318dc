#!/bin/bash
# kill -9 of the daemon and of ULSPs under traffic: enforcement stays, messages
# are accounted for by sequence numbers.
. "$(dirname "$0")/lib.sh"
server udp 127.0.0.1 0
DENIED=$PORT
policy <<E2
ulsp logger { exec "ulsp-log" "--file" "$TMP/log.json" user root ring 8M }
group g {
	members cgroup "$REL"
	deny connect, sendto udp to 127.0.0.1 port $DENIED errno EHOSTUNREACH log
	default deny
}
E2
start_daemon --policy "$TMP/policy.ulsp"
is "control: the listener hears from outside" ok "$("$TRY" sendto udp 127.0.0.1 "$DENIED")"
in_group bash -c 'while [ ! -e "$1" ]; do "$0" -n 200 sendto udp 127.0.0.1 "$2"; sleep 0.02; done' "$TRY" "$TMP/stop" "$DENIED" >"$TMP/out" &
T=$!
CHILDREN+=($T)
sleep 0.5
logger_pid() { ctl ulsp list -j | python3 -c '
import json, sys
def walk(x):
    if isinstance(x, dict):
        if x.get("name") == "logger" and x.get("pid"): print(x["pid"])
        for v in x.values(): walk(v)
    elif isinstance(x, list):
        for v in x: walk(v)
walk(json.load(sys.stdin))'; }

old=$(logger_pid)
like "the logger runs" '^[0-9]+$' "$old"
kill -9 "$old"
restarted() { local p; p=$(logger_pid); [ -n "$p" ] && [ "$p" != "$old" ]; }
until_true 10 restarted
like "the logger was started again" '^[0-9]+$' "$(logger_pid)"

stop_daemon KILL
is "the killed daemon's status" 137 "$STATUS"
is "enforcement outlives the daemon" EHOSTUNREACH "$(in_group "$TRY" sendto udp 127.0.0.1 "$DENIED")"
is "the default too" EPERM "$(in_group "$TRY" connect tcp 127.0.0.1 1)"
sleep 0.5
start_daemon
is "a new daemon adopts the group" EHOSTUNREACH "$(in_group "$TRY" sendto udp 127.0.0.1 "$DENIED")"
like "and knows its rules" "policy.ulsp:4" "$(ctl explain g sendto udp 127.0.0.1 "$DENIED")"
sleep 0.5
touch "$TMP/stop"
wait $T
sleep 1
is "every datagram failed with the rule's errno" EHOSTUNREACH "$(awk '{ print $1 }' "$TMP/out" | sort -u | tr '\n' ' ' | sed 's/ $//')"
server_count
is "the listener heard the control only" 1 "$COUNT"
# Every denial has a sequence number; each was received, or is a stated loss.
python3 - "$TMP/log.json" >"$TMP/account" <<'E2'
import json, sys
seen, lost, last, dup = set(), 0, 0, 0
for line in open(sys.argv[1]):
    m = json.loads(line)
    if "lost" in m:
        lost += m["lost"]
        continue
    s = m["seq"]
    dup += s in seen
    seen.add(s)
missing = max(seen) - len(seen)
print("received", len(seen), "missing", missing, "stated", lost, "repeated", dup)
E2
sed 's/^/# /' "$TMP/account"
sent=$(awk '{ n += $2 } END { print n + 0 }' "$TMP/out")
read -r _ received _ missing _ _ _ repeated <"$TMP/account"
is "no sequence number comes twice but those being handled at the kill" 1 "$((repeated <= 4096))"
is "received and missing add up to what happened" 1 "$((received + missing >= sent))"
is "what is missing is what the killed logger had taken and not written" 1 "$((missing <= 4096))"

# clean shutdown: enforcement ends, nothing is pinned
is "shutdown" 0 "$(ctl shutdown >/dev/null; echo $?)"
wait "$DAEMON" 2>/dev/null
DAEMON=
is "nothing is enforced any more" ok "$(in_group "$TRY" sendto udp 127.0.0.1 "$DENIED")"
is "nothing is pinned any more" 0 "$(find /sys/fs/bpf/ulsp -mindepth 1 2>/dev/null | wc -l)"
