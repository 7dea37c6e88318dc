#!/bin/bash
# Groups that may communicate only within their group, by the daemon, where the
# kernel has BPF LSM.
. "$(dirname "$0")/lib.sh"

policy <<E2
group a {
	members cgroup "$REL"
	isolate signal, ptrace
	default allow
}
group b {
	members cgroup "$ID/b"
	isolate signal
	default allow
}
ulsp logger { exec "ulsp-log" "--file" "$TMP/denials.json" user root }
E2
mkdir -p "$CG/b" "$CG/out"
start_daemon

needs_lsm

# A member that was there before, with a thread of its own accord.
sleep 3000 7>&- 9>&- &
before=$!
CHILDREN+=("$before")
echo "$before" >"$CG/g/cgroup.procs"
sleep 3000 &
outsider=$!
CHILDREN+=("$outsider")
bash -c 'echo $$ >"$0/cgroup.procs"; exec sleep 3000' "$CG/b" &
other=$!
CHILDREN+=("$other")
try_kill() { # PID: what kill(2) says
	python3 -c 'import os, sys, errno
try: os.kill(int(sys.argv[1]), 0); print("ok")
except OSError as e: print(errno.errorcode[e.errno])' "$1"
}
is "before: an outsider may signal" ok "$(try_kill "$before")"
load
is "a process that ran before is out of an outsider's reach" EPERM "$(try_kill "$before")"
is "of another group's" EPERM "$(in_cgroup "$CG/b" "$(command -v bash)" -c "$(declare -f try_kill); try_kill $before")"
is "and in reach of its own" ok "$(in_group bash -c "$(declare -f try_kill); try_kill $before")"
is "a member can't signal an outsider" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"
is "nor another group" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $other")"
is "an outsider may signal an outsider" ok "$(try_kill "$outsider")"
is "pipelines work in a group" 3 "$(in_group bash -c 'seq 3 | sort -r | wc -l')"
is "a member can't control its policy" 1 "$(in_group "$BIN/ulspctl" group mode a audit >"$TMP/said" 2>&1; echo $?)"
like "and is told so" "members of a group can't control" "$(cat "$TMP/said")"
like "nor end it" "members of a group can't control" "$(in_group "$BIN/ulspctl" shutdown 2>&1)"
is "the daemon is out of members' reach" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $DAEMON")"

ctl monitor -g a -o json >"$TMP/messages" 2>&1 &
CHILDREN+=("$!")
sleep 1
in_group bash -c "$(declare -f try_kill); try_kill $outsider" >/dev/null
until_true 5 grep -q '"op":"signal"' "$TMP/messages"
like "a denial is a message" '"op":"signal".*"actor_group":"a","target_group":null,"target_tgid":'"$outsider"',.*"errno":"EPERM","reason":"isolated","rule":".*policy.ulsp:3"' "$(cat "$TMP/messages")"
like "and counted" '"signal": *[1-9]' "$(ctl stats -j)"

ctl group mode a audit >/dev/null
ctl group mode b audit >/dev/null
is "audit lets pass" ok "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"
ctl group mode a enforce >/dev/null
ctl group mode b enforce >/dev/null

# The logger isn't asked: it gets every denial, whichever daemon has started it.
logged() { grep -c '"op":"signal".*"target_tgid":'"$outsider," "$TMP/denials.json"; }
logs_more() { [ "$(logged)" -gt "$1" ]; }
denied_and_logged() {
	local before
	before=$(logged)
	in_group bash -c "$(declare -f try_kill); try_kill $outsider"
	until_true 10 logs_more "$before" && echo logged
}
until_true 10 test -e "$TMP/denials.json"
is "a logger gets isolation's denials" "EPERM logged" "$(denied_and_logged | paste -sd' ')"

stop_daemon KILL
is "without a daemon: isolated still" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"
start_daemon
is "and with the next one" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"
mkdir "$CG/g/new" # looks at its members once more
sleep 2
is "whose logger gets the denials too" "EPERM logged" "$(denied_and_logged | paste -sd' ')"
rmdir "$CG/g/new"

sed -i 's/isolate signal, ptrace/isolate signal, ptrace\n\tpeers self, b/; s/isolate signal$/isolate signal\n\tpeers a/' "$TMP/policy.ulsp"
load
is "mutual peers reach each other" ok "$(in_group bash -c "$(declare -f try_kill); try_kill $other")"
is "and nobody else" EPERM "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"

policy <<E2
group a { members cgroup "$REL" default allow }
E2
load
is "a policy without isolation ends it" ok "$(in_group bash -c "$(declare -f try_kill); try_kill $outsider")"
is "and takes the tier down" "" "$(ls /sys/fs/bpf/ulsp/"$ID"/lsm 2>/dev/null)"

# Everything isolated: what leaves the group fails, ordinary work goes on.
cat >"$TMP/listen.py" <<'E2'
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); t = socket.socket(); t.bind(("127.0.0.1", int(sys.argv[2]))); t.listen()
print("up", flush=True)
while True: s.accept()
E2
policy <<E2
group a {
	members cgroup "$REL"
	isolate all
	peers self, "$TMP/deputy"
	allow socket netlink
	default allow
}
E2
python3 "$TMP/listen.py" "$TMP/stranger" 4001 >"$TMP/up1" & CHILDREN+=("$!")
python3 "$TMP/listen.py" "$TMP/deputy" 4002 >"$TMP/up2" & CHILDREN+=("$!")
load
in_group python3 "$TMP/listen.py" "$TMP/mine" 4003 >"$TMP/up3" & CHILDREN+=("$!")
until_true 20 test -s "$TMP/up1" -a -s "$TMP/up2" -a -s "$TMP/up3" || bail "listeners don't start"
unix() { # PATH
	echo "import socket, errno
try: socket.socket(socket.AF_UNIX).connect('$1'); print('ok')
except OSError as e: print(errno.errorcode[e.errno])"
}
inet() { # PORT
	echo "import socket, errno
try: socket.socket().connect(('127.0.0.1', $1)); print('ok')
except OSError as e: print(errno.errorcode[e.errno])"
}
is "a member can't connect to a stranger's UNIX socket" EPERM "$(in_group python3 -c "$(unix "$TMP/stranger")")"
is "but to a peer named by its path" ok "$(in_group python3 -c "$(unix "$TMP/deputy")")"
is "and to its own group's" ok "$(in_group python3 -c "$(unix "$TMP/mine")")"
is "which a stranger can't" EPERM "$(python3 -c "$(unix "$TMP/mine")")"
is "a member can't reach a stranger by loopback" EPERM "$(in_group python3 -c "$(inet 4001)")"
is "but its own group" ok "$(in_group python3 -c "$(inet 4003)")"
is "which a stranger can't by loopback" EPERM "$(python3 -c "$(inet 4003)")"
is "strangers reach strangers" ok "$(python3 -c "$(inet 4001)")"
is "a member can't leave its cgroup" 1 "$(in_group bash -c 'echo $$ >"$0/out/cgroup.procs"; echo $?' "$CG" 2>/dev/null)"
is "nor make a namespace" 1 "$(in_group unshare --uts true >/dev/null 2>&1; echo $?)"
is "nor a packet socket" EPERM "$(in_group python3 -c "import socket, errno
try: socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('ok')
except OSError as e: print(errno.errorcode[e.errno])")"
is "an allowed family is made" ok "$(in_group python3 -c "import socket
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); print('ok')")"
is "nor remove the policy's pins" 1 "$(in_group rm -rf "/sys/fs/bpf/ulsp/$ID/lsm" >/dev/null 2>&1; echo $?)"
is "nor the control socket" 1 "$(in_group rm -f "$ULSP_RUN_DIR/$ID/control" >/dev/null 2>&1; echo $?)"
is "nor the policy" 1 "$(in_group rm -f "$TMP/policy.ulsp" >/dev/null 2>&1; echo $?)"
# Process 1 is busybox in our guests: a child of it that runs busybox is being prepared.
if [ -n "${ULSP_VM:-}" ]; then
	cat >"$TMP/prepare.sh" <<'E2'
until [ "$(cut -d' ' -f4 /proc/$$/stat)" = 1 ]; do :; done
echo $$ >"$1/g/cgroup.procs"
busybox unshare -u busybox true && echo prepared >"$2"
exec python3 -c "import os, errno
try: os.kill($3, 0); print('ok')
except OSError as e: print(errno.errorcode[e.errno])" >>"$2"
E2
	(busybox sh "$TMP/prepare.sh" "$CG" "$TMP/prepared" "$outsider" &)
	until_true 20 grep -qE 'EPERM|ok' "$TMP/prepared"
	is "what process 1 prepares is a member from its execve on" "prepared EPERM" "$(tr '\n' ' ' <"$TMP/prepared" | sed 's/ $//')"
fi
is "a shell pipeline works" 5 "$(in_group bash -c 'seq 5 | tee /tmp/out.$$ | wc -l; rm /tmp/out.$$')"
is "python's multiprocessing works" "[1, 4, 9]" "$(in_group python3 -c "
from multiprocessing import Pool
with Pool(2) as p: print(p.map(abs, [-1, -4, -9]))" 2>&1 | tail -1)"
kill -9 "${CHILDREN[-1]}" "${CHILDREN[-2]}" "${CHILDREN[-3]}" 2>/dev/null
policy <<E2
group a { members cgroup "$REL" default allow }
E2
load
is "without isolation: a stranger is reached" ok "$(in_group python3 -c "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('ok')")"

cp "$(command -v python3)" "$TMP/py"
policy <<E2
group by-exec { members exec "$TMP/py" isolate signal default allow }
E2
load
is "a member by its executable can't signal outside" EPERM \
	"$("$TMP/py" -c "import os, errno
try: os.kill($outsider, 0); print('ok')
except OSError as e: print(errno.errorcode[e.errno])")"
is "the same program elsewhere can" ok "$(try_kill "$outsider")"

# Its network too, wherever it runs.
server tcp 127.0.0.1 0
cat >"$TMP/connect.py" <<'E2'
import socket, sys, errno
s = socket.socket()
s.settimeout(5)
try: s.connect(("127.0.0.1", int(sys.argv[1]))); print("ok")
except OSError as e: print(errno.errorcode[e.errno])
E2
policy <<E2
group by-exec {
	members exec "$TMP/py"
	deny connect tcp to 127.0.0.1 port $PORT errno EHOSTUNREACH
	default allow
}
E2
load
is "a member by its executable is denied by the group's rules" EHOSTUNREACH "$("$TMP/py" "$TMP/connect.py" "$PORT")"
is "others aren't" ok "$(python3 "$TMP/connect.py" "$PORT")"
stop_daemon KILL
is "without a daemon too" EHOSTUNREACH "$("$TMP/py" "$TMP/connect.py" "$PORT")"
start_daemon
sed -i 's/EHOSTUNREACH/EACCES/' "$TMP/policy.ulsp"
load
is "a reload changes it" EACCES "$("$TMP/py" "$TMP/connect.py" "$PORT")"
like "all of it was counted" '^ *connect +0 +3' "$(ctl stats)"
sed -i 's/members.*/isolate signal/' "$TMP/policy.ulsp"
load
is "without the member it is free" ok "$("$TMP/py" "$TMP/connect.py" "$PORT")"
server_count
ctl shutdown >/dev/null
wait "$DAEMON" 2>/dev/null
DAEMON=
is "after shutdown nothing is left" ok "$("$TMP/py" -c "import os
os.kill($outsider, 0); print('ok')")"
