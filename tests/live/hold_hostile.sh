#!/bin/bash
# A ULSP that writes its slots and its pipe to the daemon as it likes: what is
# no verdict is none, and no other ULSP and no other connection feels it.  And
# groups one within the other, each with its own ULSP.
. "$(dirname "$0")/lib.sh"

CLIENT=tests/live/hold_client.py
export PYTHONDONTWRITEBYTECODE=1
python3 $CLIENT serve "$TMP/heard" $(seq -f '127.0.0.1/%g' 7301 7309) $(seq -f '127.0.0.1/%g' 7400 7407) 127.0.0.1/7501 127.0.0.2/7400 127.0.0.3/7400 >"$TMP/heard.log" 2>&1 &
CHILDREN+=("$!")
until_true 20 grep -q ready "$TMP/heard" || bail "no listeners"
mkdir "$CG/o" "$CG/o/i"
answerer() { echo "exec \"$BUILD/tests/answerer\" $(printf '"%s" ' "$@") user nobody"; }
policy <<E2
ulsp liar { exec "$BUILD/tests/liar" user nobody }
ulsp flood { exec "$BUILD/tests/liar" "flood" user nobody }
ulsp garbage { exec "$BUILD/tests/liar" "garbage" user nobody }
ulsp honest { $(answerer 7501=allow@30) }
ulsp outer { $(answerer 7301=allow@300 7302=allow@300 7303=deny:101@300 7304=allow@100 7305=allow 7307=nothing 7308=allow@100) }
ulsp inner { $(answerer 7301=allow@100 7302=deny:111@100 7303=allow@100 7304=nothing 7306=allow 7307=allow@100 7308=allow@100) }
group g {
	members cgroup "$REL"
	ask liar connect tcp to any port 7400-7407 hold 900ms down deny errno EHOSTUNREACH
	ask flood connect tcp to 127.0.0.2 hold 900ms down deny errno EHOSTUNREACH
	ask garbage connect tcp to 127.0.0.3 hold 900ms down deny errno EHOSTUNREACH
	ask honest connect tcp to any port 7501 hold 20s
	default allow
}
group o {
	members cgroup "$ID/o"
	ask outer connect tcp to any port 7301-7304 hold 20s
	deny connect tcp to any port 7305 errno EACCES
	ask outer connect tcp to any port 7306 hold 20s
	ask outer connect tcp to any port 7307 hold 600ms down allow
	ask outer connect tcp to any port 7308 hold 20s
	default allow
}
group i {
	members cgroup "$ID/o/i"
	ask inner connect tcp to any port 7301-7303 hold 20s
	ask inner connect tcp to any port 7304 hold 600ms down deny errno ENETUNREACH
	deny connect tcp to any port 7306 errno EACCES
	ask inner connect tcp to any port 7307-7308 hold 20s
	default allow
}
E2
start_daemon
load
OUT=$TMP/out
of() { sed -n "s/^$1|//p" "$OUT"; }
gave() { # NAME EXPECTED LOW HIGH SAID
	local what ms
	read -r what ms <<<"$(of "$1")"
	[ "${ms:-0}" -ge "$3" ] && [ "${ms:-0}" -le "$4" ] && ms="in time"
	is "$5" "$2 in time" "$what $ms"
}
in_group python3 $CLIENT connect {0=127.0.0.1/7400,1=127.0.0.1/7401,2=127.0.0.1/7402,3=127.0.0.1/7403} \
	{4=127.0.0.1/7404,5=127.0.0.1/7405,6=127.0.0.1/7406,7=127.0.0.1/7407} >"$OUT" 2>&1 </dev/null
gave 0 ok 0 800 "a verdict written by hand counts"
gave 1 EHOSTUNREACH 880 1900 "one with another ticket does not"
gave 2 EHOSTUNREACH 880 1900 "nor what is no verdict"
gave 3 EHOSTUNREACH 880 1900 "nor what is no errno"
gave 4 EHOSTUNREACH 880 1900 "nor another policy's"
gave 5 EHOSTUNREACH 880 1900 "nor one in another slot"
gave 6 EHOSTUNREACH 10 850 "another address comes too late: the fail mode at once"
gave 7 ok 15 850 "the daemon finds what it is not told of"

# Both at it: the honest one's connections don't wait for them.
in_group python3 $CLIENT connect flood=127.0.0.2/7400 flood2=127.0.0.2/7401 garbage=127.0.0.3/7400 garbage2=127.0.0.3/7401 \
	h{1..30}=127.0.0.1/7501 >"$OUT" 2>&1 </dev/null
gave garbage2 EHOSTUNREACH 880 1900 "who spoils its pipe: what is no verdict is none"
bad=''
for n in $(seq 30); do
	read -r what ms <<<"$(of "h$n")"
	[ "$what" = ok ] && [ "$ms" -le 700 ] || bad="$bad $what:$ms"
done
is "the connections of an honest ULSP are all answered in time" "" "$bad"
like "who floods its pipe gets its own verdicts" '^ok ' "$(of flood)"
like "who spoils it too" '^ok ' "$(of garbage)"
in_group python3 $CLIENT series 127.0.0.1 7501 20 >"$OUT"
is "and one after the other" "20 ok" "$(awk '{ print $1 }' "$OUT" | sort | uniq -c | xargs)"
like "the daemon answers" "group g" "$(ctl stats)"
used() { awk '{ print $14 + $15 }' "/proc/$DAEMON/stat"; }
before=$(used)
sleep 1
after=$(used)
is "and has not more than half a processor's work with them" 1 "$((after - before < 50))"
echo "# $((after - before)) of 100 ticks"

# ---- one within the other ----
in_cgroup "$CG/o/i" python3 $CLIENT connect both=127.0.0.1/7301 inner=127.0.0.1/7302 outer=127.0.0.1/7303 late=127.0.0.1/7304 \
	deny=127.0.0.1/7305 first=127.0.0.1/7306 open=127.0.0.1/7307 once=127.0.0.1/7308 plain=127.0.0.1/7309 >"$OUT" 2>&1 </dev/null
gave both ok 290 1500 "both groups ask: when both have allowed"
gave inner ECONNREFUSED 95 290 "the inner denies"
gave outer ENETUNREACH 290 1500 "the outer denies"
gave late ENETUNREACH 590 1500 "the inner's ULSP says nothing: its fail mode"
gave deny EACCES 0 90 "a rule of the outer's denies"
gave first EACCES 0 90 "a rule of the inner's denies"
gave open ok 590 1500 "the outer's ULSP says nothing: its fail mode"
gave once ok 95 700 "both at the same time"
gave plain ok 0 90 "neither asks"
is "who is refused already is not asked about" 0 "$(grep -c 'outer: connect 127.0.0.1:7306' "$TMP/ulspd.log")"
is "nothing of it was heard" "" "$(grep -E ' 730[23456]\|' "$TMP/heard")"
in_cgroup "$CG/o" python3 $CLIENT connect alone=127.0.0.1/7301 >"$OUT" 2>&1 </dev/null
gave alone ok 290 1500 "the outer's own members have one question"
for ulsp in liar honest outer inner; do
	is "$ulsp: all slots are free" 0 "$(python3 $CLIENT taken "/sys/fs/bpf/ulsp/$ID/ulsp/$ulsp/waits")"
done
is "the daemon has nothing to say about it" "" "$(grep -E ' (warning|error): ' "$TMP/ulspd.log")"
