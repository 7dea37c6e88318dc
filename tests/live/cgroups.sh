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

# paths that repeat the mount name the form that is meant
printf 'group g { members cgroup "%s"  default allow }\n' "$CG/root/g" >"$TMP/abs.ulsp"
for c in check load diff; do
	out=$(ctl $c "$TMP/abs.ulsp" 2>&1)
	is "$c refuses a path under the mount" 1 "$?"
	like "with its place and the form that is meant" "abs.ulsp:1:[0-9]+: error: .*relative to the cgroup2 root $CG/root: write \"g\"" "$out"
done
is "check without a root of its own too" 1 "$(ULSP_CGROUP_ROOT= ctl check "$TMP/abs.ulsp" 2>&1 | grep -c "error: .*root $CG2: write \"$ID/root/g\"")"
echo 'group g { members cgroup "/g"  default allow }' >"$TMP/slash.ulsp"
is "control: a leading slash is no mistake" 0 "$(ctl check "$TMP/slash.ulsp" >/dev/null 2>&1; echo $?)"

# what matches nothing is said for as long as it does
sed 's/cgroup "g"/cgroup "g", "later-*"/' "$TMP/policy.ulsp" >"$TMP/later.ulsp"
like "load notes it" 'later.ulsp:2:[0-9]+: note: group g: members "later-\*" matches no cgroup yet' "$(ctl load "$TMP/later.ulsp" 2>&1)"
noted() { grep -c 'matches no cgroup yet'; }
is "so do log, doctor and group list" "1 1 1" "$(noted <"$TMP/ulspd.log") $(ctl doctor | noted) $(ctl group list | noted)"
mkdir "$CG/root/later-1"
followed() { [[ $(attached) == *later-1* ]]; }
until_true 5 followed
is "no more when it does" "0 0" "$(ctl doctor | noted) $(ctl group list | noted)"

# more cgroups than are followed
sed 's/cgroup "g"/cgroup "many\/*"/' "$TMP/policy.ulsp" >"$TMP/many.ulsp"
mkdir "$CG/root/many" "$CG/root/many/first"
ctl load "$TMP/many.ulsp" >/dev/null 2>&1
mkdir $(seq -f "$CG/root/many/%g" 1100)
full() { [ "$(ctl group list -j | python3 -c 'import json, sys; print(json.load(sys.stdin)["groups"][0]["cgroups"])')" -ge 1024 ]; }
until_true 60 full
over='group g: 77 cgroups that match "many/\*" are not enforced'
like "doctor says what is not enforced" "$over" "$(ctl doctor)"
like "group list too" "$over" "$(ctl group list)"
like "and the log, by group" "group g: [0-9]+ cgroups that match" "$(cat "$TMP/ulspd.log")"
is "what was enforced stays so" EHOSTUNREACH "$(tcp "$CG/root/many/first")"
like "a load of more is refused, by group" 'group g: members match more than 1024' "$(ctl load "$TMP/many.ulsp" 2>&1)"
