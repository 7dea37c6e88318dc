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
# once NAME INNER OUTER PATTERN GOT: whom the inner and the outer ask (two, one, -; other: one, elsewhere)
# and what came of it.  What a group allows counts as that also where another refuses.
once() {
	local outer_ok outer_no inner_ok inner_no one two tried want=$N
	read -r outer_ok outer_no inner_ok inner_no one two <<<"$(since)"
	tried=$((inner_ok + inner_no))
	is "$1: the inner judged each once" $N "$tried"
	[ "$3" != one ] || want=$inner_ok
	is "$1: the outer judged each once" "$want" "$((outer_ok + outer_no))"
	[ "$2" = - ] || is "$1: the inner asked each once" $N "$two"
	[ "$3" = - ] || is "$1: the outer asked each once" "$inner_ok" "$one"
	like "$1: and got" "$4" "$5"
}
if [ "$restarts" = yes ]; then
	some='^([0-9]+ EPERM )?[0-9]+ ok$'
	[ -z "${ULSP_VM:-}" ] || some='^([0-9]+ EPERM ?)?([0-9]+ ok)?$' # so slow that all may
	nest allow@1 allow@1 "ask one $hold" "allow connect udp to any log"
	out=$(several try_in connect udp 127.0.0.1 7001)
	once "the outer holds" - one "$some" "$out"
	until_true 5 [ "$(wc -l <"$TMP/log")" -ge $N ]
	sleep 0.3
	is "logged once" $N "$(wc -l <"$TMP/log")"
	like "IPv6" "$some" "$(several try_in connect udp ::1 7001)"

	nest allow@1 allow@1 "allow connect udp to any log" "ask two $hold"
	out=$(several try_in connect udp 127.0.0.1 7001)
	once "the inner holds" two - "$some" "$out"
	until_true 5 [ "$(wc -l <"$TMP/log")" -ge $N ]
	sleep 0.3
	is "logged once" $N "$(wc -l <"$TMP/log")"

	nest allow@1 allow@1 "ask one $hold" "ask two $hold"
	once "both hold" two one "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	nest deny:111@1 allow@1 "ask one $hold" "ask two $hold"
	once "the outer refuses" two one '^[0-9]+ ECONNREFUSED( [0-9]+ EPERM)?$' "$(several try_in connect udp 127.0.0.1 7001)"
	nest allow@1 deny:111@1 "ask one $hold" "ask two $hold"
	once "the inner refuses" two one '^[0-9]+ ECONNREFUSED( [0-9]+ EPERM)?$' "$(several try_in connect udp 127.0.0.1 7001)"

	nest allow@1 allow@1 "ask one $hold" "limit 1/h burst $N connect udp"
	once "the inner's rate" - one "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	is "and then no more" EPERM "$(try_in connect udp 127.0.0.1 7001)"

	nest allow@1 to:127.0.0.1:7002@1 "ask one connect udp to any port 7002 hold 5s" "ask two $hold"
	once "the inner chooses another port" two other "$some" "$(several try_in connect udp 127.0.0.1 7001)"
	cat >"$TMP/peer.py" <<-'E2'
		import socket
		for i in range(50): # a busy machine: by the fail mode
		    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    try: s.connect(("127.0.0.1", 7001))
		    except PermissionError: continue
		    print(s.getpeername()[1]); break
	E2
	is "and it is that" 7002 "$(in_cgroup "$CG/g/in" python3 "$TMP/peer.py")"

	OP=bind
	nest allow@1 allow@1 "ask one bind udp hold 5s" "allow bind udp"
	once "bind" - one "$some" "$(several try_in bind udp 127.0.0.1 7009)"
	OP=socket
	nest allow@1 allow@1 "ask one socket tcp hold 5s" "allow socket tcp"
	once "socket" - one "$some" "$(several try_in socket tcp)"
	OP=connect

	# What a signal handler does meanwhile is judged by itself
	cat >"$TMP/handler.py" <<-'E2'
		import errno, signal, socket, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		got = set()
		def other(port):
		    try: s.connect(("127.0.0.1", port)); return s.getpeername()[1]
		    except OSError as e: return errno.errorcode[e.errno]
		signal.signal(signal.SIGALRM, lambda *_: got.add(str(other(7008))))
		signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0013)
		for i in range(200):
		    r = other(7001)
		    if r not in (7001, 'EPERM'): got.add('main ' + str(r))
		signal.setitimer(signal.ITIMER_REAL, 0)
		print(*sorted(got))
	E2
	nest allow@1 allow@1 "ask one $hold" "deny connect udp to any port 7008 errno EACCES"
	is "a handler that connects where the inner denies" EACCES "$(in_cgroup "$CG/g/in" python3 "$TMP/handler.py")"
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
