#!/bin/bash
# 1,000 reloads under traffic: no packet of a destination that both policies
# deny ever passes, an allowed one is never refused, and the generation and
# counters tell the truth.
. "$(dirname "$0")/lib.sh"
RELOADS=${RELOADS:-1000}

server udp 127.0.0.1 0
DENIED=$PORT
echo_server tcp 127.0.0.1 0
ALLOWED=$PORT

write_policy() { # a|b
	cat >"$TMP/$1.ulsp" <<E2
group g {
	members cgroup "$REL"
	allow connect tcp to 127.0.0.1 port $ALLOWED
	deny  connect, sendto udp to 127.0.0.1 port $DENIED errno EHOSTUNREACH
	$2
	default deny
}
E2
}
write_policy a 'allow connect udp to 192.0.2.0/24'
write_policy b 'deny  connect tcp to 198.51.100.0/24
	allow sendto udp to 203.0.113.0/24 port 1-1023'
start_daemon --policy "$TMP/a.ulsp"
is "positive control: the listener hears from outside" ok "$("$TRY" sendto udp 127.0.0.1 "$DENIED")"

# traffic from two members until told to stop
in_group bash -c 'while [ ! -e "$1" ]; do "$0" -n 500 sendto udp 127.0.0.1 "$2"; sleep 0.05; done' "$TRY" "$TMP/stop" "$DENIED" >"$TMP/denied.out" &
T1=$!
in_group bash -c 'while [ ! -e "$1" ]; do "$0" -n 50 connect tcp 127.0.0.1 "$2"; sleep 0.05; done' "$TRY" "$TMP/stop" "$ALLOWED" >"$TMP/allowed.out" &
T2=$!
CHILDREN+=($T1 $T2)
bad=0 t0=$SECONDS
# bounded in time too: a machine so slow does what it can, and says how many
for ((i = 0; i < RELOADS && SECONDS - t0 < 1200; i++)); do
	if ((i % 2)); then f=a; else f=b; fi
	ctl load "$TMP/$f.ulsp" >"$TMP/load.out" 2>&1 || { bad=$((bad + 1)); sed 's/^/# /' "$TMP/load.out"; }
done
touch "$TMP/stop"
wait $T1 $T2
echo "# $i reloads in $((SECONDS - t0)) s"
is "every reload succeeds" 0 "$bad"
is "every datagram to the denied port fails with the rule's errno" EHOSTUNREACH \
	"$(awk '{ print $1 }' "$TMP/denied.out" | sort -u | tr '\n' ' ' | sed 's/ $//')"
is "no allowed connection fails" ok "$(awk '{ print $1 }' "$TMP/allowed.out" | sort -u | tr '\n' ' ' | sed 's/ $//')"
sent=$(awk '{ n += $2 } END { print n + 0 }' "$TMP/denied.out")
is "there was traffic" 1 "$((sent > 1000))"
server_count
is "the listener heard the control only" 1 "$COUNT"
# every try was counted by the rule, over all generations
hits=$(ctl stats -j | python3 -c "
import json, sys
s = json.load(sys.stdin)
def walk(x):
    if isinstance(x, dict):
        if 'hits' in x and 'port $DENIED' in str(x.get('text', '')): yield x['hits']
        for v in x.values(): yield from walk(v)
    elif isinstance(x, list):
        for v in x: yield from walk(v)
print(sum(walk(s)))")
is "the rule's counter survived every reload" "$sent" "$hits"
is "one link per hook is left" 1 "$(find /sys/fs/bpf/ulsp/$ID/link -name connect4 | wc -l)"
is "one generation is pinned" 1 "$(find /sys/fs/bpf/ulsp/$ID/group/g -mindepth 1 -maxdepth 1 | wc -l)"
