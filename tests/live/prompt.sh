#!/bin/bash
# Questions to people: what ulsp-firewall's rules leave open goes to prompts on
# its socket, what they answer decides, for as long and as much as they say.
#
# HOLD is the policy's: "" asks about a first try that fails, and its retry finds
# the answer; "hold 5s" lets the try wait for it.
. "$(dirname "$0")/lib.sh"
HOLD=${HOLD:-}
for p in 8001 8002 8003 8004 8005; do echo_server tcp :: $p; done
chmod 755 "$TMP"
install -d -o nobody "$TMP/kept"
cp "$TRY" "$TMP/other"
cat >"$TMP/rules" <<'E2'
allow connect tcp 127.0.0.1 port 8005 for 1s
default connect ask else deny errno EHOSTUNREACH
default deny
E2
policy <<E2
ulsp firewall {
	exec "ulsp-firewall" "--rules" "$TMP/rules" "--decisions" "$TMP/kept/decisions" "--prompt-time" "4s"
		"--user" "nobody" "--prompt-group" "daemon"
	user root
}
group g {
	members cgroup "$REL"
	ask firewall connect tcp to any port 8001-8005 errno EAGAIN $HOLD cache 1m
	default deny
}
E2
start_daemon --policy "$TMP/policy.ulsp"
tcp() { in_group "$TRY" connect tcp "$@"; }
running() { ctl ulsp list -j | grep -q '"running"'; }
until_true 10 running
SOCKET=$ULSP_RUN_DIR/$ID/ulsp/firewall/prompt
firewall_pid() { ctl ulsp list -j | python3 -c 'import json, sys; print([u["pid"] for u in json.load(sys.stdin)["ulsps"] if u["name"] == "firewall"][0])'; }
until_true 5 test -S "$SOCKET"

# prompt NAME [ARGS...]: in the background; say NAME LINE; said NAME PATTERN
declare -A SAY
prompt() {
	local name=$1 fd
	shift
	mkfifo "$TMP/$name.in"
	"$BIN/ulsp-firewall" --prompt "$@" <"$TMP/$name.in" >"$TMP/$name.out" 2>&1 &
	CHILDREN+=("$!")
	SAY[$name.pid]=$!
	exec {fd}>"$TMP/$name.in"
	SAY[$name]=$fd
	until_true 5 grep -q 'connected\|hello\|refused' "$TMP/$name.out"
}
say() { echo "$2" >&"${SAY[$1]}"; }
said() { until_true 6 grep -qE -- "$2" "$TMP/$1.out"; }
# asks NAME WHAT: the number of the last question about it, in $Q
asks() {
	said "$1" "^\[[0-9]+\] $2"
	Q=$(grep -E "^\[[0-9]+\] $2" "$TMP/$1.out" | tail -1 | sed 's/^\[\([0-9]*\).*/\1/')
}
end_prompt() {
	eval "exec ${SAY[$1]}>&-"
	kill "${SAY[$1.pid]}" 2>/dev/null
	wait "${SAY[$1.pid]}" 2>/dev/null
	rm -f "$TMP/$1.in"
}
# asked PORT: one process tries until it is decided; got: what that is, in $GOT
asked() {
	in_group "${WHO:-$TRY}" -n "${TRIES:-150}" -r 40 connect tcp 127.0.0.1 "$1" >"$TMP/got" 2>&1 &
	TRYING=$!
}
got() { wait "$TRYING"; GOT=$(cat "$TMP/got"); }

# nobody to ask
is "the socket is the firewall's user's" nobody "$(stat -c %U "$SOCKET")"
is "the firewall runs as that user" "$(id -u nobody)" "$(awk '/^Uid:/ { print $2 }' "/proc/$(firewall_pid)/status")"
is "with the right to see executables only" "0000000000080000" "$(awk '/^CapEff:/ { print $2 }' "/proc/$(firewall_pid)/status")"
decided() { [ "$(tcp 127.0.0.1 "$1")" != EAGAIN ]; }
asked 8001
got
is "nobody is asked: what holds otherwise, at once" EHOSTUNREACH "$GOT"
sleep 1.2

# one prompt
prompt a
like "a prompt says whom it is connected to" '^connected to firewall$' "$(cat "$TMP/a.out")"
asked 8001
said a '^\[1\]'
out=$(cat "$TMP/a.out")
like "the question names the executable and the destination" "^\[1\] $TRY: connect tcp 127.0.0.1 port 8001$" "$out"
like "process, user, group, cgroup" "^    process [0-9]+ \(try\), user root \(0\), group g, cgroup $REL$" "$out"
if [ -n "$HOLD" ]; then
	like "it is held" '^    held for [34]\.[0-9] s, then deny$' "$out"
else
	like "it is not held" '^    not held, the answer is for a retry; asked for 3\.[0-9] s, then deny$' "$out"
fi
say a "allow process"
got
is "allowed for this process: ok" ok "$GOT"
said a 'allow process for 127.0.0.1 port 8001'
asked 8001
said a '^\[2\]'
is "another process is asked about" 1 "$(grep -c '^\[2\].*port 8001$' "$TMP/a.out")"
say a "deny"
got
is "denied once: the errno of the rule" EHOSTUNREACH "$GOT"

# an executable, another, until a restart
say a "nonsense"
asked 8002
said a '^\[3\]'
said a '^type: '
like "a line that is none is answered by how" '^type: .*allow.deny' "$(cat "$TMP/a.out")"
say a "3 allow restart any"
got
is "any destination of the executable, until a restart" ok "$GOT"
asked 8003
got
is "its next process and port: not asked" ok "$GOT"
WHO=$TMP/other asked 8003
asks a "$TMP/other: connect tcp 127.0.0.1 port 8003"
like "another executable is" "^\[[0-9]+\] $TMP/other: connect tcp 127.0.0.1 port 8003" "$(cat "$TMP/a.out")"

# two prompts: both see, the first answer wins
prompt b
said b "^\[$Q\]"
is "a prompt that comes later sees what is asked" 1 "$(grep -c "^\[$Q\]" "$TMP/b.out")"
say b "$Q deny forever"
got
is "its answer decides" EHOSTUNREACH "$GOT"
said a "^\[$Q\] answered by another"
like "the other is told" "^\[$Q\] answered by another" "$(cat "$TMP/a.out")"
say a "$Q allow"
WHO=$TMP/other asked 8003
got
is "forever: not asked again" EHOSTUNREACH "$GOT"
is "the decision is a line of a rule file" "deny errno EHOSTUNREACH connect tcp 127.0.0.1 port 8003 exe \"$TMP/other\" uid 0 group \"g\"" "$(grep -v '^#' "$TMP/kept/decisions")"
is "that is right" 0 "$("$BIN/ulsp-firewall" --check "$TMP/kept/decisions" >/dev/null 2>&1; echo $?)"
like "and says who" '^# 20[0-9-]+T.*Z by uid 0$' "$(cat "$TMP/kept/decisions")"
like "the log has it" 'ulsp-firewall: uid 0 answers deny forever for port \(executable .*/other\): .*127.0.0.1:8003' "$(cat "$TMP/ulspd.log")"
end_prompt b

# one try only
TRIES=1 WHO=$TMP/other asked 8001
if [ -n "$HOLD" ]; then
	asks a "$TMP/other: connect tcp 127.0.0.1 port 8001"
	say a "$Q allow"
	got
	is "held, the first try has the answer" ok "$GOT"
else
	got
	is "not held, the first try has the policy's errno" EAGAIN "$GOT"
fi

# late
WHO=$TMP/other TRIES=20 asked 8004
asks a "$TMP/other: connect tcp 127.0.0.1 port 8004"
got
said a "^\[$Q\] too late"
like "a question that nobody answers goes" "^\[$Q\] too late" "$(cat "$TMP/a.out")"

# names that would do something to a terminal
evil=$TMP/$(printf 'e\033[31mx\nvil')
cp "$TRY" "$evil"
WHO=$evil asked 8004
asks a '.*vil: connect'
like "are shown escaped" "^\[$Q\] $TMP/e\\\\x1b\[31mx\\\\x0avil: connect" "$(cat "$TMP/a.out")"
is "no escape reaches the terminal" 0 "$(grep -c $'\033' "$TMP/a.out")"
say a "allow forever"
got
is "its answer decides too" ok "$GOT"
said a 'not saved'
like "what no line can say is not saved, and said" "^\[$Q\] not saved, it holds until a restart: no rule can say it" "$(cat "$TMP/a.out")"

# JSON
end_prompt a
prompt j --json
WHO=$TMP/other asked 8002
said j '"question":[0-9]+.*"port":8002'
Q=$(sed -n 's/^{"question":\([0-9]*\).*/\1/p' "$TMP/j.out" | tail -1)
is "a line is an object" "connect 8002 $TMP/other" "$(grep "\"question\":$Q," "$TMP/j.out" | head -1 | python3 -c 'import json, sys; q = json.loads(sys.stdin.read()); print(q["operation"], q["port"], q["exe"])')"
say j '{"v":1,"answer":'"$Q"',"verdict":"allow","duration":"10m","scope":"address"}'
got
is "and an answer too" ok "$GOT"
said j "\"result\":$Q,\"ok\":true"
WHO=$TMP/other asked 8001
got
is "for the address: every port, for ten minutes" ok "$GOT"
end_prompt j

# who may not
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "$BIN/ulsp-firewall" --prompt --socket "$SOCKET" </dev/null 2>&1; }
like "others are refused" '^refused: only root' "$(timeout 5 setpriv --reuid games --regid games --clear-groups "$BIN/ulsp-firewall" --prompt --socket "$SOCKET" <&7 2>&1)"
like "the firewall's own user too" '^refused: only root' "$(timeout 5 setpriv --reuid nobody --regid nogroup --clear-groups "$BIN/ulsp-firewall" --prompt --socket "$SOCKET" <&7 2>&1)"
like "control: who is of the group is not" '^connected to' "$(timeout 2 setpriv --reuid games --regid games --groups daemon "$BIN/ulsp-firewall" --prompt --socket "$SOCKET" <&7 2>&1)"

# a stream of nonsense ends that client, and nothing else
head -c 100000 /dev/urandom | timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try:
    s.sendall(sys.stdin.buffer.read())
except OSError: pass
' "$SOCKET"
pid=$(firewall_pid)
like "it lives" '^[0-9]+$' "$pid"

# restart: what is for ever is, what was until then is not
ctl ulsp restart firewall >/dev/null
restarted() { [ "$(firewall_pid)" != "$pid" ] && test -S "$SOCKET"; }
until_true 10 restarted
prompt c
load # voids the kernel's cache
WHO=$TMP/other asked 8003
got
is "for ever holds after a restart" EHOSTUNREACH "$GOT"
asked 8003
said c '^\[1\]'
like "until a restart does not" "^\[1\] $TRY: connect tcp 127.0.0.1 port 8003" "$(cat "$TMP/c.out")"
say c "allow"
got
is "and is decided anew" ok "$GOT"

# decisions that are wrong keep those from before
echo 'allow nonsense' >>"$TMP/kept/decisions"
kill -HUP "$(firewall_pid)"
until_true 5 grep -q 'decisions from before' "$TMP/ulspd.log"
like "wrong decisions: where" 'kept/decisions:3:7: error: expected an operation' "$(cat "$TMP/ulspd.log")"
load
WHO=$TMP/other asked 8003
got
is "those from before stay" EHOSTUNREACH "$GOT"
end_prompt c
is "an input that has ended ends it, also without a question" 0 "$(timeout 5 "$BIN/ulsp-firewall" --prompt --socket "$SOCKET" </dev/null >/dev/null 2>&1; echo $?)"
stop_daemon
is "the directory goes with the firewall" 1 "$(test -e "$ULSP_RUN_DIR/$ID/ulsp"; echo $?)"
