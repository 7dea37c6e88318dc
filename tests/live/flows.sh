#!/bin/bash
# ulspctl flow: verdicts in ULSPs' caches, listed and flushed: what each scope shows, expiry,
# a reload that voids all, a ULSP that floods its cache, names that hold anything.
. "$(dirname "$0")/lib.sh"
chmod 755 "$TMP"
echo_server tcp 127.0.0.1 8001
echo_server tcp ::1 8001
echo_server tcp 127.0.0.1 8003
echo_server tcp 127.0.0.1 8004
cat >"$TMP/rules" <<'E2'
allow connect tcp 127.0.0.1 port 8001 for 10m
deny errno ECONNREFUSED connect tcp 127.0.0.1 port 8002 for 2h
allow connect tcp ::1 port any for 10m cover destination
allow connect tcp 127.0.0.1 port 8003 for 10m cover process-flow
allow connect tcp 127.0.0.1 port 8004 for 1s
allow connect udp any for 10m cover process
default deny
E2
# One that answers its first question with a hundred thousand verdicts.
policy <<E2
ulsp firewall { exec "ulsp-firewall" "--rules" "$TMP/rules" }
ulsp flooder { exec "$BUILD/tests/liar" "fill" }
group g {
	members cgroup "$REL"
	ask firewall connect tcp to any port 8001-8004 errno EAGAIN cache 1d
	ask firewall connect udp to any port 9 errno EAGAIN cache 1d
	ask flooder connect tcp to any port 8005 errno EIO cache 1d
	default deny
}
group h {
	members cgroup "$ID/h"
	ask firewall connect tcp to any port 8001 errno EAGAIN cache 1d
	default deny
}
E2
mkdir "$CG/h"
start_daemon --policy "$TMP/policy.ulsp"
tcp() { in_group "$TRY" connect tcp "$@"; }
in_h() { in_cgroup "$CG/h" "$TRY" connect tcp 127.0.0.1 8001; }
running() { [ "$(ctl ulsp list -j | grep -o '"running"' | wc -l)" = "$1" ]; }
until_true 10 running 2
answered() { [ "$(tcp "$1" "$2")" != EAGAIN ]; }
h_answered() { [ "$(in_h)" = ok ]; }
# flows EXPRESSION [ARGS...]: what it yields for the listing `o`, whose flows are `f`
flows() {
	local what=$1
	shift
	ctl flow list -j "$@" | python3 -c '
import json, sys
o = json.load(sys.stdin)
f = o["flows"]
got = eval(sys.argv[1])
print(*(got if isinstance(got, (list, tuple)) else [got]))' "$what" 2>&1
}
n_flows() { flows 'len(f)' "$@"; }

# ---- the listing ----
is "no verdict yet" "0 False 1" "$(flows 'len(f), o["truncated"], o["generation"]')"
is "and none flushed" "flushed 0 verdicts" "$(ctl flow flush)"
tcp 127.0.0.1 8001 >/dev/null
until_true 3 answered 127.0.0.1 8001
is "a verdict for a flow" \
	"addr=127.0.0.1 errno=None group=g op=connect pid=None port=8001 proto=tcp rule=$TMP/policy.ulsp:5 scope=flow ulsp=firewall verdict=allow void=None" \
	"$(flows '["%s=%s" % (k, f[0][k]) for k in sorted(f[0]) if k != "left_ms"]')"
is "is one" 1 "$(n_flows)"
is "with the time that is left" True "$(flows '540000 < f[0]["left_ms"] <= 600000')"
like "a line of it" \
	"^g +firewall +flow +connect +tcp +127.0.0.1 +8001 +any +allow +9m[0-9]{2}s +$TMP/policy.ulsp:5\$" "$(ctl flow list)"
tcp 127.0.0.1 8002 >/dev/null
until_true 3 answered 127.0.0.1 8002
like "a denial has its errno" ' 8002 +any +deny ECONNREFUSED +1h59m ' "$(ctl flow list)"
tcp ::1 8001 >/dev/null
until_true 3 answered ::1 8001
like "a destination has every port" '^g +firewall +destination +connect +tcp +::1 +any +any +allow' "$(ctl flow list)"

# a process that connects by itself and stays
stay() {
	# shellcheck disable=SC2016
	in_cgroup "$CG/g" bash -c 'echo $$ >"$2"; exec 3<>"/dev/$0/127.0.0.1/$1"; exec sleep 60' "$1" "$2" "$TMP/pid.$2" 2>/dev/null &
	CHILDREN+=("$!")
	until_true 5 test -s "$TMP/pid.$2"
	PID=$(cat "$TMP/pid.$2")
}
given() { ctl flow list | grep -qE "$1"; }
stay udp 9
p1=$PID
until_true 5 given " process +connect"
like "a process has every address" "^g +firewall +process +connect +any +any +any +$p1 +allow .*policy.ulsp:6\$" "$(ctl flow list)"
stay tcp 8003
p2=$PID
until_true 5 given " process-flow "
like "the flow of a process" "^g +firewall +process-flow +connect +tcp +127.0.0.1 +8003 +$p2 +allow" "$(ctl flow list)"
is "in JSON too" "$p1 $p2" "$(flows '[x["pid"] for s in ("process", "process-flow") for x in f if x["scope"] == s]')"
kill -9 "$p2"
until_true 5 test ! -d "/proc/$p2"
like "a process that ended has no number" '^g +firewall +process-flow +connect +tcp +127.0.0.1 +8003 +ended +allow' "$(ctl flow list)"
like "control: the other has" "^g +firewall +process +connect +any +any +any +$p1 +allow" "$(ctl flow list)"
is "nor in JSON" None "$(flows '[x["pid"] for x in f if x["scope"] == "process-flow"]')"

# one that expires
tcp 127.0.0.1 8004 >/dev/null
until_true 3 answered 127.0.0.1 8004
like "a short verdict" ' 8004 +any +allow +[0-9]{1,3}ms ' "$(ctl flow list)"
sleep 1.1
unlike "is not listed when it has expired" ' 8004 ' "$(ctl flow list)"
like "but with --all, and why" ' 8004 +any +allow +0ms +.*policy.ulsp:5 +expired$' "$(ctl flow list --all)"
is "in JSON too" expired "$(flows '[x["void"] for x in f if x["port"] == 8004]' -a)"
is "those in force are there as well" "$(n_flows)" "$(flows 'len([x for x in f if x["void"] is None])' -a)"

# of one group, of one ULSP, some
in_h >/dev/null
until_true 3 h_answered
all=$(n_flows)
is "control: five of one group, one of the other" 6 "$all"
is "of a group" "1 h" "$(flows 'len(f), f[0]["group"]' -g h)"
is "of the other" $((all - 1)) "$(n_flows -g g)"
is "of a ULSP" "$all 0" "$(n_flows -u firewall) $(n_flows -u flooder)"
is "of both" 1 "$(n_flows --ulsp firewall --group h)"
is "some" "2 True" "$(flows 'len(f), o["truncated"]' -n 2)"
is "as many as there are" "$all False" "$(flows 'len(f), o["truncated"]' -n "$all")"
like "it says that there are more" '^truncated: there are more than 2$' "$(ctl flow list -n 2)"
like "no such group" 'no group "gg"' "$(ctl flow list -g gg 2>&1)"
like "no such ULSP" 'no ulsp "firewal": did you mean "firewall"\?' "$(ctl flow flush -u firewal 2>&1)"
is "a count that is none" 2 "$(ctl flow list -n 0 >/dev/null 2>&1; echo $?)"
is "an argument" "2 2" "$(ctl flow list g >/dev/null 2>&1; echo $?) $(ctl flow flush g >/dev/null 2>&1; echo $?)"
ask() {
	timeout 5 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
print(s.recv(65536).decode())' "$ULSP_RUN_DIR/$ID/control" "$1"
}
like "a place that is none" 'no such place' "$(ask '{"v":1,"cmd":"flow-list","after":-1}')"
like "nor that" 'no such place' "$(ask '{"v":1,"cmd":"flow-flush","after":137438953472}')"
like "one behind the last bucket is the end" '^\{"ok":true,"flows":\[\],"generation":1(,"next":[0-9]+)?\}$' "$(ask '{"v":1,"cmd":"flow-list","after":8589934591}')"

# ---- flush ----
setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$BIN/ulspctl" flow flush >"$TMP/out" 2>&1
is "another user can't" 1 "$?"
is "and nothing is gone" "$all" "$(n_flows)"
is "control: answered from the cache" ok "$(tcp 127.0.0.1 8001)"
is "a group is flushed" "flushed 1 verdict" "$(ctl flow flush -g h)"
is "its next operation asks again" EAGAIN "$(in_h)"
is "the other's doesn't" ok "$(tcp 127.0.0.1 8001)"
until_true 3 h_answered
is "a ULSP without any" '{"ok":true,"flushed":0,"void":0}' "$(ctl flow flush -u flooder -j)"
is "still answered" ok "$(tcp 127.0.0.1 8001)"
is "a flush takes all, void ones too" "flushed $all verdicts, and 1 void" "$(ctl flow flush -u firewall)"
is "nothing is left" 0 "$(n_flows -a)"
is "the next operation asks" EAGAIN "$(tcp 127.0.0.1 8001)"
until_true 3 answered 127.0.0.1 8001
is "and is answered" ok "$(tcp 127.0.0.1 8001)"

# ---- a reload voids all ----
tcp 127.0.0.1 8002 >/dev/null
until_true 3 answered 127.0.0.1 8002
in_h >/dev/null
until_true 3 h_answered
is "verdicts of two groups" 3 "$(n_flows)"
load
is "after a load none is in force" "0 2" "$(flows 'len(f), o["generation"]')"
is "and the load is why" "generation generation generation" "$(flows '[x["void"] for x in f]' -a)"
is "an operation asks again" EAGAIN "$(tcp 127.0.0.1 8002)"
until_true 3 answered 127.0.0.1 8002
is "and the new verdict counts" "1 2" "$(n_flows) $(flows 'len([x for x in f if x["void"] == "generation"])' -a)"
cp "$TMP/policy.ulsp" "$TMP/two.ulsp"
sed -i '/^group h/,$d' "$TMP/policy.ulsp"
load
is "a group that went is no group's" no-group "$(flows '[x["void"] for x in f if x["group"] is None]' -a)"
is "a flush says what was void" "flushed 0 verdicts, and 3 void" "$(ctl flow flush)"
cp "$TMP/two.ulsp" "$TMP/policy.ulsp"
load

# ---- one that floods ----
tcp 127.0.0.1 8001 >/dev/null
until_true 3 answered 127.0.0.1 8001
before=$(flows '["%s %s" % (x["ulsp"], x["port"]) for x in f]')
is "control: one verdict before the flood" "firewall 8001" "$before"
is "the flooder is asked" EIO "$(tcp 127.0.0.1 8005)"
flooded() { grep -q 'flooder: filled' "$TMP/ulspd.log"; }
until_true 30 flooded
is "it has flooded" 0 "$(flooded; echo $?)"
n=$(n_flows -u flooder)
is "its cache is bounded, and well filled ($n)" True "$(python3 -c "print(40000 < $n <= 65536)")"
is "the other's verdict is there" "$before" "$(flows '["%s %s" % (x["ulsp"], x["port"]) for x in f]' -u firewall)"
is "and decides" ok "$(tcp 127.0.0.1 8001)"
is "each is listed once" "$n" "$(flows 'len({(x["addr"], x["port"]) for x in f})' -u flooder)"
is "a flush of all of it says how many" "flushed $n verdicts" "$(ctl flow flush -u flooder)"
is "and the other's is there still" "$before" "$(flows '["%s %s" % (x["ulsp"], x["port"]) for x in f]')"

# ---- a file name may hold anything ----
odd=$TMP/$(printf 'p \033[31m"\n\t.ulsp')
cp "$TMP/policy.ulsp" "$odd"
ctl load "$odd" >"$TMP/load.out" 2>&1 || bail "load failed: $(cat "$TMP/load.out")"
tcp 127.0.0.1 8001 >/dev/null
until_true 3 answered 127.0.0.1 8001
is "JSON has it as it is" True "$(flows 'f[0]["rule"].endswith("/p \x1b[31m\"\n\t.ulsp:5")')"
like "text without control characters" '^g +firewall +flow +.*/p \?\[31m"\?\?\.ulsp:5$' "$(ctl flow list)"
is "not one" 0 "$(ctl flow list | grep -cP '[\x00-\x08\x0b-\x1f\x7f]')"
is "as a name it is none" 1 "$(ctl flow flush -g $'g\n\x1b[31m' >/dev/null 2>&1; echo $?)"
is "so nothing was flushed" 1 "$(n_flows)"
