#!/bin/bash
# Connections that are held: all kinds of sockets, other network namespaces,
# and processes that interrupt, leave, or think better of it.
. "$(dirname "$0")/lib.sh"

ANSWERER=$BUILD/tests/answerer
CLIENT=tests/live/hold_client.py
export PYTHONDONTWRITEBYTECODE=1
# the other end of a device, and a namespace of other members
unshare --net sleep 300 & PEER=$!
unshare --net sleep 300 & OTHER=$!
CHILDREN+=("$PEER" "$OTHER")
apart() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
until_true 5 apart "$PEER" && until_true 5 apart "$OTHER" || bail "no namespaces"
peer() { nsenter -t "$PEER" -n "$@"; }
ip link add va address 02:00:00:00:00:0a type veth peer name vb address 02:00:00:00:00:0b netns "$PEER" || bail "no veth"
ip addr add 10.9.0.1/24 dev va
ip -6 addr add fd09::1/64 dev va nodad
ip -6 addr add fe80::a/64 dev va nodad
ip link set va up
peer ip link set lo up
peer ip addr add 10.9.0.2/24 dev vb
peer ip addr add 10.9.9.9/32 dev lo
peer ip -6 addr add fd09::2/64 dev vb nodad
peer ip -6 addr add fe80::b/64 dev vb nodad
peer ip link set vb up
ip route add 10.9.7.7 via 10.9.0.2
ip rule add fwmark 7 lookup 77
ip route add 10.9.9.9 via 10.9.0.2 table 77
nsenter -t "$OTHER" -n ip link set lo up
sysctl -qw net.ipv4.tcp_fastopen=3
nft -f - <<'E2' || bail "no nft"
table ip t {
	chain o { type nat hook output priority -100; ip daddr 10.9.7.7 dnat to 10.9.0.2; }
	chain p { type filter hook prerouting priority 0; ip option lsrr exists counter; }
}
E2
serve() { # OUT NSENTER... -- SPEC...
	local out=$1
	shift
	"$@" >"$out.log" 2>&1 9>&- 8>&- &
	CHILDREN+=("$!")
	until_true 20 grep -q ready "$out" || bail "no listener: $(cat "$out.log")"
}
here=() there=()
for port in 7001 7002 7003 7004 7005; do
	here+=("0.0.0.0/$port" "::1/$port")
	there+=("0.0.0.0/$port" "fd09::2/$port" "fe80::b%vb/$port")
done
serve "$TMP/here" python3 $CLIENT serve "$TMP/here" "${here[@]}"
serve "$TMP/there" nsenter -t "$PEER" -n python3 $CLIENT serve "$TMP/there" "${there[@]}"
serve "$TMP/other" nsenter -t "$OTHER" -n python3 $CLIENT serve "$TMP/other" "${here[@]}"

policy <<E2
ulsp oracle { exec "$ANSWERER" "7001=allow@100" "7002=deny:111@100" "7003=nothing" "7004=allow@1500" "7005=allow@1500" user nobody }
group g {
	members cgroup "$REL"
	ask oracle connect tcp to any hold 30s
	default allow
}
E2
start_daemon
load
t0=$SECONDS
# cookies for fast opens are kept per namespace: members find theirs
is "outsiders are not asked about" "outside|ok" "$(python3 tests/live/hold_sockets.py outside | grep ^outside)"
routed() { nft list table ip t | sed -n 's/.*lsrr.* packets \([0-9]*\) .*/\1/p'; }
before=$(routed)
like "control: there is a cookie for fast opens" 'fo_cookie' "$(ip tcp_metrics show 127.0.0.1)"
like "control: a source route gets out" '^[1-9]' "$before"
in_group python3 tests/live/hold_sockets.py signals kinds doings forks >"$TMP/results" 2>"$TMP/results.err"
in_group nsenter -t "$OTHER" -n python3 tests/live/hold_sockets.py inside >"$TMP/results.other" 2>>"$TMP/results.err"
is "no scenario fell over" "" "$(cat "$TMP/results.err"; grep EXCEPTION "$TMP/results" "$TMP/results.other")"
of() { sed -n "s/^$1|//p" "${2:-$TMP/results}"; }
pair() { is "$1" "ok in time ECONNREFUSED in time" "$(of "$1" "${2:-}")"; }
for kind in plain "by a device" IPv6 mapped "mapped, by a device" "bound to lo" "bound to the device" \
	"bound to the device, IPv6" link-local "source address" "translated on its way out" "IP options" \
	"all IP options that there is room for" MPTCP "the mark that the route needs"; do
	pair "$kind"
done
is "without the mark there is no route" ENETUNREACH "$(of "without the mark")"
is "the source port stays" "ok ('127.0.0.6', 6543)" "$(of "source port")"
is "a source route is held" EINPROGRESS "$(of "source route")"
is "and does not get out by the daemon" "$before" "$(routed)"
is "fast open: asks for a cookie" "4 in time" "$(of "fast open: cookie")"
is "fast open: with data" "40 in time" "$(of "fast open: little data")"
is "fast open: with much" "1000 in time" "$(of "fast open: much data")"
is "fast open: refused" ECONNREFUSED "$(of "fast open: refused")"
is "fast open by connect" "ok 30" "$(of "fast open: connect")"
got() { # PORT: what the listener had of it, and how often
	grep "^$1 7001|" "$TMP/here" | sed 's/^[^|]*|//' | awk '{ print length($0) }' | tr '\n' ' '
}
sleep 0.3
for n in "cookie 4" "little data 40" "much data 1000" "connect 30"; do
	is "fast open, ${n% *}: there once, whole" "${n##* } " "$(got "$(of "fast open: port of ${n% *}")")"
done
is "a signal: EINTR, and the next call waits on" "EINTR ok there" "$(of "a signal")"
is "with SA_RESTART nothing is seen of it" "ok there" "$(of "a signal, SA_RESTART")"
is "without blocking" "EINPROGRESS EALREADY [] True ok EISCONN" "$(of "without blocking" | sed 's/ ok ok$/ ok EISCONN/')"
is "closed" EINPROGRESS "$(of closed)"
is "closed, never answered" EINPROGRESS "$(of "closed, never answered")"
is "killed" 9 "$(of killed)"
is "AF_UNSPEC, then elsewhere" "EINPROGRESS ok ok in time 127.0.0.2" "$(of "AF_UNSPEC, then elsewhere")"
is "the same socket again" "ECONNREFUSED ECONNREFUSED ok EISCONN" "$(of "again on the same socket")"
is "a child has the socket" ok "$(of "the connecting process ends, its child has the socket")"
is "shutdown(2)" ok "$(of "shutdown(2)" | sed 's/^ECONNRESET$/ok/')"
is "SO_SNDTIMEO, then waited for" "EINPROGRESS in time ok" "$(of "SO_SNDTIMEO, then waited for")"
pair plain "$TMP/results.other"
pair IPv6 "$TMP/results.other"

# a namespace that ends while it is held, and one that does afterwards
in_group unshare --net python3 -c '
import socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"])
s = socket.socket(); s.setblocking(False); s.connect_ex(("127.0.0.1", 7004))' 2>&1
is "none of the refused has come to a listener" 1 "$(cat "$TMP"/{here,there,other} | grep -c "700[23]|")" # from outside
until_true 3 test "$SECONDS" -gt $((t0 + 2))
sleep 1.7
is "nor have those that left" "" "$(grep -h ' 7004|' "$TMP"/{here,there,other})"
is "all slots are free" 0 "$(python3 $CLIENT taken "/sys/fs/bpf/ulsp/$ID/ulsp/oracle/waits")"
ctl stats -j >"$TMP/stats"
python3 - "$TMP/stats" >"$TMP/sums" <<'E2'
import json, sys
def find(x, key):
    if isinstance(x, dict):
        for k, v in x.items():
            if k == key: return v
            r = find(v, key)
            if r is not None: return r
    elif isinstance(x, list):
        for v in x:
            r = find(v, key)
            if r is not None: return r
r = find(json.load(open(sys.argv[1])), 'reasons')
print({k: v for k, v in r.items() if v})
print('left', r.get('held', 0) - r.get('answered', 0) - r.get('timeout', 0))
E2
sed 's/^/# /' "$TMP/sums"
is "held are answered, but for the seven that left first" "left 7" "$(tail -1 "$TMP/sums")"
grep -E 'warning|error' "$TMP/ulspd.log" | sed 's/^/# /' | head -20
echo "# $((SECONDS - t0)) s"
