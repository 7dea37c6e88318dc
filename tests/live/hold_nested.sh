#!/bin/bash
# Groups within each other, of which one or both hold an operation: the call is
# restarted, all their programs run each time, and each counts, logs, limits
# and asks once.
. "$(dirname "$0")/lib.sh"

ANSWERER=$BUILD/tests/answerer
mkdir -p "$CG/g/in"
echo_server udp 127.0.0.1 7001
echo_server udp 127.0.0.1 7002
echo_server udp ::1 7001
answers() { for port in 7001 7002 0; do echo -n "\"$port=$1\" "; done; }
# nest ONE TWO OUTER INNER: their ULSPs' answers and the groups' rules
nest() {
	policy <<E2
ulsp one { exec "$ANSWERER" $(answers "$1") user nobody }
ulsp two { exec "$ANSWERER" $(answers "$2") user nobody }
ulsp logger { exec "$BIN/ulsp-log" "--file" "$TMP/log" user root }
group outer { members cgroup "$REL"
	$3
	default allow
}
group inner { members cgroup "$REL/in"
	$4
	default allow
}
E2
	load
	ctl ulsp restart one >/dev/null
	ctl ulsp restart two >/dev/null
	until_true 10 running
	: >"$TMP/log"
	before=$(counts)
}
running() { [ "$(ctl ulsp list | grep -c ' running ')" = 3 ]; }
try_in() { in_cgroup "$CG/g/in" "$TRY" "$@"; }
# allowed and denied of an operation: outer, inner; messages to one, to two
OP=connect
counts() {
	ctl stats -j | python3 -c '
import json, sys
o = json.load(sys.stdin)
op = {g["name"]: g["ops"].get(sys.argv[1], {"allowed": 0, "denied": 0}) for g in o["groups"]}
sent = {u["name"]: u["sent"] for u in o["ulsps"]}
print(op["outer"]["allowed"], op["outer"]["denied"], op["inner"]["allowed"], op["inner"]["denied"], sent["one"], sent["two"])' "$OP"
}
since() { paste -d' ' <(tr ' ' '\n' <<<"$before") <(counts | tr ' ' '\n') | awk '{ printf "%s%d", (NR > 1 ? " " : ""), $2 - $1 }'; }
start_daemon
restarts=$(ctl doctor | awk '$3 == "held-calls" { print $1 }')

# The ULSPs take 1 ms: longer than a program may look, and less than a call may be restarted, where
# the machine is not busy: then some end by the fail mode, EPERM.
hold='connect udp to any port 7001 hold 5s'
N=20
several() { for ((i = 0; i < N; i++)); do "$@"; done | sort | uniq -c | awk '{ printf "%s%s %s", (NR > 1 ? " " : ""), $1, $2 }'; }
# once NAME ALLOWS ASKS PATTERN GOT: the group that only allows and the one that asks, each once; what came of it
once() {
	local outer_ok outer_no inner_ok inner_no one two
	read -r outer_ok outer_no inner_ok inner_no one two <<<"$(since)"
	if [ "$2" = inner ]; then
		is "$1: the inner allowed each once" "$N 0" "$inner_ok $inner_no"
		is "$1: the outer judged each once" "$N" "$((outer_ok + outer_no))"
		is "$1: and asked each once" "$N" "$one"
	else
		is "$1: the outer allowed each once" "$N 0" "$outer_ok $outer_no"
		is "$1: the inner judged each once" "$N" "$((inner_ok + inner_no))"
		is "$1: and asked each once" "$N" "$two"
	fi
	like "$1: and got" "$3" "$4"
}
if [ "$restarts" = yes ]; then
	some='^([0-9]+ EPERM )?[0-9]+ ok$'
	[ -z "${ULSP_VM:-}" ] || some='^([0-9]+ EPERM ?)?([0-9]+ ok)?$' # so slow that all may
	nest allow@1 allow@1 "ask one $hold" "allow connect udp to any log"
	once "the outer holds" inner "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	until_true 5 [ "$(wc -l <"$TMP/log")" -ge $N ]
	sleep 0.3
	is "logged once" $N "$(wc -l <"$TMP/log")"
	like "IPv6" "$some" "$(several try_in connect udp ::1 7001)"

	nest allow@1 allow@1 "allow connect udp to any log" "ask two $hold"
	once "the inner holds" outer "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	until_true 5 [ "$(wc -l <"$TMP/log")" -ge $N ]
	sleep 0.3
	is "logged once" $N "$(wc -l <"$TMP/log")"

	# The inner asks again when the outer restarts the call
	nest allow@1 allow@1 "ask one $hold" "ask two $hold"
	like "both hold" "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	nest deny:111@1 allow@1 "ask one $hold" "ask two $hold"
	like "the outer refuses" '^[0-9]+ ECONNREFUSED( [0-9]+ EPERM)?$|^'$N' EPERM$' "$(several try_in connect udp 127.0.0.1 7001)"
	nest allow@1 deny:111@1 "ask one $hold" "ask two $hold"
	like "the inner refuses" '^[0-9]+ ECONNREFUSED( [0-9]+ EPERM)?$|^'$N' EPERM$' "$(several try_in connect udp 127.0.0.1 7001)"

	nest allow@1 to:127.0.0.1:7002 "ask one connect udp to any port 7002 hold 5s" "ask two $hold"
	cat >"$TMP/peer.py" <<-'E2'
		import socket
		for i in range(100): # a busy machine: by the fail mode
		    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    try: s.connect(("127.0.0.1", 7001))
		    except PermissionError: continue
		    print(s.getpeername()[1]); break
	E2
	is "the inner chooses another port, the outer holds that" 7002 "$(in_cgroup "$CG/g/in" python3 "$TMP/peer.py")"

	OP=bind
	nest allow@1 allow@1 "ask one bind udp hold 5s" "allow bind udp"
	once "bind" inner "$some" "$(several try_in bind udp 127.0.0.1 7009)"
	OP=socket
	nest allow@1 allow@1 "ask one socket tcp hold 5s" "allow socket tcp"
	once "socket" inner "$some" "$(several try_in socket tcp)"
	OP=connect

	# What the same thread does with the socket meanwhile is judged by all, as it is
	python3 - 7101 7102 >>"$TMP/heard" 2>&1 <<-'E2' &
		import select, socket, struct, sys
		socks = []
		for port in sys.argv[1:]:
		    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    s.bind(("127.0.0.1", int(port)))
		    socks.append(s)
		print("ready", flush=True)
		while True:
		    for s in select.select(socks, [], [])[0]:
		        print("at", s.getsockname()[1], "meant", *struct.unpack("=H", s.recv(2)), flush=True)
	E2
	CHILDREN+=("$!")
	until_true 10 grep -q ready "$TMP/heard"
	bait='connect, sendto udp to any port 7101'
	detour() { in_cgroup "$CG/g/in" "$BUILD/tests/detour" "$@"; }
	nest allow allow "allow $bait" "ask two $bait hold 5s"
	like "control: the bait can be reached" '^meant 7101 ' "$(detour handler sendto 7101 7102)"
	like "control: and connected" '^peer 7101 ' "$(detour handler connect 7101 7102)"
	for how in handler jump flip; do
		nest nothing nothing "deny $bait errno EACCES" "ask two $bait hold 5s"
		: >"$TMP/heard"
		out=$(detour $how connect 7101 7102)
		[ $how = flip ] || unlike "$how, connect: what the outer denies doesn't succeed" '^meant 7101' "$out"
		unlike "$how, connect: what the outer denies is not reached" '^peer 7101' "$out"
		[ $how = flip ] || like "$how, connect: control, what it allows is" '^peer 7102' "$out"
		out=$(detour $how sendto 7101 7102)
		sleep 0.2
		unlike "$how, sendto: what the outer denies is not reached" 'at 7101' "$(cat "$TMP/heard")"
		[ $how = flip ] || like "$how, sendto: control, what it allows is" 'at 7102 meant 7102' "$(cat "$TMP/heard")"
		nest nothing allow "ask one $bait hold 5s" "deny $bait errno EACCES"
		unlike "$how: nor what the inner denies" 'peer 7101' "$(detour $how connect 7101 7102)"
		: >"$TMP/heard"
		nest allow@2 allow "ask one $bait hold 5s" "allow any any"
		detour $how sendto 7101 7102 >/dev/null
		sleep 0.2
		[ $how = flip ] || unlike "$how: nothing goes where it was not meant to" 'at 7101 meant 7102|at 7102 meant 7101' "$(cat "$TMP/heard")"
	done
else
	skip "calls that are restarted" "the kernel can't restart calls"
fi

# A bind to a port that the kernel chooses can't be asked again: another is chosen
OP=bind
nest allow@1000 allow "ask one bind udp hold 5s errno EACCES" "allow bind udp"
t=$EPOCHREALTIME
is "a bind to port 0 ends by the fail mode" EACCES "$(try_in bind udp 127.0.0.1 0)"
is "soon" 1 "$(((${EPOCHREALTIME/./} - ${t/./}) < 1000000))"
is "asked once" "0 1 1 0 1 0" "$(since)"
nest allow allow "deny bind udp port 1024-65535 errno EACCES" "allow bind udp"
is "the outer judges the port that the kernel chose, too" EACCES "$(try_in bind udp 127.0.0.1 0)"
nest allow allow "allow bind udp" "allow bind udp"
is "control: both allow" ok "$(try_in bind udp 127.0.0.1 0)"
