#!/bin/bash
# ULSPs that are attacked, that leave processes behind, and that lie.
. "$(dirname "$0")/lib.sh"
chmod 755 "$TMP"
echo_server tcp 127.0.0.1 8001
tcp() { in_group "$TRY" connect tcp 127.0.0.1 8001; }
field() { ctl ulsp show "$1" -j | python3 -c 'import json, sys; print(json.load(sys.stdin)["ulsp"].get(sys.argv[1], ""))' "$2"; }
state_is() { [ "$(field "$1" state)" = "$2" ]; }

# ---- a process of the same user wants a ULSP's descriptors ----
cat >"$TMP/steal" <<'E2'
#!/usr/bin/python3
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pidfd = libc.syscall(434, int(sys.argv[1]), 0)
fd = libc.syscall(438, pidfd, int(sys.argv[2]), 0)
print("ok" if fd >= 0 else errno.errorcode[ctypes.get_errno()])
E2
cat >"$TMP/plain" <<'E2'
#!/usr/bin/python3
import signal
signal.pause()
E2
chmod 755 "$TMP/steal" "$TMP/plain"
echo 'allow connect tcp any port any for 1m' >"$TMP/rules"
policy <<E2
ulsp firewall { exec "ulsp-firewall" "--rules" "$TMP/rules" }
ulsp plain { exec "$TMP/plain" }
group g {
	members cgroup "$REL"
	ask firewall connect tcp to any port 8001 errno EAGAIN
	default deny
}
E2
start_daemon --policy "$TMP/policy.ulsp"
until_true 10 state_is firewall running
steal() { setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$TMP/steal" "$(field "$1" pid)" 5; }
is "a ULSP's cache can't be taken by its own user" EPERM "$(steal firewall)"
if [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ]; then
	is "control: that of one without libulsp can" ok "$(steal plain)"
fi
answered() { [ "$(tcp)" = ok ]; }
until_true 3 answered
is "and the ULSP works" ok "$(tcp)"

# ---- what a ULSP leaves behind, deaf and in a session of its own ----
cat >"$TMP/breeder" <<'E2'
#!/usr/bin/python3
import os, signal, sys, time
if not os.fork():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    print("child", os.getpid(), os.stat("/proc/self/fd/5").st_dev, file=sys.stderr, flush=True)
    time.sleep(300)
if "exit" in sys.argv:
    time.sleep(0.3)
    os._exit(3)
signal.pause()
E2
chmod 755 "$TMP/breeder"
bred() { grep -oE 'breeder: child [0-9]+' "$TMP/ulspd.log" | awk '{ print $3 }'; }
newest() { bred | tail -1; }
generations() { [ "$(bred | wc -l)" -ge "$1" ]; }
alive() { [ -n "$(sed -n '/^State:.[^Z]/p' "/proc/$1/status" 2>/dev/null)" ]; }
dead() { ! alive "$1"; }
breed() { sed "s/^ulsp plain .*/ulsp breeder { exec \"$(sed 's|/|\\/|g' <<<"$TMP/breeder")\" $1 }/" "$TMP/first.ulsp" >"$TMP/policy.ulsp"; load; }
cache_id() { "$(command -v bpftool || echo /usr/sbin/bpftool)" map show pinned "/sys/fs/bpf/ulsp/$ID/ulsp/breeder/cache" -j | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }
cp "$TMP/policy.ulsp" "$TMP/first.ulsp"
breed ""
until_true 5 generations 1
c1=$(newest) k1=$(cache_id)
is "a ULSP's child runs" 0 "$(alive "$c1"; echo $?)"
like "in the ULSP's cgroup" "/ulsp/$ID/ulsp.d/breeder\$" "$(cat "/proc/$c1/cgroup")"
ctl ulsp restart breeder >/dev/null
until_true 5 generations 2
is "a restart ends it with the ULSP" 0 "$(dead "$c1"; echo $?)"
is "the cache stays: the program is the same" "$k1" "$(cache_id)"
c2=$(newest)
breed '"another"'
is "another program has a cache of its own at once" 1 "$([ "$(cache_id)" = "$k1" ]; echo $?)"
until_true 5 generations 3
is "and what the earlier one left has ended" 0 "$(dead "$c2"; echo $?)"
k3=$(cache_id) c3=$(newest)
breed '"another" user root'
until_true 5 generations 4
is "another user too" "1 0" "$([ "$(cache_id)" = "$k3" ]; echo $?) $(dead "$c3"; echo $?)"
c4=$(newest)
stop_daemon KILL
is "control: the child outlives a killed daemon" 0 "$(alive "$c4"; echo $?)"
start_daemon
until_true 5 generations 5
is "the next daemon ends it before it starts another" 0 "$(dead "$c4"; echo $?)"
breed '"exit"'
until_true 8 generations 7
is "a ULSP that ends by itself leaves nothing" 0 "$(until_true 3 dead "$(bred | tail -2 | head -1)"; echo $?)"
c7=$(newest)
cp "$TMP/first.ulsp" "$TMP/policy.ulsp"
load
is "nor does one that a load drops" 0 "$(until_true 3 dead "$c7"; echo $?)"
is "its cgroup is gone" 1 "$(until_true 3 test ! -d "$CG2/ulsp/$ID/ulsp.d/breeder"; test -d "$CG2/ulsp/$ID/ulsp.d/breeder"; echo $?)"
is "and the others have theirs" "firewall plain" "$(cd "$CG2/ulsp/$ID/ulsp.d" && echo */ | tr -d /)"

# ---- one whose page says anything ----
cat >"$TMP/liar" <<'E2'
#!/usr/bin/python3
import mmap, signal
page = mmap.mmap(3, 4096)
page[12:16] = (1).to_bytes(4, "little")
page[64:72] = b"\xff" * 7 + b"\x7f"  # the heartbeat
page[88:120] = b"\xff" * 32  # the counters
signal.pause()
E2
chmod 755 "$TMP/liar"
sed "s|^ulsp plain .*|ulsp liar { exec \"$TMP/liar\" }|; s|default deny|default deny log|" "$TMP/first.ulsp" >"$TMP/policy.ulsp"
load
until_true 5 state_is liar silent
is "a heartbeat from the future is none" "silent " "$(field liar state) $(field liar heartbeat_ms)"
in_group "$TRY" connect udp 127.0.0.1 9 >/dev/null
is "it has received what was sent to it, and lost nothing of that" "1 1 0" \
	"$(field liar sent) $(field liar received) $(field liar lost)"
is "control: one that doesn't lie" running "$(field firewall state)"
sed -i "s|$TMP/liar|$TMP/plain|" "$TMP/policy.ulsp"
load
plain_is_up() { [ "$(field liar pid)" != 0 ] && grep -q plain "/proc/$(field liar pid)/cmdline"; }
until_true 5 plain_is_up
is "another program in its place starts at zero" "starting 0 0" "$(field liar state) $(field liar received) $(field liar verdicts)"

# ---- one that floods the log, and colours it ----
cat >"$TMP/spammer" <<'E2'
#!/usr/bin/python3
import signal, sys
sys.stderr.write("red \x1b[31m tab\t \x07 <0>fake\n")
for i in range(5000): sys.stderr.write("spam %d\n" % i)
sys.stderr.flush()
signal.pause()
E2
chmod 755 "$TMP/spammer"
sed "s|^ulsp plain .*|ulsp spammer { exec \"$TMP/spammer\" }|" "$TMP/first.ulsp" >"$TMP/policy.ulsp"
load
until_true 5 grep -q 'spammer: spam 50' "$TMP/ulspd.log"
sleep 1.2
ctl ulsp restart spammer >/dev/null
said() { grep -q 'spammer: [0-9]* lines more, dropped' "$TMP/ulspd.log"; }
is "the log says how many lines it dropped" 0 "$(until_true 5 said; echo $?)"
like "and has some hundreds of 10000 at most" '^[1-9][0-9]{1,2}$' "$(grep -c 'spammer: spam' "$TMP/ulspd.log")"
is "without control characters" 0 "$(grep -cP '[\x00-\x08\x0b-\x1f\x7f]' "$TMP/ulspd.log")"
like "but with what they were" 'spammer: red \\x1b\[31m tab	 \\x07 <0>fake' "$(cat "$TMP/ulspd.log")"
like "a log in a file has the time and the level" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z ulspd: warning: spammer: ' "$(cat "$TMP/ulspd.log")"
