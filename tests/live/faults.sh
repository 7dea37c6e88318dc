#!/bin/bash
# What fails half-way: a load after its swap has begun, a daemon killed while
# it loads, ulspctl run killed; and what a kernel or a container doesn't have.
. "$(dirname "$0")/lib.sh"
echo_server tcp 127.0.0.1 8001
mkdir "$CG/full" "$CG/a"
tcp() { in_cgroup "$1" "$TRY" connect tcp 127.0.0.1 8001; }

# a cgroup that takes no more programs: attaching there fails when all else is done
cat >"$TMP/n.bpf.c" <<'E2'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("cgroup/connect4") int n(struct bpf_sock_addr *c) { return 1; }
char terms[] SEC("license") = "GPL";
E2
clang -target bpf -O2 -g "-I/usr/include/$(uname -m)-linux-gnu" -c "$TMP/n.bpf.c" -o "$TMP/n.o" || bail "no clang"
bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
for i in $(seq 70); do
	"$bpftool" prog load "$TMP/n.o" "/sys/fs/bpf/$ID-n$i" &&
		"$bpftool" cgroup attach "$CG/full" connect4 pinned "/sys/fs/bpf/$ID-n$i" multi || break
done >/dev/null 2>&1
policy <<E2
group g {
	members cgroup "$REL"
	deny connect tcp to any port 8001 errno EHOSTUNREACH
	default allow
}
E2
start_daemon --policy "$TMP/policy.ulsp"
is "control" ok "$(tcp "$CG/a")"
is "the policy is enforced" EHOSTUNREACH "$(tcp "$CG/g")"
picture() {
	find "/sys/fs/bpf/ulsp/$ID" ! -type d | sort
	ctl version -j | grep -o '"generation":[0-9]*'
	ctl explain g connect tcp 127.0.0.1 8001
	ctl ulsp list
	ctl group list | cut -c 1-20
}
before=$(picture)
cat >"$TMP/two.ulsp" <<E2
ulsp new { exec "ulsp-log" "--file" "/dev/null" user root }
group a { members cgroup "$ID/a" default deny }
group g {
	members cgroup "$REL"
	mode audit
	deny connect tcp to any port 8001 errno ENETUNREACH
	default allow
}
group h { members cgroup "$ID/full" default deny }
E2
out=$(ctl load "$TMP/two.ulsp" 2>&1)
is "a load that fails after the swap is refused" 1 "$?"
like "and says where" 'group h: .*connect4' "$out"
is "the old policy is enforced, in its mode" EHOSTUNREACH "$(tcp "$CG/g")"
is "new groups are on nothing" ok "$(tcp "$CG/a")"
is "pins, generation, names and ULSPs are as before" "$before" "$(picture)"
sleep 0.5
is "the new ULSP has ended" "" "$(pgrep -P "$DAEMON")"

# two groups that come to match one cgroup: the first keeps it, said once
cat >"$TMP/both.ulsp" <<E2
group one { members cgroup "$ID/dup*" default deny errno EIO }
group two { members cgroup "$ID/*up" default deny errno ENOSPC }
E2
is "two patterns that match nothing yet load" 0 "$(ctl load "$TMP/both.ulsp" >/dev/null 2>&1; echo $?)"
mkdir "$CG/dup"
kept() { [ "$(tcp "$CG/dup")" = EIO ]; }
until_true 5 kept
mkdir "$CG/dup2"
sleep 0.3
is "a cgroup that both match is the first's" EIO "$(tcp "$CG/dup")"
is "which is logged once" 1 "$(grep -c 'belongs to group one already' "$TMP/ulspd.log")"
rmdir "$CG/dup2"
ctl group detach one "$ID/dup" >/dev/null
mkdir "$CG/dup3"
given() { [ "$(tcp "$CG/dup")" = ENOSPC ]; }
until_true 5 given
is "and is the other's when the first lets it go" ENOSPC "$(tcp "$CG/dup")"
out=$(ctl load "$TMP/both.ulsp" 2>&1)
is "a load that finds both matching is refused" 1 "$?"
like "with the place" 'both.ulsp:2:[0-9]+: error: .*dup.* group one' "$out"
rmdir "$CG/dup" "$CG/dup3"
ctl load "$TMP/policy.ulsp" >/dev/null

# killed while it loads: one policy or the other, and the next daemon knows which
sed 's/EHOSTUNREACH/ENETUNREACH/' "$TMP/policy.ulsp" >"$TMP/other.ulsp"
bad='' seen=''
for i in $(seq 12); do
	if ((i % 2)); then f=other; else f=policy; fi
	ctl load "$TMP/$f.ulsp" >/dev/null 2>&1 &
	L=$!
	sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
	stop_daemon KILL
	wait $L 2>/dev/null
	held=$(tcp "$CG/g")
	start_daemon
	now=$(tcp "$CG/g")
	known=$(ctl explain g connect tcp 127.0.0.1 8001 | grep -oE 'EHOSTUNREACH|ENETUNREACH' | head -1)
	links=$(find "/sys/fs/bpf/ulsp/$ID/link" -name connect4 | wc -l)
	generations=$(find "/sys/fs/bpf/ulsp/$ID/group/g" -mindepth 1 -maxdepth 1 | wc -l)
	seen="$seen $held"
	[[ $held == E*UNREACH && $now == "$known" && $links == 1 && $generations == 1 ]] ||
		bad="$bad; held $held, then $now, known as $known, $links links, $generations generations"
done
is "killed in the middle of 12 loads, nothing was ever open or mixed up" "" "$bad"
echo "# held:$seen"

# ulspctl run killed: nobody is left to clean up but the private instance itself
picture() { # without what other runs have
	find "$CG2/ulsp" /sys/fs/bpf 2>/dev/null | grep -E "/run-$R-|$ID" | sort
	ls "$ULSP_RUN_DIR"
}
R=0
before=$(picture)
ULSP_INSTANCE=none "$BIN/ulspctl" run -p "$TMP/policy.ulsp" -- bash -c 'echo $$ >"$0"; exec sleep 300' "$TMP/member" &
R=$!
until_true 10 test -s "$TMP/member"
like "a private instance has the number of its ulspctl" "/run-$R-" "$(picture)"
kill -9 $R
wait $R 2>/dev/null
as_before() { [ "$(picture)" = "$before" ]; }
until_true 10 as_before
is "ulspctl run killed leaves nothing" "$before" "$(picture)"
is "nor its program" "" "$(sed -n '/^State:.[^Z]/p' "/proc/$(cat "$TMP/member")/status" 2>/dev/null)"

# a part of the tree as the root, as a container has it
mkdir -p "$CG/sub/x"
echo 'group g { members cgroup "x" default deny errno EIO }' >"$TMP/sub.ulsp"
"$BIN/ulspd" -i "$ID-sub" --cgroup-root "$CG/sub" --policy "$TMP/sub.ulsp" --foreground --ephemeral 2>"$TMP/sub.log" &
S=$!
CHILDREN+=($S)
until_true 10 ctl -i "$ID-sub" version
sub() { [ "$(tcp "$CG/sub/x")" = EIO ]; }
until_true 10 sub
is "paths are relative to --cgroup-root" EIO "$(tcp "$CG/sub/x")"
is "what is outside can't be attached" 1 "$(ctl -i "$ID-sub" group attach g "$CG/a" >/dev/null 2>&1; echo $?)"
kill $S
wait $S
is "--ephemeral takes everything down" "0 ok" "$? $(tcp "$CG/sub/x")"
stop_daemon

# what may be missing
fails() { # NAME PATTERN
	local out
	out=$(timeout 10 "$BIN/ulspd" -i "$ID-none" --foreground 2>&1)
	is "$1: ulspd fails" 1 "$?"
	like "$1: and says so" "$2" "$out"
}
mount --bind /dev/null /sys/kernel/btf/vmlinux
fails "no BTF" 'BTF'
like "doctor says so" 'NO .* btf .*no kernel types' "$(ctl doctor)"
umount /sys/kernel/btf/vmlinux
head -c 100000 /sys/kernel/btf/vmlinux >"$TMP/btf"
mount --bind "$TMP/btf" /sys/kernel/btf/vmlinux
fails "BTF that can't be parsed" 'btf: .*no kernel types'
like "doctor says so too" 'NO .* btf .*no kernel types' "$(ctl doctor)"
umount /sys/kernel/btf/vmlinux
like "and yes with the kernel's own" 'yes .* btf ' "$(ctl doctor)"
umount -l "$CG2"
fails "no cgroup2" 'cgroup2.*mount'
is "doctor fails too" 1 "$(ctl doctor >/dev/null; echo $?)"
like "naming it" 'NO .*cgroup2' "$(ctl doctor)"
mount -t cgroup2 none "$CG2"
