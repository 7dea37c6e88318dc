#!/bin/bash
# Bad input: a clear error, a non-zero exit, nothing half-applied, the old
# policy still enforced.
. "$(dirname "$0")/lib.sh"
echo_server tcp 127.0.0.1 8001
policy <<E2
group g {
	members cgroup "$REL"
	deny connect tcp to any port 8001 errno EHOSTUNREACH
	default allow
}
E2
cp "$TMP/policy.ulsp" "$TMP/good.ulsp"
start_daemon --policy "$TMP/policy.ulsp"
held() { is "$1: the old policy is enforced" EHOSTUNREACH "$(in_group "$TRY" connect tcp 127.0.0.1 8001)"; }
held start

# refused NAME PATTERN FILE: check and load both fail and say why
refused() {
	local out
	out=$(timeout 60 "$BIN/ulspctl" check "$3" 2>&1)
	is "$1: check fails" 1 "$?"
	like "$1: check says why" "$2" "$out"
	out=$(timeout 60 "$BIN/ulspctl" load "$3" 2>&1)
	is "$1: load fails" 1 "$?"
	like "$1: load says why" "$2" "$out"
	held "$1"
}
head -c 10000000 /dev/urandom >"$TMP/garbage.ulsp"
refused "10 MB of garbage" 'garbage.ulsp:[0-9]+:[0-9]+: error' "$TMP/garbage.ulsp"
printf 'include "loop.ulsp"\n' >"$TMP/loop.ulsp"
refused "an include loop" 'loop.ulsp:1:[0-9]+: error:.*include' "$TMP/loop.ulsp"
for i in $(seq 0 40); do printf 'include "deep%d.ulsp"\n' $((i + 1)) >"$TMP/deep$i.ulsp"; done
: >"$TMP/deep41.ulsp"
refused "deep includes" 'error:.*(include|deep)' "$TMP/deep0.ulsp"
printf 'group a { members cgroup "%s"\ndefault allow }\ngroup a { default deny }\n' "$REL" >"$TMP/dup.ulsp"
refused "duplicate groups" 'dup.ulsp:3:[0-9]+: error:.*group' "$TMP/dup.ulsp"
printf 'group a { members cgroup "%s"\ndefault allow }\ngroup b {\nmembers cgroup "%s"\n default deny }\n' "$REL" "$REL" >"$TMP/overlap.ulsp"
refused "overlapping members" 'overlap.ulsp:4:[0-9]+: error' "$TMP/overlap.ulsp"
printf 'group a {\n ask nobody connect tcp to any\n default allow }\n' >"$TMP/unknown.ulsp"
refused "an unknown ULSP" 'unknown.ulsp:2:[0-9]+: error:.*nobody' "$TMP/unknown.ulsp"
refused "a file that doesn't exist" 'nothere.ulsp.*No such file' "$TMP/nothere.ulsp"
refused "a directory of nothing" '.' /dev/null/x
# all errors of a file in one run, each with its line and a caret
printf 'group a {\n  allow conect tcp to any\n  deny connect tcp to 10.0.0.1/8\n  allow connect tcp port 99999\n  default maybe\n}\n' >"$TMP/many.ulsp"
out=$(ctl check "$TMP/many.ulsp" 2>&1)
for line in 2 3 4 5; do like "error on line $line is reported" "many.ulsp:$line:[0-9]+: error" "$out"; done
like "with a caret" '^ *\^' "$out"

# what this version doesn't enforce is refused, never ignored
i=0
while IFS= read -r clause; do
	i=$((i + 1))
	printf 'ulsp u { exec "ulsp-log" }\ngroup a {\n members cgroup "%s"\n %s\n default allow\n}\n' "$REL" "$clause" >"$TMP/un$i.ulsp"
	refused "'$clause'" "un$i.ulsp:4:[0-9]+: error:.*(not supported|needs BPF LSM)" "$TMP/un$i.ulsp"
done <<'E2'
isolate signal, unix
members exec "/usr/bin/curl"
serve u connect tcp to 192.0.2.0/24
allow connect tcp to name "*.debian.org"
limit 1/s socket packet
deny connect unix
E2

# a set file of a million lines is a long list, not an error
python3 -c '
import ipaddress
for i in range(1000000): print(ipaddress.ip_address(0x0b000000 + i * 8))' >"$TMP/million.cidr"
printf 'define big = file "million.cidr"\ngroup g {\n members cgroup "%s"\n deny connect tcp to $big\n deny connect tcp to any port 8001 errno EHOSTUNREACH\n default allow\n}\n' "$REL" >"$TMP/million.ulsp"
t0=$SECONDS
is "a set file of a million lines loads" 0 "$(ctl load "$TMP/million.ulsp" >"$TMP/load.out" 2>&1; echo $?)"
is "in seconds" 1 "$((SECONDS - t0 < 20))"
sed 's/^/# /' "$TMP/load.out" | head -5
is "and is enforced" EPERM "$(in_group "$TRY" connect tcp 11.0.0.8 80)"
held "million"
printf '10.0.0.0/8\nnot-a-prefix\n' >"$TMP/bad.cidr"
printf 'define s = file "bad.cidr"\ngroup a { members cgroup "%s"\n deny connect tcp to $s default allow }\n' "$REL" >"$TMP/badset.ulsp"
refused "a bad line in a set file" 'bad.cidr:2:[0-9]+: error' "$TMP/badset.ulsp"

# a cgroup that doesn't exist yet is not an error: it is followed
printf 'group g {\n members cgroup "%s", "%s/none"\n deny connect tcp to any port 8001 errno EHOSTUNREACH\n default allow\n}\n' "$REL" "$ID" >"$TMP/none.ulsp"
out=$(ctl load "$TMP/none.ulsp" 2>&1)
is "a member cgroup that doesn't exist loads" 0 "$?"
like "and is pointed out" "none" "$out$(cat "$TMP/ulspd.log")"
held "missing cgroup"

# the control socket
SOCK=$ULSP_RUN_DIR/$ID/control
[ -S "$SOCK" ] || SOCK=$(find "$ULSP_RUN_DIR" -type s | head -1)
talk() { timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(4)
s.sendall(sys.stdin.buffer.read())
try:
    s.shutdown(socket.SHUT_WR)
    while True:
        b = s.recv(65536)
        if not b: break
        sys.stdout.write(b.decode("utf-8", "replace"))
except OSError as e: print(e)' "$SOCK"; }
like "garbage on the control socket" '"ok": ?false' "$({ head -c 300 /dev/urandom | tr -d '\n'; echo; } | talk)"
like "an unknown command" '"ok": ?false' "$(printf '{"v":1,"cmd":"nonsense"}\n' | talk)"
like "another protocol version" '"ok": ?false.*version' "$(printf '{"v":99,"cmd":"version"}\n' | talk)"
head -c 3000000 /dev/zero | tr '\0' 'a' | talk >"$TMP/long" 2>/dev/null
is "an endless line doesn't end the daemon" 0 "$(ctl stats >/dev/null; echo $?)"
python3 - "$SOCK" <<'E2' &
import socket, sys, time
held = []
for i in range(200):
    try:
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'{"v":1,'); held.append(s)
    except OSError: break
time.sleep(14)
E2
SLOW=$!
CHILDREN+=($SLOW)
sleep 12
is "200 slow clients are dropped in time" 0 "$(timeout 10 "$BIN/ulspctl" stats >/dev/null; echo $?)"
like "a stranger may not talk to it" 'ermission denied' "$(setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/ulspctl" stats 2>&1)"
held "control socket"

# a second daemon, no root, other pins
out=$("$BIN/ulspd" --foreground 2>&1)
is "a second daemon of the instance fails" 1 "$?"
like "and says so" 'already|lock|running' "$out"
out=$(setpriv --reuid 65534 --regid 65534 --clear-groups env ULSP_RUN_DIR=/tmp "$BIN/ulspd" --foreground --instance "nr$$" 2>&1)
is "without root ulspd fails" 1 "$?"
like "and says what it needs" 'root|CAP_|privilege|permission|Permission' "$out"
is "an unknown option" 2 "$("$BIN/ulspd" --nonsense >/dev/null 2>&1; echo $?)"
is "an unknown command" 2 "$(ctl nonsense >/dev/null 2>&1; echo $?)"
is "a bad instance name" 2 "$("$BIN/ulspd" --instance ../x >/dev/null 2>&1; echo $?)"
stop_daemon KILL

# pins of another version: refused with what to do, enforcement untouched
META=/sys/fs/bpf/ulsp/$ID/meta
bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
"$bpftool" map update pinned "$META" key 0 0 0 0 value hex 55 4c 53 50 63 00 00 00 01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00
out=$("$BIN/ulspd" --foreground 2>&1)
is "pins of another version are refused" 1 "$?"
like "and it says how to go on" 'ABI 99.*ABI [0-9]+.*shutdown' "$out"
held "other pins"

# what the machine lacks
without() { # COMMANDS that take it away, in a mount namespace of their own
	timeout 10 unshare --mount --propagation private bash -c "$1; exec '$BIN/ulspd' --foreground --instance nb$$" 2>&1
}
out=$(without "umount '$CG2'")
is "without cgroup2 ulspd fails" 1 "$?"
like "and says so" 'cgroup2' "$out"
out=$(without "mount -t tmpfs none /sys/kernel/btf")
is "without kernel types ulspd fails" 1 "$?"
like "and says so" 'BTF|btf' "$out"
out=$(timeout 10 "$BIN/ulspd" --foreground --instance "nb$$" --cgroup-root /tmp 2>&1)
is "a cgroup root that is none" 1 "$?"
like "is named" '/tmp.*cgroup' "$out"
out=$(timeout 10 "$BIN/ulspd" --foreground --instance "nb$$" --policy "$TMP/overlap.ulsp" 2>&1)
is "a bad policy at the start ends ulspd" 1 "$?"
like "with its diagnostics" 'overlap.ulsp:4:[0-9]+: error' "$out"
is "and leaves no pins" 0 "$(find /sys/fs/bpf/ulsp/nb$$ 2>/dev/null | wc -l)"
is "shutdown removes pins of another version" 0 "$(ctl shutdown >/dev/null 2>&1; echo $?)"
is "and ends their enforcement" ok "$(in_group "$TRY" connect tcp 127.0.0.1 8001)"
umount /sys/fs/bpf
start_daemon --policy "$TMP/good.ulsp"
held "without a mounted bpffs ulspd mounts it"
