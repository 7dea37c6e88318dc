#!/bin/bash
# Operations that wait for a ULSP's verdict: when it comes, what the caller
# gets, and what becomes of those that nobody answers.
. "$(dirname "$0")/lib.sh"

ANSWERER=$BUILD/tests/answerer
echo_server tcp 127.0.0.1 7001
echo_server tcp ::1 7001
echo_server udp 127.0.0.1 7001
answers=(7001=allow@30 7002=deny:111@30 7003=deny:113@30 7004=deny:101@30 7005=deny:13@30
	7006=nothing 7007=allow 7008=deny:111 7009=to:127.0.0.1:7001 7010=twice 7011=allow@3000
	7030=allow@30 7031=deny:111@30 7032=nothing)
policy <<E2
ulsp oracle { exec "$ANSWERER" $(printf '"%s" ' "${answers[@]}") user nobody }
group g {
	members cgroup "$REL"
	ask oracle connect tcp to any port 7001-7005 hold 5s
	ask oracle connect tcp to any port 7006 hold 300ms down deny errno EACCES
	ask oracle connect tcp to any port 7011 hold 300ms down allow
	ask oracle connect tcp to any port 7007-7010 hold 5s
	ask oracle connect udp to any port 7001-7010 hold 5s down deny errno EACCES
	ask oracle sendto udp to any hold 5s down deny errno EACCES
	ask oracle bind tcp port 7001-7010 hold 5s errno EACCES
	ask oracle accept tcp port 7030-7031 hold 5s
	ask oracle accept tcp port 7032 hold 300ms down deny
	default allow
}
E2
start_daemon
load

# how ADDR PORT [nonblocking]: what connect(2) gives, and after how many ms
cat >"$TMP/how.py" <<'E2'
import socket, sys, errno, time, select
addr, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET, socket.SOCK_STREAM)
def name(e): return errno.errorcode[e] if e else 'ok'
t = time.monotonic()
if len(sys.argv) > 3:
    s.setblocking(False)
    first = name(s.connect_ex((addr, port)))
    second = name(s.connect_ex((addr, port)))
    p = select.poll(); p.register(s, select.POLLOUT)
    ready = p.poll(8000)
    if sys.argv[3] == 'again':
        print(first, second, name(s.connect_ex((addr, port))), end=' ')
        sys.exit(print(int((time.monotonic() - t) * 1000)))
    error = name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    print(first, second, error, end=' ')
else:
    s.settimeout(None)
    print(name(s.connect_ex((addr, port))), end=' ')
print(int((time.monotonic() - t) * 1000))
E2
how() { in_group python3 "$TMP/how.py" "$@"; }
errno_of() { sed 's/ [0-9]*$//' <<<"$1"; }
within() { # NAME LOW HIGH "... MS"
	local ms=${4##* }
	if [ "$ms" -ge "$2" ] && [ "$ms" -le "$3" ]; then is "$1" in in; else is "$1" "$2..$3 ms" "$ms ms"; fi
}

out=$(how 127.0.0.1 7001)
is "a held connection is let through" ok "$(errno_of "$out")"
within "when the verdict is there, not at the kernel's own next SYN" 25 900 "$out"
out=$(how ::1 7001)
is "IPv6" ok "$(errno_of "$out")"
within "as soon" 25 900 "$out"
out=$(how 127.0.0.1 7002)
is "a held denial: ECONNREFUSED by a reset" ECONNREFUSED "$(errno_of "$out")"
within "at once" 25 900 "$out"
is "IPv6" ECONNREFUSED "$(errno_of "$(how ::1 7002)")"
is "EHOSTUNREACH by ICMP" EHOSTUNREACH "$(errno_of "$(how 127.0.0.1 7003)")"
is "IPv6" EHOSTUNREACH "$(errno_of "$(how ::1 7003)")"
is "ENETUNREACH by ICMP" ENETUNREACH "$(errno_of "$(how 127.0.0.1 7004)")"
is "IPv6" ENETUNREACH "$(errno_of "$(how ::1 7004)")"
is "any other is EHOSTUNREACH" EHOSTUNREACH "$(errno_of "$(how 127.0.0.1 7005)")"
is "IPv6 has EACCES" EACCES "$(errno_of "$(how ::1 7005)")"
is "without blocking" "EINPROGRESS EALREADY ok" "$(errno_of "$(how 127.0.0.1 7001 n)")"
is "refused without blocking" "EINPROGRESS EALREADY ECONNREFUSED" "$(errno_of "$(how 127.0.0.1 7002 n)")"
is "any errno without blocking" "EINPROGRESS EALREADY EACCES" "$(errno_of "$(how 127.0.0.1 7005 n)")"
is "a second connect(2) has what a blocking one has: let through" "EINPROGRESS EALREADY ok" "$(errno_of "$(how 127.0.0.1 7001 again)")"
is "a reset" "EINPROGRESS EALREADY ECONNREFUSED" "$(errno_of "$(how 127.0.0.1 7002 again)")"
is "another errno" "EINPROGRESS EALREADY EHOSTUNREACH" "$(errno_of "$(how 127.0.0.1 7005 again)")"
is "IPv6" "EINPROGRESS EALREADY EACCES" "$(errno_of "$(how ::1 7005 again)")"
out=$(how 127.0.0.1 7006)
is "nobody answers: the fail mode" EHOSTUNREACH "$(errno_of "$out")"
within "at the deadline" 290 950 "$out"
is "answered at once" ECONNREFUSED "$(errno_of "$(how 127.0.0.1 7007)")" # nobody listens there
is "denied at once, however it is asked" ECONNREFUSED "$(errno_of "$(how 127.0.0.1 7008)")"
is "an outsider is not asked about" ECONNREFUSED "$(errno_of "$(python3 "$TMP/how.py" 127.0.0.1 7005)")"

# ---- other operations: within the call, or by restarting it ----

cat >"$TMP/udp.py" <<'E2'
import socket, sys, errno, time
op, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
n = int(sys.argv[4]) if len(sys.argv) > 4 else 1
def name(e): return errno.errorcode.get(e, str(e)) if e else 'ok'
said = {}
for i in range(n):
    kind = socket.SOCK_STREAM if op == 'bindtcp' else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET, kind)
    try:
        if op == 'connect': s.connect((addr, port))
        elif op == 'sendto': s.sendto(b'x', (addr, port))
        else: s.bind((addr, port))
        if op == 'connect': word = 'ok %d' % s.getpeername()[1]
        else: word = 'ok'
    except OSError as e: word = name(e.errno)
    s.close()
    said[word] = said.get(word, 0) + 1
print(' '.join('%s:%d' % (w, c) for w, c in sorted(said.items())))
E2
udp() { in_group python3 "$TMP/udp.py" "$@"; }
# mostly NAME WORD "WORD:N EACCES:N": the call waits for 5 ms at most, then the fail mode decides
mostly() {
	local n
	n=$(tr ' ' '\n' <<<"${3//ok /ok_}" | sed -n "s/^${2/ /_}://p")
	if [ "${n:-0}" -ge 10 ]; then is "$1" "" "$(sed -E 's/(ok_?[0-9 ]*|ECONNREFUSED|EACCES):[0-9]+ ?//g' <<<"$3")"
	else is "$1" "$2:20" "$3"; fi
}
if [ "$(printf '%s\n' 6.18 "$(uname -r)" | sort -V | head -1)" = 6.18 ]; then
	mostly "UDP connect, allowed" "ok 7007" "$(udp connect 127.0.0.1 7007 20)"
	mostly "UDP connect, denied with the ULSP's errno" ECONNREFUSED "$(udp connect 127.0.0.1 7008 20)"
	mostly "UDP connect to where the ULSP says" "ok 7001" "$(udp connect 127.0.0.1 7009 20)"
	mostly "the second answer is none" "ok 7010" "$(udp connect 127.0.0.1 7010 20)"
	mostly "sendto, allowed" ok "$(udp sendto 127.0.0.1 7007 20)"
	mostly "sendto, denied" ECONNREFUSED "$(udp sendto ::1 7008 20)"
	mostly "bind, allowed" ok "$(udp bindtcp :: 7007 20)"
	unlike "a restart shows to nobody" '513|512' "$(udp bindtcp 0.0.0.0 7006 5; udp connect 127.0.0.1 7006 5)"
fi
is "nobody answers: the fail mode" "EACCES:1" "$(udp connect 127.0.0.1 7006)"

# io_uring: what completes an operation is an errno or it is done, and no rule is passed by
for how in inline async sqpoll; do
	is "TCP by io_uring, $how" ok "$(in_group "$BUILD/tests/uring" "$how" connect tcp 127.0.0.1 7001)"
	is "refused" ECONNREFUSED "$(in_group "$BUILD/tests/uring" "$how" connect tcp 127.0.0.1 7002)"
	like "UDP by io_uring, $how" '^(ok|EACCES)$' "$(in_group "$BUILD/tests/uring" "$how" connect udp 127.0.0.1 7007)"
	like "refused" '^(ECONNREFUSED|EACCES)$' "$(in_group "$BUILD/tests/uring" "$how" connect udp 127.0.0.1 7008)"
	like "a datagram" '^(ECONNREFUSED|EACCES)$' "$(in_group "$BUILD/tests/uring" "$how" send udp 127.0.0.1 7008)"
	is "nobody answers" EACCES "$(in_group "$BUILD/tests/uring" "$how" send udp 127.0.0.1 7006)"
done

# ---- connections to a group's listener ----

for port in 7030 7031 7032; do
	in_group "$TRY" -w 1 serve tcp 127.0.0.1 "$port" <&7 >"$TMP/in.$port" 9>&- 8>&- &
	CHILDREN+=("$!")
	until_true 5 test -s "$TMP/in.$port"
done
out=$(python3 "$TMP/how.py" 127.0.0.1 7030)
is "a peer's connection is let through" ok "$(errno_of "$out")"
within "when the verdict is there" 25 900 "$out"
out=$(python3 "$TMP/how.py" 127.0.0.1 7031)
is "or refused" ECONNREFUSED "$(errno_of "$out")"
within "as soon" 25 900 "$out"
is "nobody answers: dropped" 124 "$(timeout 2 python3 "$TMP/how.py" 127.0.0.1 7032 >/dev/null; echo $?)"

# ---- what is said about it ----

ctl stats -j >"$TMP/stats"
number() { python3 -c 'import json, sys
u = json.load(open(sys.argv[1]))["ulsps"][0]
for k in sys.argv[2].split("."): u = u[k]
print(u)' "$TMP/stats" "$1"; }
like "connections were handed over" '^[1-9][0-9]*$' "$(number parked.held)"
is "and none waits any longer" 0 "$(number parked.waiting)"
like "some were sent on" '^[1-9][0-9]*$' "$(number parked.released)"
like "some refused" '^[1-9][0-9]*$' "$(number parked.refused)"
like "one by the fail mode" '^[1-9][0-9]*$' "$(number parked.late)"
is "50us to spin where nothing else is said" 50 "$(number spin_us)"
spun=$(number spun)
ctl group show g | sed 's/restart always/&\n\tspin 1ms/' >"$TMP/again.ulsp"
ctl load "$TMP/again.ulsp" >/dev/null
ctl stats -j >"$TMP/stats"
is "another time by a load" 1000 "$(number spin_us)"
like "which loses no count" '^(yes)$' "$([ "$(number spun)" -ge "$spun" ] && echo yes)"
like "ulsp show says it" "^spin +1000 us, $(number spun) waits" "$(ctl ulsp show oracle)"
like "and the slots" "^slots +[0-9]+ in use" "$(ctl ulsp show oracle)"
like "stats for people has a row" "^oracle +[0-9]+ +$(number spun) " "$(ctl stats)"
sed 's/^/# /' "$TMP/ulspd.log" | tail -40
ctl stats | sed 's/^/# /'
