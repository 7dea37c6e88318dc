#!/bin/bash
# Membership: globs followed as cgroups come and go, attach and detach by hand,
# nested groups, sockets from outside, audit and enforce.
. "$(dirname "$0")/lib.sh"
echo_server tcp 127.0.0.1 8001
echo_server tcp 127.0.0.1 8002
policy <<E2
group workers {
	members cgroup "$ID/w-*/job"
	deny connect tcp to any port 8002 errno EHOSTUNREACH
	default allow
}
group parent {
	members cgroup "$ID/p"
	deny connect tcp to any port 8001 errno ECONNREFUSED
	default allow
}
group child {
	members cgroup "$ID/p/c"
	allow connect tcp to any port 8001
	default deny errno EACCES
}
group empty {
	deny connect tcp to any port 8002 errno ENETUNREACH
	default allow
}
E2
start_daemon --policy "$TMP/policy.ulsp"
tcp() { local d=$1; shift; in_cgroup "$d" "$TRY" connect tcp 127.0.0.1 "$1"; }
attached() { [ "$(tcp "$1" 8002)" = "$2" ]; }

mkdir -p "$CG/w-1/job"
until_true 5 attached "$CG/w-1/job" EHOSTUNREACH
is "a cgroup that appears is attached" EHOSTUNREACH "$(tcp "$CG/w-1/job" 8002)"
mkdir -p "$CG/w-1/job/deep/er"
is "and everything below it" EHOSTUNREACH "$(tcp "$CG/w-1/job/deep/er" 8002)"
is "a cgroup that doesn't match is not" ok "$(mkdir -p "$CG/x-1/job"; sleep 0.3; tcp "$CG/x-1/job" 8002)"
rmdir "$CG/w-1/job/deep/er" "$CG/w-1/job/deep" "$CG/w-1/job" "$CG/w-1"
gone() { ! ctl group show workers -j | grep -q 'w-1/job'; }
until_true 5 gone
unlike "a cgroup that goes is dropped" 'w-1/job' "$(ctl group list -j)"
links() { find /sys/fs/bpf/ulsp/$ID/link/workers -name connect4 2>/dev/null | wc -l; }
unpinned() { [ "$(links)" = 0 ]; }
until_true 5 unpinned
is "and its links are unpinned" 0 "$(links)"
mkdir -p "$CG/w-1/job" "$CG/w-2/job"
until_true 5 attached "$CG/w-2/job" EHOSTUNREACH
is "the same name again" EHOSTUNREACH "$(tcp "$CG/w-1/job" 8002)"
is "and another" EHOSTUNREACH "$(tcp "$CG/w-2/job" 8002)"

mkdir -p "$CG/p"
until_true 5 attached "$CG/p" ok
sleep 0.3
mkdir -p "$CG/p/c"
denied_by_child() { [ "$(tcp "$CG/p/c" 8002)" = EACCES ]; }
until_true 5 denied_by_child
is "nested: the child's own denial" EACCES "$(tcp "$CG/p/c" 8002)"
is "nested: the child can't allow what the parent denies" ECONNREFUSED "$(tcp "$CG/p/c" 8001)"
is "nested: the parent's own rules" ok "$(tcp "$CG/p" 8002)"

mkdir "$CG/byhand"
is "attach by hand" 0 "$(ctl group attach empty "$ID/byhand" >/dev/null; echo $?)"
is "enforces" ENETUNREACH "$(tcp "$CG/byhand" 8002)"
like "is listed" "$ID/byhand" "$(ctl group show empty -j)"
load
is "and survives a reload" ENETUNREACH "$(tcp "$CG/byhand" 8002)"
is "detach by hand" 0 "$(ctl group detach empty "$ID/byhand" >/dev/null; echo $?)"
is "ends it" ok "$(tcp "$CG/byhand" 8002)"
is "detach of a member" 0 "$(ctl group detach workers "$ID/w-2/job" >/dev/null; echo $?)"
mkdir -p "$CG/w-3/job"
until_true 5 attached "$CG/w-3/job" EHOSTUNREACH
is "lasts when others come" ok "$(tcp "$CG/w-2/job" 8002)"
load
is "until a policy is loaded" EHOSTUNREACH "$(tcp "$CG/w-2/job" 8002)"
is "a cgroup that doesn't exist" 1 "$(ctl group attach empty "$ID/none" >/dev/null 2>&1; echo $?)"
is "a group that doesn't exist" 1 "$(ctl group attach nobody "$ID/byhand" >/dev/null 2>&1; echo $?)"

# a socket made before its process became a member
in_cgroup "$CG/x-1/job" python3 -c '
import socket, sys, time
s = socket.socket(); u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", 8001))
u.connect(("127.0.0.1", 8001))
import os
s.settimeout(20)
open(sys.argv[1], "w").write(str(os.getpid()))
try:
    print("reply" if s.recv(1) else "closed")
except OSError as e: print(e)
' "$TMP/up" >"$TMP/old" &
OLD=$!
CHILDREN+=($OLD)
until_true 5 test -s "$TMP/up"
mkdir "$CG/late"
cat "$TMP/up" >"$CG/late/cgroup.procs"
like "attach reports sockets from outside" '2 socket|sockets.*2|"existing": ?2|2 .*outside' "$(ctl group attach empty "$ID/late" 2>&1)"
ctl group detach empty "$ID/late" >/dev/null
is "attach --existing close" 0 "$(ctl group attach empty "$ID/late" --existing close >/dev/null 2>&1; echo $?)"
wait $OLD
like "closed the connection" 'abort|reset|closed' "$(cat "$TMP/old")"

text=$(ctl group show parent)
printf '%s\n' "$text" >"$TMP/shown.ulsp"
is "what show prints is checked without an error" 0 "$(ctl check "$TMP/shown.ulsp" >/dev/null 2>&1; echo $?)"
