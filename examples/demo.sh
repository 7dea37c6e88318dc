#!/bin/bash
# The main job on real programs, in under a minute: a group whose operations
# are allowed, denied, asked about and logged.  Loopback only, in a network
# namespace, cgroup and instance of its own; leaves nothing behind.
set -u
if [ -z "${ULSP_DEMO_INSIDE:-}" ]; then
	[ "$(id -u)" -eq 0 ] || { echo "the demo needs root: sudo make demo" >&2; exit 1; }
	ULSP_DEMO_INSIDE=1 exec unshare --net --mount --propagation private "$0" "$@"
fi
cd "$(dirname "$0")/.." || exit 1
BIN=$(realpath "${BUILD:-build}")/bin
ip link set lo up
mountpoint -q /sys/fs/bpf && umount /sys/fs/bpf
mount -t bpf bpf /sys/fs/bpf || exit 1
CG2=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
[ -n "$CG2" ] || { echo "no cgroup2 file system is mounted" >&2; exit 1; }

ID=ulsp-demo-$$
CG=$CG2/$ID
TMP=$(mktemp -d)
chmod 755 "$TMP"
export ULSP_RUN_DIR=$TMP/run ULSP_INSTANCE=$ID PATH=$BIN:$PATH
mkdir -p "$CG" "$ULSP_RUN_DIR"
PIDS=()
finish() {
	trap - EXIT INT TERM
	for p in "${PIDS[@]}"; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	ulspctl shutdown >/dev/null 2>&1
	echo 1 >"$CG/cgroup.kill" 2>/dev/null
	for _ in 1 2 3 4 5 6 7 8 9 10; do rmdir "$CG" 2>/dev/null && break; sleep 0.1; done
	rm -rf "$TMP"
}
trap finish EXIT
trap 'exit 130' INT TERM

bold= off=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' off=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
# member CMD...: runs as a member of the group "web"
member() {
	printf '  web$ %s\n' "$*"
	bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$CG" "$@" 2>&1 | sed 's/^/    /'
}
outside() {
	printf '     $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/    /'
}
failed=0
must() { # what the demo claims is checked, not only shown
	if ! grep -qE "$1" <<<"$2"; then
		echo "    !! expected: $1"
		failed=1
	fi
}

echo "hello from a server" >"$TMP/index.html"
for port in 8080 8081 8443 8444; do
	python3 -m http.server --bind 127.0.0.1 --directory "$TMP" $port >/dev/null 2>&1 &
	PIDS+=($!)
done

cat >"$TMP/firewall.rules" <<EOT
deny  errno ECONNREFUSED connect tcp 127.0.0.1 port 8444 for 1m
allow                    connect tcp any       port any  for 1m
EOT
cat >"$TMP/policy.ulsp" <<EOT
# First match wins.
ulsp firewall { exec "ulsp-firewall" "--rules" "$TMP/firewall.rules" }
ulsp logger   { exec "ulsp-log" "--file" "$TMP/log.json"  user root }

group web {
    members cgroup "$ID"
    allow connect tcp to 127.0.0.1 port 8080
    deny  connect tcp to 127.0.0.1 port 8081 errno EHOSTUNREACH log
    ask   firewall connect tcp to 127.0.0.1 port 8443-8444 down deny cache 60s
    deny  connect, sendto udp to any port 53 log
    default deny errno EACCES log
}
EOT
say "The policy"
sed 's/^/    /' "$TMP/policy.ulsp"
say "1. Check it, start a private instance with it"
outside ulspctl check "$TMP/policy.ulsp"
ulspd --foreground --policy "$TMP/policy.ulsp" 2>"$TMP/ulspd.log" &
PIDS+=($!)
for _ in $(seq 100); do ulspctl group list >/dev/null 2>&1 && break; sleep 0.1; done
ulspctl group list >/dev/null 2>&1 || { echo "ulspd did not start:"; cat "$TMP/ulspd.log"; exit 1; }
for _ in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:8444/ && break; sleep 0.1; done
outside ulspctl group list

say "2. Allowed: the kernel goes on, nothing is in the data path"
r=$(member curl -sS --max-time 5 http://127.0.0.1:8080/); echo "$r"; must 'hello from a server' "$r"

say "3. Denied in the kernel, with the rule's errno (EHOSTUNREACH); outside the group it works"
r=$(member python3 -c 'import socket
try: socket.create_connection(("127.0.0.1", 8081)); print("connected")
except OSError as e: print("connect failed: errno", e.errno, e.strerror)'); echo "$r"; must 'errno 113' "$r"
r=$(outside curl -sS --max-time 5 http://127.0.0.1:8081/); echo "$r"; must 'hello' "$r"

say "4. Asked: the firewall ULSP decides; the first try of a flow is denied, its retry finds the verdict"
r=$(member curl -sS --max-time 5 --retry 2 --retry-delay 1 --retry-all-errors http://127.0.0.1:8443/); echo "$r"; must 'hello' "$r"
r=$(member curl -sS --max-time 5 --retry 1 --retry-delay 1 --retry-all-errors http://127.0.0.1:8444/); echo "$r"; must 'refused|connect' "$r"

say "5. DNS is denied too: nc and dig see it at once"
member dig +time=1 +tries=1 @127.0.0.1 example.com | head -4
member nc -w 1 -u -z -v 127.0.0.1 53

say "6. Why?"
outside ulspctl explain web connect tcp 127.0.0.1 8081
outside ulspctl explain web connect tcp 192.0.2.1 443

say "7. What the logger received"
sleep 0.3
sed 's/^/    /' "$TMP/log.json" | cut -c1-230 | head -6
must '"errno": ?"EHOSTUNREACH"' "$(cat "$TMP/log.json")"

say "8. Counters"
outside ulspctl stats

say "9. The daemon is killed; enforcement stays"
kill -9 "${PIDS[-1]}"
wait "${PIDS[-1]}" 2>/dev/null
r=$(member curl -sS --max-time 5 http://127.0.0.1:8081/); echo "$r"; must 'Failed|host|denied|connect' "$r"

if [ $failed -ne 0 ]; then
	say "The demo did not do what it claims: see the lines with !!"
	exit 1
fi
say "Done: the namespace, the cgroup, the instance and the servers are gone."
