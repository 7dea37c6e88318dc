#!/bin/bash
# Costs of a group, side by side with its peers in one run: medians of rounds in
# which every configuration takes its turn, and ratios.  Needs root and a
# machine that is otherwise quiet; numbers of different runs don't compare.
#
#   make bench            everything          ROUNDS=7 COUNT=200000
#   bench/run.sh quick    fewer rounds
. "$(dirname "$0")/../tests/live/lib.sh"
# nft resolves cgroup paths below /sys/fs/cgroup only: in this mount namespace it is there.
if [ "$CG2" != /sys/fs/cgroup ]; then
	mount --move "$CG2" /sys/fs/cgroup
	CG2=/sys/fs/cgroup CG=/sys/fs/cgroup/$ID
fi
ROUNDS=${ROUNDS:-7} COUNT=${COUNT:-200000}
[ "${1:-}" = quick ] && { ROUNDS=3 COUNT=20000; }
OPS=$BUILD/bench/ops PEER=$BUILD/bench/peer OBJ=$BUILD/bench/peer.bpf.o
printf 'kernel %s, %s CPUs, %s\n' "$(uname -r)" "$(nproc)" "$(awk -F: '/model name/ { print $2; exit }' /proc/cpuinfo | xargs)"

# N distinct prefixes in 127.0.0.0/8 that no measured destination is in
prefixes() {
	python3 - "$1" <<'P'
import random, sys
random.seed(1)
n, seen = int(sys.argv[1]), set()
while len(seen) < n:
    bits = random.choice((32, 32, 30, 28))
    # an odd third byte: ops only goes to even ones
    a = (127 << 24) | (random.getrandbits(8) << 16) | ((random.getrandbits(7) << 1 | 1) << 8) | random.getrandbits(8)
    a &= ~((1 << (32 - bits)) - 1)
    seen.add((a, bits))
out = []
end = -1
for a, b in sorted(seen):   # nft refuses overlapping intervals
    if a > end:
        print("%d.%d.%d.%d/%d" % (a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, b))
        end = a + (1 << (32 - b)) - 1
P
}
rules() { # N rules prefix x port x protocol
	prefixes "$1" | awk '{ split("tcp udp any", p, " "); printf "deny connect, sendto %s to %s port %d-%d\n", p[NR % 3 + 1], $1, NR % 60000 + 1, NR % 60000 + 1 + NR % 50 }'
}

config_on() { # NAME
	case $1 in
	none) ;;
	empty) "$PEER" "$OBJ" empty "$CG/g" <&7 >"$TMP/peer" & HOLD=$!; until_true 30 grep -q ready "$TMP/peer" || bail peer ;;
	lpm-*) "$PEER" "$OBJ" lpm "$CG/g" "$TMP/p.${1#lpm-}" <&7 >"$TMP/peer" & HOLD=$!; until_true 60 grep -q ready "$TMP/peer" || bail peer ;;
	nft-*) nft -f "$TMP/nft.${1#nft-}" || return 1 ;;
	ulsp-*) "$BIN/ulspctl" load "$TMP/ulsp.${1#ulsp-}" >"$TMP/load.out" 2>&1 || { cat "$TMP/load.out"; bail "load $1"; }; in_place=1 ;;
	esac
}
config_off() {
	case $1 in
	empty | lpm-*) kill "$HOLD"; wait "$HOLD" 2>/dev/null ;;
	nft-*) nft delete table inet bench ;;
	ulsp-*) "$BIN/ulspctl" load "$TMP/nothing.ulsp" >/dev/null ;;
	esac
}

echo 'group nobody { default allow }' >"$TMP/nothing.ulsp"
level=$(awk -F/ '{ print NF - 1 }' <<<"/$REL")
for n in 1 100 10000 100000; do
	prefixes $n >"$TMP/p.$n"
	printf 'define s = file "p.%d"\ngroup g { members cgroup "%s"\n deny connect, sendto any to $s\n default allow }\n' $n "$REL" >"$TMP/ulsp.$n"
	{
		echo 'table inet bench { set s { type ipv4_addr; flags interval; elements = {'
		paste -sd, "$TMP/p.$n"
		printf '} }\nchain o { type filter hook output priority 0; socket cgroupv2 level %d "%s" ip daddr @s drop; }\n}\n' "$level" "$REL"
	} >"$TMP/nft.$n"
done
{ printf 'group g { members cgroup "%s"\n' "$REL"; rules 10000; echo 'default allow }'; } >"$TMP/ulsp.10k-mixed"

start_daemon --policy "$TMP/nothing.ulsp"
"$TRY" serve tcp 0.0.0.0 9009 <&7 >/dev/null &
CHILDREN+=($!)

configs="none empty ulsp-1 ulsp-100 ulsp-10000 ulsp-100000 ulsp-10k-mixed lpm-1 lpm-100 lpm-10000 lpm-100000"
if nft -f "$TMP/nft.1" 2>"$TMP/nft.err"; then
	nft delete table inet bench
	configs="$configs nft-1 nft-100 nft-10000 nft-100000"
else
	echo "nft: not measured here: $(head -1 "$TMP/nft.err")"
fi
: >"$TMP/results"
for ((r = 1; r <= ROUNDS; r++)); do
	for c in $configs; do
		config_on "$c" || continue
		for op in udp-connect udp-sendto tcp-connect; do
			n=$COUNT port=9
			[ $op = tcp-connect ] && { n=$((COUNT / 20)); port=9009; }
			for heat in hot random; do
				ns=$(in_group "$OPS" $op $n $heat $port 2>"$TMP/ops.err")
				[ -s "$TMP/ops.err" ] && sed "s/^/$c $op: /" "$TMP/ops.err" >&2
				echo "$c $op $heat $ns" >>"$TMP/results"
			done
		done
		config_off "$c"
	done
done
python3 - "$TMP/results" $ROUNDS <<'P'
import collections, statistics, sys
d = collections.defaultdict(list)
for l in open(sys.argv[1]):
    c, op, heat, ns = l.split()
    d[c, op, heat].append(float(ns))
cols = [(o, h) for o in ("udp-connect", "udp-sendto", "tcp-connect") for h in ("hot", "random")]
print("\nns per operation, medians of %s rounds; (above empty); ratio to no program" % sys.argv[2])
print("%-16s" % "" + "".join("%24s" % ("%s %s" % c) for c in cols))
for c in dict.fromkeys(k[0] for k in d):
    row = "%-16s" % c
    for o, h in cols:
        m = statistics.median(d[c, o, h])
        e = statistics.median(d["empty", o, h])
        z = statistics.median(d["none", o, h])
        row += "%24s" % ("%.0f (%+.0f) %.2f" % (m, m - e, m / z))
    print(row)
P

echo
echo "policy: check, load and swap, seconds (median of 5); nft -f and the LPM trie beside it"
ms() { python3 -c '
import statistics, subprocess, sys, time
t = []
for _ in range(5):
    a = time.monotonic()
    subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
    t.append(time.monotonic() - a)
print("%.3f" % statistics.median(t))' "$@"; }
for n in 1 100 10000 100000 10k-mixed; do
	line="  $n: check $(ms "$BIN/ulspctl" check "$TMP/ulsp.$n") load $(ms "$BIN/ulspctl" load "$TMP/ulsp.$n")"
	[ -f "$TMP/nft.$n" ] && case $configs in *nft*) line="$line nft $(ms sh -c "nft -f $TMP/nft.$n && nft delete table inet bench")" ;; esac
	echo "$line"
done
stop_daemon TERM

for b in decide ring; do
	if [ -x "$BUILD/bench/$b" ]; then
		echo
		echo "== $b"
		"$BUILD/bench/$b"
	fi
done
