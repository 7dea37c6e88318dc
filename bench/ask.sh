#!/bin/bash
# What it takes to ask a process before connect(2) goes on: ULSPs beside seccomp
# user notification and NFQUEUE, on loopback, every way taking its turn in each
# round.  Needs root and a machine that is otherwise quiet; numbers of different
# runs don't compare.
#
#   bench/ask.sh [quick]     ROUNDS=7 SCALE=10 NICE=0 PLACES="apart paced ..." CONFIGS="none allow ..."
#
# The same server logic everywhere: read the address, allow, sleep.  Places:
#   apart   the client on CPU 0, who answers on CPU 1, operations back to back
#   paced   the same, 500 us between operations: who answers has gone to sleep
#   same    both on CPU 0; same-paced
#   free    where the scheduler puts them; free-paced
#   hogs    as apart, with a process on either CPU that never sleeps
#   late    as apart, answered a millisecond later: the time after the answer
. "$(dirname "$0")/../tests/live/lib.sh"
ROUNDS=${ROUNDS:-7} NICE=${NICE:-0} SCALE=${SCALE:-10}
[ "${1:-}" = quick ] && { ROUNDS=3 SCALE=2; }
PLACES=${PLACES:-apart paced same same-paced free free-paced hogs late}
CONFIGS=${CONFIGS:-none allow cached held notify notify-sync nfqueue}
OPS=${OPS:-udp tcp}
ASK=$BUILD/bench/ask ALL=0-$(($(nproc) - 1)) STAMP=$TMP/stamp
[ "$(nproc)" -ge 2 ] || { echo "needs two CPUs"; exit 1; }
renice -n "$NICE" $$ >/dev/null
chmod 711 "$TMP"
truncate -s 8 "$STAMP"
chmod 666 "$STAMP"

for g in none allow cached held late; do mkdir -p "$CG/$g"; done
policy <<E2
ulsp keeper   { exec "$ASK" "ulsp" "flow" }
ulsp answerer { exec "$ASK" "ulsp" "once" }
ulsp late     { exec "$ASK" "ulsp" "late" "$STAMP" }
group allow  { members cgroup "$ID/allow"
	allow connect any to any
	default allow }
group cached { members cgroup "$ID/cached"
	ask keeper connect any to any hold 5s
	default allow }
group held   { members cgroup "$ID/held"
	ask answerer connect any to any hold 5s
	default allow }
group late   { members cgroup "$ID/late"
	ask late connect any to any hold 5s
	default allow }
E2
start_daemon
load
pid_of() { ctl --json ulsp list | python3 -c 'import json, sys; print(*[u["pid"] for u in json.load(sys.stdin)["ulsps"] if u["name"] == sys.argv[1]])' "$1"; }
running() { KEEPER=$(pid_of keeper) ANSWERER=$(pid_of answerer) LATE=$(pid_of late) && [ "${KEEPER:-0}" != 0 ] && [ "${ANSWERER:-0}" != 0 ] && [ "${LATE:-0}" != 0 ]; }
until_true 10 running || bail "no ULSPs"

# Where the kernel has the queue target of nft; else that of iptables.
port=9011
nft_rule="table ip ask { chain o { type filter hook output priority 0; tcp dport $port tcp flags syn / syn,ack queue num 7; }; }"
xt_rule=(-p tcp --syn --dport $port -j NFQUEUE --queue-num 7)
QUEUE=
if echo "$nft_rule" | nft -f - 2>"$TMP/nft.err"; then
	nft delete table ip ask
	QUEUE="nft queue ($(nft --version | cut -d' ' -f2))"
elif iptables -A OUTPUT "${xt_rule[@]}" 2>"$TMP/xt.err"; then
	iptables -D OUTPUT "${xt_rule[@]}"
	QUEUE="iptables -j NFQUEUE ($(iptables --version | cut -d' ' -f2-))"
fi
queue_on() { # WHEN CPU
	case $QUEUE in nft*) echo "$nft_rule" | nft -f - ;; *) iptables -A OUTPUT "${xt_rule[@]}" ;; esac
	"$ASK" queue "$1" 7 "$2" "$STAMP" >"$TMP/queue" &
	SERVER=$!
	until_true 5 grep -q ready "$TMP/queue" || bail "NFQUEUE"
}
queue_off() {
	case $QUEUE in nft*) nft delete table ip ask ;; *) iptables -D OUTPUT "${xt_rule[@]}" ;; esac
	kill "$SERVER"
	wait "$SERVER" 2>/dev/null
}

cat <<E2
kernel $(uname -r), $(nproc) CPUs, $(awk -F: '/model name/ { print $2; exit }' /proc/cpuinfo | xargs), load $(cut -d' ' -f1-3 /proc/loadavg), nice $NICE, $ROUNDS rounds
ULSP: libulsp, one ULSP in C; hold 5s; \`once\` for held, a flow's verdict for an hour for cached
seccomp user notification: one server process, address by process_vm_readv, ID_VALID, FLAG_CONTINUE; -sync: SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
NFQUEUE: ${QUEUE:-not measured: $(head -1 "$TMP/xt.err")}, SYNs of OUTPUT only, raw netlink, copy range 256
E2

HOGS=()
hogs_on() {
	for c in 0 1; do
		timeout 60 taskset -c $c sh -c 'while :; do :; done' &
		HOGS+=($!)
	done
}
hogs_off() { kill "${HOGS[@]}"; wait "${HOGS[@]}" 2>/dev/null; HOGS=(); }
pin() { for p in $KEEPER $ANSWERER $LATE $DAEMON; do taskset -a -p -c "$1" "$p" >/dev/null; done; }

measure() { # CONFIG PLACE OP
	local client=0 server=1 pause=0 n=$((SCALE * 200)) when=once stamp=() notify=once
	case $1 in none | allow | cached) n=$((SCALE * 1000)) ;; esac
	case $2 in
	same*) server=0 ;;
	free*) client=-1 server=-1 ;;
	hogs) n=$((SCALE * 50)) ;;
	late) n=$((SCALE * 20)) when=late stamp=("$STAMP") notify=late ;;
	esac
	case $2 in *paced) pause=500 n=$((SCALE * 100)) ;; esac
	[ "$1" = notify-sync ] && notify=sync
	local connect=(connect "$3" $port $n $pause $client "${stamp[@]}")
	case $1 in
	none | allow | cached) in_cgroup "$CG/$1" "$ASK" "${connect[@]}" ;;
	held)
		[ $server = -1 ] && pin "$ALL" || pin $server
		local group=held
		[ "$2" = late ] && group=late
		in_cgroup "$CG/$group" "$ASK" "${connect[@]}"
		;;
	notify*) in_cgroup "$CG/none" "$ASK" notify $notify $server "${stamp[@]}" -- "${connect[@]}" ;;
	nfqueue)
		queue_on $when $server
		in_cgroup "$CG/none" "$ASK" "${connect[@]}"
		queue_off
		;;
	esac
}
wanted() { # CONFIG PLACE OP: whether that makes a difference
	case $1-$2-$3 in
	nfqueue-*-udp) false ;; # its connect(2) sends no packet
	nfqueue-*) [ -n "$QUEUE" ] ;;
	none-late-* | allow-late-* | cached-late-* | notify-sync-late-*) false ;;
	none-same* | allow-same* | cached-same* | none-free* | allow-free* | cached-free*) false ;;
	esac
}

: >"$TMP/results"
for ((r = 1; r <= ROUNDS; r++)); do
	for place in $PLACES; do
		[ "$place" = hogs ] && hogs_on
		for op in $OPS; do
			for c in $CONFIGS; do
				wanted "$c" "$place" "$op" || continue
				echo "$place $op $c $(measure "$c" "$place" "$op")" >>"$TMP/results"
			done
		done
		[ "$place" = hogs ] && hogs_off
	done
done

idle() { # PID: share of a CPU in five seconds, where nobody asks
	python3 - "$1" <<'P'
import sys, time
ran = lambda: int(open("/proc/%s/schedstat" % sys.argv[1]).read().split()[0])
a = ran(); time.sleep(5); print("%.4f %%" % (100 * (ran() - a) / 5e9))
P
}
python3 - "$TMP/results" <<'P'
import collections, statistics, sys
rows = collections.defaultdict(list)
for line in open(sys.argv[1]):
    f = line.split()
    if len(f) == 9:
        rows[tuple(f[:3])].append([float(x) for x in f[3:]])
def p50(place, op, c):
    v = [x[0] for x in rows.get((place, op, c), []) if x[4]]
    return statistics.median(v) if v else None
us = lambda ns: "%9.1f" % (ns / 1000)
ratio = lambda a, b: "%8.2f" % (a / b) if a and b else "%8s" % "-"
print("\n%-11s %-4s %-12s %9s %9s %9s %9s %7s %7s %8s %8s" % ("place", "op", "asked by", "p50 us", "p99 us",
      "p99.9 us", "op/s", "ok", "failed", "/allow", "/notify"))
last = None
for (place, op, c), v in rows.items():
    if last not in (None, (place, op)):
        print()
    last = (place, op)
    good = [x for x in v if x[4]]
    m = [statistics.median(x[i] for x in good) if good else 0 for i in range(4)]
    allow = p50(place, op, "allow") or p50("paced" if "paced" in place else "apart", op, "allow")
    print("%-11s %-4s %-12s %s %s %s %9.0f %7d %7d %s %s" % (place, op, c, us(m[0]), us(m[1]), us(m[2]), m[3],
          sum(x[4] for x in v), sum(x[5] for x in v), ratio(m[0], allow), ratio(m[0], p50(place, op, "notify"))))
print("\naims")
def aim(text, value, limit, unit=""):
    if value is not None and limit is not None:
        print("  %-70s %10.2f%s  (at most %.2f)  %s" % (text, value, unit, limit, "reached" if value <= limit else "MISSED"))
sub = lambda a, b: a - b if a is not None and b is not None else None
div = lambda a, b: a / b if a and b else None
# TCP's own rows differ by more than that
aim("udp: cached verdict above allow-only", sub(p50("apart", "udp", "cached"), p50("apart", "udp", "allow")), 100, " ns")
for op in ("udp", "tcp"):
    aim("%s: held by an awake ULSP, times allow-only" % op, div(p50("apart", op, "held"), p50("apart", op, "allow")), 2)
    for place in ("paced", "same-paced", "free-paced"):
        peers = [x for x in (p50(place, op, "notify"), p50(place, op, "notify-sync")) if x]
        aim("%s, %s: held by a ULSP that sleeps, times seccomp's best" % (op, place),
            div(p50(place, op, "held"), min(peers) if peers else None), 1)
aim("tcp: held connection after its verdict", div(p50("late", "tcp", "held"), 1000), 150, " us")
P
echo "  a ULSP's CPU time where nobody asks: $(idle "$ANSWERER")"
stop_daemon TERM; bpftool -j map dump pinned "/sys/fs/bpf/ulsp/$ID/asking" 2>/dev/null >"$TMP/asking" && python3 - "$TMP/asking" <<'P'
import json, sys
for e in json.load(open(sys.argv[1])):
    v = e.get("formatted", {}).get("value")
    if v and v["spun"]:
        print("  waits within the operation: %d, answered %d" % (v["spun"], v["answered"]))
P
