#!/bin/bash
# Which cgroups a group may have and which it has: never the root, paths as the
# policy means them, and what is not enforced is said.  The daemon's root is a
# throw-away cgroup, so that nothing here reaches the real one.
. "$(dirname "$0")/lib.sh"
mkdir -p "$CG/root/g"
export ULSP_CGROUP_ROOT=$CG/root
policy <<'E2'
group g {
	members cgroup "g"
	deny connect tcp to any port 9 errno EHOSTUNREACH
	default allow
}
E2
start_daemon --policy "$TMP/policy.ulsp"
tcp() { in_cgroup "$1" "$TRY" connect tcp 127.0.0.1 9; }
attached() { ctl group show g -j | python3 -c 'import json, sys; print(*[c["path"] for c in json.load(sys.stdin)["cgroups"]])'; }

# the root: by the client's own look, and past it by the daemon's
for c in "" / // . ./ /. "$CG/root" "$CG/root/" "$CG/root/."; do
	out=$(ctl group attach g "$c" 2>&1)
	is "\"${c#"$CG"}\" can't be attached" 1 "$?"
	like "which is said" "the root cgroup can't be a member: name a cgroup below it" "$out"
done
ask() { python3 - "$ULSP_RUN_DIR/$ID/control" "$1" <<'E2'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(sys.argv[2].encode() + b"\n")
print(s.makefile().readline())
E2
}
for c in "" / ./.; do
	like "the daemon refuses \"$c\" itself" "\"ok\": *false.*root cgroup can't be a member" \
		"$(ask "{\"v\":1,\"cmd\":\"group-attach\",\"group\":\"g\",\"cgroup\":\"$c\"}")"
done
is "nothing was attached" g "$(attached)"
is "control: another cgroup is not refused" 0 "$(mkdir "$CG/root/x"; ctl group attach g x >/dev/null; echo $?)"
is "and is enforced" EHOSTUNREACH "$(tcp "$CG/root/x")"
