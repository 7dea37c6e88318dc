#!/bin/bash
# A kernel that has no BPF LSM: doctor says so, and what needs it is refused, or
# degraded where the group allows.  On a kernel that refuses its programs, and
# in a guest that hasn't bpf among its security modules.
. "$(dirname "$0")/lib.sh"

policy <<E2
group a {
	members cgroup "$REL"
	isolate signal
	default allow
}
E2
start_daemon
sleep 100 7>&- &
outsider=$!
CHILDREN+=("$outsider")
signals() { in_group bash -c "kill -0 $outsider && echo ok"; }

ctl doctor -j >"$TMP/rows"
is "doctor ends with 0" 0 $?
why=$(python3 -c "import json, sys
for row in json.load(open(sys.argv[1]))['capabilities']:
    if row['id'] == 'lsm' and not row['ok']: print(row['why'])" "$TMP/rows")
why=${why%%;*} # what needs it follows
if [ -n "${ULSP_VM:-}" ]; then
	unlike "bpf is not in the kernel's list" '(^|,)bpf(,|$)' "$(cat /sys/kernel/security/lsm)"
	is "doctor says no, with the reason" \
		"bpf is not in /sys/kernel/security/lsm: add it to lsm= on the kernel's command line" "$why"
elif [ -z "$why" ]; then
	skip everything "this kernel has BPF LSM"
	exit
else
	like "doctor's row for people has the reason too" '^no +lsm +lsm ' "$(ctl doctor)"
fi

out=$(ctl load "$TMP/policy.ulsp" 2>&1)
is "a policy that isolates is refused" 1 $?
is "at its place, with the reason and a way out" \
	"$TMP/policy.ulsp:3:2: error: isolate needs BPF LSM: $why ('degrade allow' in the group loads the rest)" \
	"$(head -1 <<<"$out")"
is "nothing is loaded" "" "$(ctl group list -j | grep -o '"name": *"a"')"

sed -i 's/default allow/degrade allow &/' "$TMP/policy.ulsp"
out=$(ctl load "$TMP/policy.ulsp" 2>&1)
is "with degrade allow it loads" 0 $?
like "with a warning at the same place" \
	"policy.ulsp:3:2: warning: isolate is not enforced: it needs BPF LSM" "$out"
is "which is true" ok "$(signals)"
is "what needs no BPF LSM is enforced" "ok EACCES" "$(sed -i 's/default allow/deny connect udp to any port 9 errno EACCES\n&/' "$TMP/policy.ulsp"
load; "$TRY" connect udp 127.0.0.1 9) $(in_group "$TRY" connect udp 127.0.0.1 9)"
