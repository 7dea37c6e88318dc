#!/bin/bash
# What ulspctl answers when things are not as one thinks: a mode set by hand, a
# daemon that refuses, one that is gone, names that are nearly right.
. "$(dirname "$0")/lib.sh"
policy <<E2
ulsp logger { exec "ulsp-log" "--file" "/dev/null" user root }
group web {
	members cgroup "$REL"
	default deny
}
E2
P=$TMP/policy.ulsp
start_daemon --policy "$P"

# the load would end a mode that was set by hand
is "no change" "no change" "$(ctl diff "$P")"
ctl group mode web audit >/dev/null
out=$(ctl diff -e "$P")
is "a mode by hand is a change" 1 "$?"
like "and shown" '^- +mode audit \(set by hand\)' "$out"
sed 's/members/mode audit members/' "$P" >"$TMP/audit.ulsp"
is "what has the mode of its own changes nothing" "no change 0" "$(ctl diff -e "$TMP/audit.ulsp") $?"
like "run doesn't take a daemon's group that only records" 'EPERM' "$(ctl run -p "$P" -- "$TRY" connect udp 127.0.0.1 9)"
like "a load says what it ended" 'note: group web: mode enforce now; audit, set by hand, ended' "$(ctl load "$P" 2>&1)"
unlike "once" 'set by hand' "$(ctl load "$P" 2>&1; ctl doctor)"
is "and there is no change again" "no change" "$(ctl diff "$P")"

# version, of a daemon that doesn't answer as it should
is "version" 0 "$(ctl version >/dev/null; echo $?)"
mkdir "$ULSP_RUN_DIR/none"
python3 - "$ULSP_RUN_DIR/none/control" <<'E2' &
import socket, sys
l = socket.socket(socket.AF_UNIX); l.bind(sys.argv[1]); l.listen()
for _ in range(2):
    s, _ = l.accept(); s.recv(4096); s.send(b'{"ok":false,"error":"too many clients"}\n'); s.close()
E2
CHILDREN+=($!)
until_true 5 test -S "$ULSP_RUN_DIR/none/control"
out=$(ctl -i none version 2>&1)
is "a refusal fails" "1 ulspctl: too many clients" "$? $out"
out=$(ctl -i none version -j)
is "in JSON too" '1 {"ok":false,"error":"too many clients"}' "$? $out"
is "no daemon is an answer" 0 "$(ctl -i other version >/dev/null; echo $?)"

# names that are nearly right, mistakes in usage
like "a group's name" 'no group "wbe": did you mean "web"\?' "$(ctl group show wbe 2>&1)"
like "a ULSP's" 'no ulsp "loger": did you mean "logger"\?' "$(ctl ulsp show loger 2>&1)"
unlike "one that is far off" 'did you mean' "$(ctl group show database 2>&1)"
like "an option that is none, by command" '^ulspctl group list: unrecognized option' "$(ctl group list --nonsense 2>&1)"
is "a usage error in JSON is an object" 'give one GROUP' "$(ctl group show -j 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["error"])')"
mkfifo "$TMP/fifo.ulsp"
like "a policy that is a FIFO" 'not a regular file' "$(ctl check "$TMP/fifo.ulsp" 2>&1)"
like "values without braces" "stand in braces" "$(echo 'group g { allow connect tcp to any port 80, 443  default deny }' | ctl check - 2>&1)"
is "doctor without root is one line" 1 "$(setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$BIN/ulspctl" doctor 2>&1 | wc -l)"

# the end leaves nothing: with the daemon, and after one that was killed
left() { ls -d "$CG2/ulsp/$ID" "$ULSP_RUN_DIR/$ID" "/sys/fs/bpf/ulsp/$ID" 2>/dev/null; }
ctl run -g web -- true
mkdir "$CG2/ulsp/$ID/web/empty"
ctl shutdown >/dev/null
wait "$DAEMON"
DAEMON=
is "shutdown leaves nothing" "" "$(left)"
start_daemon --policy "$P"
ctl run -g web -- true
mkdir "$CG2/ulsp/$ID/web/empty"
stop_daemon KILL
until_true 5 test -z "$(cat "$CG2/ulsp/$ID/ulsp.d/logger/cgroup.procs")"
like "control: a killed daemon leaves what is enforced" "bpf/ulsp/$ID" "$(left)"
sleep 0.5
said="no ulspd runs for instance $ID; generation [1-9][0-9]* stays enforced"
like "group list says so" "$said" "$(ctl group list 2>&1)"
like "and doctor" "policy: $said" "$(ctl doctor)"
ctl shutdown >/dev/null
is "shutdown without a daemon leaves nothing either" "" "$(left)"
