# Shared by the live test scripts: a private network and mount namespace, a
# throw-away cgroup, an instance of its own, TAP output.  Source it first.
#
# A script runs itself again inside the namespaces, so that two runs never meet
# and pins and mounts go with the last process.
set -u
if [ -z "${ULSP_TEST_INSIDE:-}" ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "$0: needs root" >&2
		exit 1
	fi
	ULSP_TEST_INSIDE=1 exec unshare --net --mount --propagation private "$0" "$@"
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
ip link set lo up
mountpoint -q /sys/fs/bpf && umount /sys/fs/bpf
mount -t bpf bpf /sys/fs/bpf || exit 1

BUILD=$(realpath "${BUILD:-build}")
BIN=$BUILD/bin
TRY=$BUILD/tests/try
CG2=$(awk '{ for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo)
ID=ulsptest-$$
CG=$CG2/$ID
TMP=$(mktemp -d)
export ULSP_RUN_DIR=$TMP/run ULSP_INSTANCE=$ID
mkdir -p "$CG/g" "$ULSP_RUN_DIR"
mkfifo "$TMP/never" # input that doesn't end, for servers
exec 7<>"$TMP/never"
REL=$ID/g
DAEMON= TESTS=0 FAILED=0
CHILDREN=()

cleanup() {
	local p d
	trap - EXIT INT TERM
	for p in "${CHILDREN[@]}" $DAEMON; do kill -9 "$p" 2>/dev/null; done
	# a daemon that was killed leaves its ULSPs' cgroups
	for d in $(find "$CG" "$CG2/ulsp/$ID" -depth -type d 2>/dev/null); do
		echo 1 >"$d/cgroup.kill" 2>/dev/null
		for _ in 1 2 3 4 5 6 7 8 9 10; do rmdir "$d" 2>/dev/null && break; sleep 0.1; done
	done
	wait 2>/dev/null
	rm -rf "$TMP"
	echo "1..$TESTS"
	[ "$FAILED" -eq 0 ]
	exit
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# is NAME EXPECTED ACTUAL
is() {
	TESTS=$((TESTS + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $TESTS - $1"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $TESTS - $1"
		printf '%s\n' "# expected: $2" "# actual:   $3" | head -20
	fi
}
# like NAME PATTERN ACTUAL: an extended regular expression
like() {
	TESTS=$((TESTS + 1))
	if grep -qE -- "$2" <<<"$3"; then
		echo "ok $TESTS - $1"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $TESTS - $1"
		printf '# no match for: %s\n' "$2"
		sed 's/^/#   /' <<<"$3" | head -20
	fi
}
# unlike NAME PATTERN ACTUAL
unlike() {
	TESTS=$((TESTS + 1))
	if grep -qE -- "$2" <<<"$3"; then
		FAILED=$((FAILED + 1))
		echo "not ok $TESTS - $1"
		printf '# must not match: %s\n' "$2"
		sed 's/^/#   /' <<<"$3" | head -20
	else
		echo "ok $TESTS - $1"
	fi
}
# skip NAME WHY: tests/skips has it
skip() {
	TESTS=$((TESTS + 1))
	echo "ok $TESTS - $1 # SKIP $2"
}
bail() {
	echo "Bail out! $*"
	[ -s "$TMP/ulspd.log" ] && sed 's/^/# ulspd: /' "$TMP/ulspd.log" | tail -30
	TESTS=$((TESTS + 1)) FAILED=$((FAILED + 1))
	echo "not ok $TESTS - $*"
	exit 1
}

ctl() { "$BIN/ulspctl" "$@"; }
# json WORD...: of standard input
json() { python3 -c '
import json, sys
o = json.load(sys.stdin)
for k in sys.argv[1:]: o = o[int(k)] if isinstance(o, list) else o[k]
print(json.dumps(o) if isinstance(o, (dict, list, bool)) else o)' "$@" 2>&1; }
# in_group CMD...: as a member; in_cgroup DIR CMD... elsewhere
in_cgroup() {
	local dir=$1
	shift
	# without the descriptors whose end tells a server to stop
	bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$dir" "$@" 9>&- 8>&-
}
in_group() { in_cgroup "$CG/g" "$@"; }

# until_true SECONDS CMD...: poll; four times as long in a guest, which is slow
until_true() {
	local end=$1
	[ -z "${ULSP_VM:-}" ] || end=$((end * 4))
	end=$((SECONDS + 1 + end))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# start_daemon [ARGS...]: in the background, waits until it answers
start_daemon() {
	"$BIN/ulspd" --foreground "$@" >>"$TMP/ulspd.log" 2>&1 9>&- 8>&- &
	DAEMON=$!
	until_true 20 ctl group list || bail "ulspd doesn't answer"
	kill -0 "$DAEMON" 2>/dev/null || bail "ulspd ended"
}
stop_daemon() { # SIGNAL
	kill "-${1:-TERM}" "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	STATUS=$?
	DAEMON=
}
policy() { cat >"$TMP/policy.ulsp"; }
load() { ctl load "$TMP/policy.ulsp" >"$TMP/load.out" 2>&1 || { sed 's/^/# /' "$TMP/load.out"; bail "load failed"; }; }
# needs_lsm: after start_daemon; where the kernel hasn't BPF LSM the script ends here
needs_lsm() {
	ctl doctor | grep -q '^yes *lsm ' && return
	is "without BPF LSM the policy is refused" 1 "$(ctl load "$TMP/policy.ulsp" >/dev/null 2>&1; echo $?)"
	[ -z "${ULSP_VM:-}" ] || is "our guests have BPF LSM" yes no
	exit
}
# isolate_all: a daemon whose policy isolates the group, which has no peers
isolate_all() {
	policy <<-E
		group a {
			members cgroup "$REL"
			isolate all
			default allow
		}
	E
	start_daemon
	needs_lsm
	load
}

# server PROTO ADDR PORT [try options]: counts in the background; its port in $PORT.
# server_count: ends the last one; $COUNT is what it counted.
server() {
	local proto=$1 addr=$2 port=$3
	shift 3
	rm -f "$TMP/in" "$TMP/port"
	mkfifo "$TMP/in"
	"$TRY" "$@" serve "$proto" "$addr" "$port" <"$TMP/in" >"$TMP/port" &
	SERVER=$!
	CHILDREN+=("$SERVER")
	exec 9>"$TMP/in"
	until_true 5 test -s "$TMP/port" || bail "server $proto $addr $port doesn't start"
	PORT=$(head -1 "$TMP/port")
}
server_count() {
	exec 9>&-
	wait "$SERVER" 2>/dev/null
	COUNT=$(tail -n +2 "$TMP/port")
}
# A server that answers, for the rest of the script.
echo_server() {
	local n=${#CHILDREN[@]}
	"$TRY" -w 1 serve "$@" <&7 >"$TMP/echo.$n" 9>&- 8>&- &
	CHILDREN+=("$!")
	until_true 5 test -s "$TMP/echo.$n" || bail "server $* doesn't start"
	PORT=$(head -1 "$TMP/echo.$n")
}
