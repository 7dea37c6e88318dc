#!/bin/bash
# ulspctl and ulspd against each other: loading and its refusals, diff, explain
# on and off line, the monitor and its losses, modes, reloads by signal, the
# supervision of ULSPs, the daemon's end with and without the policy.
. "$(dirname "$0")/lib.sh"
echo_server tcp 127.0.0.1 8001
echo_server tcp 127.0.0.1 8002
tcp() { in_group "$TRY" connect tcp 127.0.0.1 "$1"; }

cd "$TMP" || exit 1
policy <<E2
group g {
	members cgroup "$REL"
	deny connect tcp to any port 8001 errno EHOSTUNREACH
	allow connect tcp to 127.0.0.0/8
	default deny log
}
E2
start_daemon
is "no policy yet" "[]" "$(ctl group list -j | json groups)"
out=$(ctl load policy.ulsp 2>&1)
is "a relative path loads" 0 "$?"
like "and says what" 'generation 1, 1 group' "$out"
is "and is enforced" EHOSTUNREACH "$(tcp 8001)"
is "control" ok "$(tcp 8002)"
is "stdin loads" 2 "$(ctl load -j - <policy.ulsp | json generation)"
mkdir d && cp policy.ulsp d/a.ulsp && echo 'group other { default allow }' >d/b.ulsp && echo nonsense >d/c.txt
is "a directory stands for its policies" 2 "$(ctl load -j d | json groups)"
ctl load policy.ulsp >load.out
printf 'group g {\n  allow nonsense\n}\n' >bad.ulsp
out=$(ctl load bad.ulsp 2>&1)
is "a bad one is refused" 1 "$?"
like "as a compiler does" 'bad.ulsp:2:9: error: .*nonsense' "$out"
is "in JSON too" false "$(ctl load -j bad.ulsp | json ok)"
is "with the place" 2 "$(ctl load -j bad.ulsp | json diagnostics 0 line)"
is "and the old one holds" EHOSTUNREACH "$(tcp 8001)"

# diff
is "no change" "no change" "$(ctl diff policy.ulsp)"
sed -e 's/port 8001 errno EHOSTUNREACH/port 8002/' -e 's/default deny log/default deny/' policy.ulsp >new.ulsp
out=$(ctl diff new.ulsp)
is "a difference is no failure" 0 "$?"
like "a rule goes" '^- +deny connect tcp to any port 8001' "$out"
like "a rule comes" '^\+ +deny connect tcp to any port 8002 .*new.ulsp:3' "$out"
like "the default too" '^\+ +default deny( |$)' "$out"
unlike "the rest is not mentioned" '127.0.0.0' "$out"
is "--exit-code" 1 "$(ctl diff --exit-code new.ulsp >/dev/null; echo $?)"
sed -e '3{h;d};4{G}' policy.ulsp >moved.ulsp
like "a rule that moves" '^~ +(allow|deny) connect' "$(ctl diff moved.ulsp)"
is "is one change" 1 "$(ctl diff -j moved.ulsp | json changes 0 lines | grep -o '"change"' | wc -l)"

# what is shown loads again, and is the same
ctl group show g >shown.ulsp
is "group show loads again" "no change" "$(ctl diff shown.ulsp)"

# explain
for q in "connect tcp 127.0.0.1 8001" "connect tcp 127.0.0.1 8002" "connect tcp ::1 8001" \
	"connect udp 192.0.2.1 53" "bind tcp 0.0.0.0 0" "recvfrom udp 192.0.2.1 53"; do
	# shellcheck disable=SC2086
	online=$(ctl explain g $q | sed "s|$TMP/||") offline=$(ctl explain --policy policy.ulsp g $q)
	is "explain $q: on line as off line" "$offline" "$online"
done
like "explain names file and line" 'policy.ulsp:3' "$(ctl explain g connect tcp 127.0.0.1 8001)"
like "the default has one too" 'policy.ulsp:5' "$(ctl explain g connect udp 192.0.2.1 53)"
is "an address that is none" 1 "$(ctl explain g connect tcp 1.2.3 80 >/dev/null 2>&1; echo $?)"
is "a port that is none" 2 "$(ctl explain g connect tcp 1.2.3.4 http >/dev/null 2>&1; echo $?)"

# monitor
ctl monitor --count 2 >mon.out &
M=$!
ctl monitor -o json --group g --count 1 >mon.json &
MJ=$!
sleep 0.3
tcp 8001 >/dev/null
tcp 8002 >/dev/null
wait $M
is "the monitor ends after its count" 0 "$?"
wait $MJ
like "a line for each operation" 'g .*deny EHOSTUNREACH.*127.0.0.1:8001' "$(head -1 mon.out)"
like "allowed ones too" 'allow.*127.0.0.1:8002' "$(tail -1 mon.out)"
is "the same in JSON" EHOSTUNREACH "$(json errno <mon.json)"
like "with the rule's place" 'policy.ulsp:3$' "$(json rule <mon.json)"
is "and the cgroup as the policy names it" "$REL" "$(json cgroup <mon.json)"
like "in a line too" " in $REL rule " "$(head -1 mon.out)"
# heard FILE: the rule that the monitor names for an operation that only the default judges
heard() {
	ctl monitor -o json --group g --count 1 >"$1" &
	M=$!
	sleep 0.3
	is "denied by the default ($1)" EPERM "$(in_group "$TRY" connect udp 192.0.2.1 53)"
	wait $M
	is "says the reason ($1)" default "$(json reason <"$1")"
}
rule_of() { ctl explain -j g connect udp 192.0.2.1 53 | json rule; }
heard said.json
like "the default's place is said" 'policy.ulsp:5$' "$(json rule <said.json)"
is "as explain says it" "$(rule_of)" "$(json rule <said.json)"
grep -v default policy.ulsp >unsaid.ulsp
ctl load unsaid.ulsp >/dev/null 2>&1
heard unsaid.json
is "a default that no line says" default "$(json rule <unsaid.json)"
is "explain says the same" "$(rule_of)" "$(json rule <unsaid.json)"
ctl load policy.ulsp >/dev/null
is "an unknown group" 1 "$(ctl monitor -g nobody >/dev/null 2>&1; echo $?)"
sent() { ctl stats -j | json groups 0 streams 0 sent; }
before=$(sent)
tcp 8001 >/dev/null
is "nothing is sent while nobody watches" "$before" "$(sent)"

# a watcher that doesn't keep up is told what it missed
"$BIN/ulspctl" monitor >slow.out &
M=$!
CHILDREN+=($M)
sleep 0.3
kill -STOP $M
before=$(sent)
in_group "$TRY" -n 30000 sendto udp 127.0.0.1 9 >/dev/null
after=$(sent)
kill -CONT $M
told() { grep -q '^lost ' slow.out; }
until_true 5 told
sleep 1
kill $M
wait $M 2>/dev/null
like "a slow watcher is told" '^lost [0-9]+ messages.*(slow-client|ring-full)' "$(grep '^lost' slow.out)"
is "and what it got and lost is what was sent" $((after - before)) \
	$(($(grep -cv '^lost' slow.out) + $(grep -oE '^lost [0-9]+' slow.out | awk '{ n += $2 } END { print n + 0 }')))

# modes
is "audit" "g: audit (was enforce)" "$(ctl group mode g audit)"
is "lets pass" ok "$(tcp 8001)"
like "and counts" '"audited": ?[1-9]' "$(ctl stats -j)"
like "show says so" 'mode audit' "$(ctl group show g)"
stop_daemon KILL
is "the mode outlives the daemon" ok "$(tcp 8001)"
start_daemon
is "and is known to the next" audit "$(ctl group list -j | json groups 0 mode)"
is "a load brings the policy's own" 0 "$(ctl load policy.ulsp >/dev/null; echo $?)"
is "back" EHOSTUNREACH "$(tcp 8001)"
is "a mode that is none" 2 "$(ctl group mode g maybe >/dev/null 2>&1; echo $?)"

# the default's counter goes on through loads and daemons, as rules' do
of_default() { ctl stats -j | python3 -c '
import json, sys
print(sum(r["hits"] for r in json.load(sys.stdin)["groups"][0]["rules"] if r["text"].startswith("default")))'; }
in_group "$TRY" connect udp 192.0.2.1 53 >/dev/null
before=$(of_default)
like "the default counts" '^[1-9]' "$before"
ctl load policy.ulsp >/dev/null
is "through a load" "$before" "$(of_default)"

# a new daemon adopts, and a bad policy at its start changes nothing
stop_daemon KILL
start_daemon --policy "$TMP/bad.ulsp"
is "a bad policy at the start keeps the adopted one" EHOSTUNREACH "$(tcp 8001)"
is "and the default's counter" "$before" "$(of_default)"
like "and is logged" 'bad.ulsp:2' "$(cat ulspd.log)"
stop_daemon
is "SIGTERM ends it cleanly" 0 "$STATUS"
is "and leaves enforcement" EHOSTUNREACH "$(tcp 8001)"

# an executable that a rule names goes: a load says so, a restart takes over what is enforced
cp "$TRY" gone
cat >exec.ulsp <<E2
group g {
	members cgroup "$REL"
	deny connect tcp to any port 8001 errno ENOTCONN exec "$TMP/gone"
	deny connect tcp to any port 8002 errno ECONNABORTED exec !"$TMP/gone"
	default allow
}
E2
start_daemon --policy exec.ulsp
is "an executable's rule" ENOTCONN "$(in_group ./gone connect tcp 127.0.0.1 8001)"
ln gone kept && rm gone # the same file by another name
stop_daemon KILL
start_daemon
like "without the executable a restart warns with the place" 'exec.ulsp:3:[0-9]+: warning: .*gone' "$(cat ulspd.log)"
is "enforcement stays, for the file" "ENOTCONN ok" \
	"$(in_group ./kept connect tcp 127.0.0.1 8001) $(tcp 8001)"
is "also where the condition is negated" "ok ECONNABORTED" \
	"$(in_group ./kept connect tcp 127.0.0.1 8002) $(tcp 8002)"
out=$(ctl load exec.ulsp 2>&1)
is "a load refuses it" 1 "$?"
like "as an error" 'exec.ulsp:3:[0-9]+: error: .*gone' "$out"
like "explain and stats know the rules" 'exec.ulsp:3' "$(ctl explain g connect tcp 127.0.0.1 8001 --exec kept; ctl stats)"
ctl load policy.ulsp >/dev/null
stop_daemon

# SIGHUP
cp policy.ulsp hup.ulsp
start_daemon --policy hup.ulsp
generation() { ctl version -j | json ulspd generation; }
g0=$(generation)
sed -i 's/EHOSTUNREACH/ENETUNREACH/' hup.ulsp
kill -HUP "$DAEMON"
changed() { [ "$(tcp 8001)" = ENETUNREACH ]; }
until_true 5 changed
is "SIGHUP loads the file again" ENETUNREACH "$(tcp 8001)"
is "as a new generation" $((g0 + 1)) "$(generation)"
cp bad.ulsp hup.ulsp
kill -HUP "$DAEMON"
logged() { grep -q 'hup.ulsp:2:9' ulspd.log; }
until_true 5 logged
is "a bad file is logged" 0 "$(logged; echo $?)"
is "and changes nothing" "ENETUNREACH $((g0 + 1))" "$(tcp 8001) $(generation)"

# ULSPs: what ends comes back as the policy says
cat >once <<'E2'
#!/bin/bash
echo "started by $(id -un) $ULSP_NAME $ULSP_FDS" >&2
exit 3
E2
chmod 755 once "$TMP"
cat >ulsps.ulsp <<E2
ulsp again { exec "$TMP/once" }
ulsp never { exec "$TMP/once" restart never }
ulsp kept  { exec "ulsp-log" "--file" "/dev/null" user root restart on-failure }
group g { members cgroup "$REL"  default allow }
E2
is "ULSPs start" 0 "$(ctl load ulsps.ulsp >load.out 2>&1; echo $?)"
state() { ctl ulsp show "$1" -j | json ulsp state; }
is_state() { [ "$(state "$1")" = "$2" ]; }
until_true 5 is_state kept running
is "one runs" running "$(state kept)"
until_true 5 is_state never stopped
is "one that must not be restarted has ended" stopped "$(state never)"
like "and it says why" 'status 3' "$(ctl ulsp show never)"
sleep 1
like "one is started again and again, less and less" '^[2-5]$' "$(ctl ulsp show again -j | json ulsp restarts)"
is "backing off" backing-off "$(state again)"
like "its output is in the log, by name" 'again: started by nobody again page=3 cache=4 groups=5' "$(cat ulspd.log)"
p1=$(ctl ulsp show kept -j | json ulsp pid)
is "restart" 0 "$(ctl ulsp restart kept >/dev/null; echo $?)"
other_pid() { local p; p=$(ctl ulsp show kept -j | json ulsp pid); [ "$p" != "$p1" ] && [ "$p" != 0 ]; }
until_true 5 other_pid
is "gives another process" 0 "$(other_pid; echo $?)"
is "one that is none" 1 "$(ctl ulsp restart nobody >/dev/null 2>&1; echo $?)"
# one that doesn't listen to SIGTERM, nor the child that it has
cat >deaf <<'E2'
#!/usr/bin/python3
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
time.sleep(300)
E2
chmod 755 deaf
(cat ulsps.ulsp; echo "ulsp deaf { exec \"$TMP/deaf\" restart never }") >deaf.ulsp
ctl load deaf.ulsp >load.out
field() { ctl ulsp show deaf -j | json ulsp "$1"; }
deaf() { pgrep -c -f "$TMP/deaf"; }
is_deaf() { [ "$(deaf)" = "$1" ]; }
until_true 5 is_deaf 2
p1=$(field pid)
for _ in 1 2 3; do ctl ulsp restart deaf >/dev/null; sleep 1; done
is "SIGTERM has time to work" "$p1" "$(field pid)"
killed() { [ "$(field kills)" = 1 ] && [ "$(field pid)" != "$p1" ] && is_deaf 2; }
until_true 4 killed
is "one that doesn't end is killed with its children, and started again" 0 "$(killed; echo $?)"
like "which is shown" '1 killed' "$(ctl ulsp show deaf)"
like "and logged" "deaf: process $p1 does not end 5000 ms after SIGTERM" "$(cat ulspd.log)"
p1=$(field pid)
stop_daemon KILL
start_daemon
other_deaf() { [ "$(field pid)" != "$p1" ] && [ "$(field pid)" != 0 ]; }
is "the next daemon ends it before it starts another" "0 " \
	"$(other_deaf; echo $?) $(sed -n '/^State:.[^Z]/p' "/proc/$p1/status" 2>/dev/null)"
ctl load ulsps.ulsp >load.out
until_true 8 is_deaf 0
is "a load that drops it kills it too" 0 "$(deaf)"
until_true 5 is_state kept running
p1=$(ctl ulsp show kept -j | json ulsp pid)
stop_daemon KILL
ended() { ! kill -0 "$p1" 2>/dev/null; }
until_true 5 ended
is "a ULSP ends with its daemon" 0 "$(ended; echo $?)"
start_daemon
until_true 5 is_state kept running
is "and is started by the next" running "$(state kept)"
# another ring at a load, for a new process
ring_bytes() { ctl ulsp show kept -j | json ulsp ring_bytes; }
map_bytes() { "$(command -v bpftool || echo /usr/sbin/bpftool)" map show pinned "/sys/fs/bpf/ulsp/$ID/ulsp/kept/ring" -j | json max_entries; }
p1=$(ctl ulsp show kept -j | json ulsp pid)
sed -i '/^ulsp kept/s/restart/ring 64K restart/; /^group/s/default allow/default allow log/' ulsps.ulsp
ctl load ulsps.ulsp >load.out
until_true 5 other_pid
until_true 5 is_state kept running
is "a changed ring is there after the load" "65536 65536" "$(ring_bytes) $(map_bytes)"
is "with another process on it" 0 "$(other_pid; echo $?)"
tcp 8001 >/dev/null
received() { [ "$(ctl ulsp show kept -j | json ulsp received)" -ge 1 ]; }
until_true 5 received
is "that gets messages" 0 "$(received; echo $?)"

# one that freezes what it has, its page too when no daemon maps that
cat >freeze <<'E2'
#!/usr/bin/python3
import ctypes, os, platform, signal, sys, time
def freeze(fd):
    number = 321 if platform.machine() == "x86_64" else 280
    return ctypes.CDLL(None).syscall(number, 22, (ctypes.c_uint32 * 1)(fd), 4)
def frozen(fd): return open("/proc/self/fdinfo/%d" % fd).read().split("frozen:")[1].split()[0]
def end(*_):
    time.sleep(0.5)
    freeze(4)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
was = [frozen(fd) for fd in (3, 4, 5)]
if freeze(5) or freeze(3): print("this kernel lets no ULSP freeze its maps", file=sys.stderr)
print("froze", *was, "now", *[frozen(fd) for fd in (3, 4, 5)], file=sys.stderr, flush=True)
time.sleep(300)
E2
chmod 755 freeze
echo "ulsp ice { exec \"$TMP/freeze\" }" >ice.ulsp
cat ulsps.ulsp >>ice.ulsp
ctl load ice.ulsp >load.out
froze() { [ "$(grep -c 'ice: froze' ulspd.log)" = "$1" ]; }
until_true 5 froze 1
ctl ulsp restart ice >/dev/null
until_true 5 froze 2
stop_daemon KILL
sleep 1
start_daemon
until_true 5 froze 3
is "what a ULSP froze is new for its next process" "froze 0 0 0" "$(grep -o 'froze [01] [01] [01]' ulspd.log | sort -u)"
is "and for the next daemon" running "$(state kept)"
sed -n '/ice: froze/s/^/# /p' ulspd.log
ctl load policy.ulsp >/dev/null
is "those that a policy doesn't have are gone" "[]" "$(ctl ulsp list -j | json ulsps)"

# run in the daemon's group
in_run=$(ctl run -g g -- "$TRY" connect tcp 127.0.0.1 8001)
is "run uses the daemon" EHOSTUNREACH "$in_run"
is "also when it names the same policy" EHOSTUNREACH "$(ctl run -p policy.ulsp -- "$TRY" connect tcp 127.0.0.1 8001)"
is "another policy gets an instance of its own" EPERM "$(ctl run -p new.ulsp -- "$TRY" connect tcp 127.0.0.1 8002)"
is "which is gone" "$ID" "$(ls "$ULSP_RUN_DIR")"
ctl run -g g -- bash -c 'sleep 300 & disown; echo $!' >left.pid
is "what a program leaves behind is killed" "" "$(sed -n '/^State:.[^Z]/p' "/proc/$(cat left.pid)/status" 2>/dev/null)"

# JSON everywhere
for c in "group list" "group show g" stats "ulsp list" doctor version "check policy.ulsp" \
	"diff policy.ulsp" "load policy.ulsp" "explain g connect tcp 1.1.1.1 1"; do
	# shellcheck disable=SC2086
	is "$c -j is JSON" true "$(ctl $c -j | json ok)"
done
for c in run check load diff group monitor explain ulsp stats doctor version shutdown \
	"group attach" "ulsp show"; do
	# shellcheck disable=SC2086
	like "$c --help" '^Usage: ulspctl' "$(ctl $c --help)"
done

# the end
is "shutdown --keep" 0 "$(ctl shutdown --keep >/dev/null; echo $?)"
wait "$DAEMON"
is "ends the daemon" 0 "$?"
DAEMON=
is "and keeps the policy" EHOSTUNREACH "$(tcp 8001)"
is "nobody to ask" 1 "$(ctl stats >/dev/null 2>&1; echo $?)"
is "shutdown without a daemon" 0 "$(ctl shutdown >/dev/null; echo $?)"
is "ends enforcement" ok "$(tcp 8001)"
is "and leaves no pins" "" "$(ls /sys/fs/bpf/ulsp 2>/dev/null)"
is "once more there is nothing" 1 "$(ctl shutdown >/dev/null 2>&1; echo $?)"
