#!/bin/bash
# How many held connections a ULSP answers in a second whose handler sleeps for
# 10 ms, by how many rings and threads it has: COUNT threads connect at a time.
# Medians of ROUNDS.
. "$(dirname "$0")/../tests/live/lib.sh"
ROUNDS=${ROUNDS:-5} COUNT=${COUNT:-400}

python3 tests/live/hold_client.py serve "$TMP/heard" 127.0.0.1/1701 >/dev/null 2>&1 &
CHILDREN+=("$!")
until_true 20 grep -q ready "$TMP/heard" || bail "no listener"
start_daemon
for ((round = 0; round < ROUNDS; round++)); do
	for rings in 1 2 4 8; do
		policy <<-E2
			ulsp slow { exec "$BUILD/tests/slow" "10" "threads" user nobody rings $rings }
			group g { members cgroup "$REL"
				ask slow connect tcp to any port 1701 hold 30s
				default allow }
		E2
		load
		sleep 0.5
		ok=0
		while IFS= read -r line; do
			case $line in
			"|ready") from=${EPOCHREALTIME/./} ;;
			"|done") to=${EPOCHREALTIME/./} ;;
			*"|ok "*) ok=$((ok + 1)) ;;
			esac
		done < <(echo | in_group python3 tests/live/hold_client.py connect $(for ((i = 0; i < COUNT; i++)); do echo "$i=127.0.0.1/1701"; done))
		[ "$ok" = "$COUNT" ] || bail "not all were let through"
		echo "$rings $((COUNT * 1000000 / (to - from)))" >>"$TMP/rates"
	done
done
echo "rings  answers/s  ratio"
for rings in 1 2 4 8; do
	awk -v r=$rings '$1 == r { print $2 }' "$TMP/rates" | sort -n | sed -n "$(((ROUNDS + 1) / 2))p" | sed "s/^/$rings /"
done | awk 'NR == 1 { one = $2 } { printf "%5d  %9d  %5.2f\n", $1, $2, $2 / one }'
