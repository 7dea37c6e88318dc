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
