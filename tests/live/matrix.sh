#!/bin/bash
# Every operation, IPv4, IPv6 and IPv4-mapped, allowed, denied and audited, by
# real sockets; each denial with its positive control and exact errno.
. "$(dirname "$0")/lib.sh"

# One server a port that everything may reach when nothing forbids it: a
# denial can't be a dead listener.
for p in 8001 8002 8003; do
	echo_server tcp :: $p
	echo_server udp :: $p
done

policy <<E2
group g {
	members cgroup "$REL"
	allow connect tcp to 127.0.0.1 port 8001
	allow connect tcp to ::1 port 8001
	deny connect tcp to { 127.0.0.1, ::1 } port 8002 errno ECONNREFUSED
	deny connect tcp to { 127.0.0.1, ::1 } port 8003 errno EHOSTUNREACH log
	deny connect udp to { 127.0.0.1, ::1 } port 8002 errno ENETUNREACH
	allow connect udp to any port 8001
	deny sendto udp to { 127.0.0.1, ::1 } port 8002 errno EACCES
	allow sendto udp to any port 8001
	deny bind tcp port 8102 errno EADDRINUSE
	deny bind udp to { 127.0.0.1, ::1 } port 8102 errno EADDRNOTAVAIL
	allow bind tcp, udp port 8101-8104
	default deny
}
E2
sed 's/\bbind tcp, udp\b/bind any/' -i "$TMP/policy.ulsp"
start_daemon --policy "$TMP/policy.ulsp"

# t NAME GROUP-RESULT OUTSIDE-RESULT TRY-ARGS...
t() {
	local name=$1 want=$2 control=$3
	shift 3
	is "$name: control outside the group" "$control" "$("$TRY" "$@")"
	is "$name" "$want" "$(in_group "$TRY" "$@")"
}
run_matrix() {
	local deny=$1 # enforce, or audit: everything as outside
	e() { if [ "$deny" = enforce ]; then echo "$1"; else echo ok; fi; }
	for a in 127.0.0.1 ::1 ::ffff:127.0.0.1; do
		t "$deny connect tcp $a allowed" ok ok -w 1000 connect tcp $a 8001
		t "$deny connect tcp $a denied" "$(e ECONNREFUSED)" ok -w 1000 connect tcp $a 8002
		t "$deny connect tcp $a denied, other errno" "$(e EHOSTUNREACH)" ok connect tcp $a 8003
		t "$deny connect udp $a allowed" ok ok -w 1000 connect udp $a 8001
		t "$deny connect udp $a denied" "$(e ENETUNREACH)" ok -w 1000 connect udp $a 8002
		t "$deny connect udp $a by default" "$(e EPERM)" ok -w 1000 connect udp $a 8003
		t "$deny sendto udp $a allowed" ok ok -w 1000 sendto udp $a 8001
		t "$deny sendto udp $a denied" "$(e EACCES)" ok -w 1000 sendto udp $a 8002
		t "$deny sendto udp $a by default" "$(e EPERM)" ok -w 1000 sendto udp $a 8003
		t "$deny bind tcp $a allowed" ok ok bind tcp $a 8101
		t "$deny bind tcp $a denied" "$(e EADDRINUSE)" ok bind tcp $a 8102
		t "$deny bind udp $a denied" "$(e EADDRNOTAVAIL)" ok bind udp $a 8102
		t "$deny bind udp $a by default" "$(e EPERM)" ok bind udp $a 8105
		t "$deny bind tcp $a port 0" ok ok bind tcp $a 0
		t "$deny listen tcp $a allowed" ok ok listen tcp $a 8101
	done
	t "$deny bind tcp :: (both families) denied" "$(e EADDRINUSE)" ok bind tcp :: 8102
	t "$deny sendto udp AF_UNSPEC denied" "$(e EACCES)" ok -u sendto udp 127.0.0.1 8002
	t "$deny sendto udp AF_UNSPEC allowed" ok ok -u sendto udp 127.0.0.1 8001
	t "$deny IPv4 address on an IPv6 socket, sendto" "$(e EACCES)" ok -4 sendto udp 127.0.0.1 8002
	t "$deny IPv4 address on an IPv6 socket, connect" "$(e ENETUNREACH)" ok -4 connect udp 127.0.0.1 8002
	t "$deny mptcp denied" "$(e ECONNREFUSED)" ok connect mptcp 127.0.0.1 8002
	t "$deny mptcp allowed" ok ok connect mptcp 127.0.0.1 8001
	t "$deny udplite by default" "$(e EPERM)" "$("$TRY" sendto udplite 127.0.0.1 9)" sendto udplite 127.0.0.1 9
	# what no socket hook sees: the backstop
	t "$deny raw ICMP by default" "$(e EPERM)" ok sendto icmp 127.0.0.1 0
	t "$deny raw TCP by default" "$(e EPERM)" ok sendto raw-tcp 127.0.0.1 8002
	t "$deny raw protocol 253 by default" "$(e EPERM)" ok sendto raw-253 127.0.0.1 0
}
run_matrix enforce
is "mode audit" 0 "$(ctl group mode g audit >/dev/null; echo $?)"
run_matrix audit
like "audit counted what it let pass" 'audited' "$(ctl stats -j)"
is "mode enforce again" 0 "$(ctl group mode g enforce >/dev/null; echo $?)"
t "enforced again" ECONNREFUSED ok connect tcp 127.0.0.1 8002

# socket: only what a rule says, and the default because there is a rule
policy <<E2
group g {
	members cgroup "$REL"
	deny socket udp to ::/0 errno EAFNOSUPPORT
	deny socket raw errno EPROTONOSUPPORT
	deny socket icmp errno ESOCKTNOSUPPORT
	allow socket tcp
	allow socket udp
	default deny errno EACCES
}
E2
load
t "socket tcp allowed" ok ok socket tcp
t "socket udp IPv4 allowed" ok ok socket udp
t "socket udp IPv6 denied" EAFNOSUPPORT ok -6 socket udp
t "socket icmp denied" ESOCKTNOSUPPORT ok socket icmp
t "socket raw denied" EPROTONOSUPPORT ok socket raw-tcp
t "default's errno" EACCES ok connect tcp 127.0.0.1 8001

# accept, recvfrom, listen: judged at the packet; the client sees silence
policy <<E2
group g {
	members cgroup "$REL"
	allow accept tcp port 8301 from 127.0.0.1
	allow accept tcp port 8301 from ::1
	allow recvfrom udp from 127.0.0.2
	deny  listen tcp port 8303
	default deny
	allow bind any port 8300-8399
	allow sendto, connect any
}
E2
load
# serve_in_group PROTO ADDR PORT then one client from outside; prints what the client saw
client_of_member() {
	local proto=$1 addr=$2 port=$3
	shift 3
	rm -f "$TMP/member" "$TMP/member.in"
	mkfifo "$TMP/member.in"
	in_group "$TRY" -w 1 serve "$proto" "$addr" "$port" <"$TMP/member.in" >"$TMP/member" &
	local pid=$!
	exec 8>"$TMP/member.in"
	until_true 5 test -s "$TMP/member" || echo "# no server"
	"$TRY" "$@"
	exec 8>&- # ends it
	wait $pid 2>/dev/null
}
is "accept from 127.0.0.1 allowed" ok "$(client_of_member tcp 0.0.0.0 8301 -w 500 connect tcp 127.0.0.1 8301)"
is "accept from ::1 allowed" ok "$(client_of_member tcp :: 8301 -w 500 connect tcp ::1 8301)"
is "accept from 127.0.0.1 on an IPv6 listener" ok "$(client_of_member tcp :: 8301 -w 500 connect tcp 127.0.0.1 8301)"
is "accept from 127.0.0.3 denied" EINPROGRESS "$(client_of_member tcp 0.0.0.0 8301 -s 127.0.0.3 connect tcp 127.0.0.1 8301)"
is "accept on another port by default" EINPROGRESS "$(client_of_member tcp 0.0.0.0 8302 connect tcp 127.0.0.1 8302)"
is "listen denied: unreachable" EINPROGRESS "$(client_of_member tcp 0.0.0.0 8303 connect tcp 127.0.0.1 8303)"
is "listen denied: unreachable by IPv6" EINPROGRESS "$(client_of_member tcp :: 8303 connect tcp ::1 8303)"
is "recvfrom 127.0.0.2 allowed" ok "$(client_of_member udp 0.0.0.0 8304 -s 127.0.0.2 -w 500 sendto udp 127.0.0.1 8304)"
is "recvfrom 127.0.0.1 by default" ETIMEDOUT "$(client_of_member udp 0.0.0.0 8304 -w 500 sendto udp 127.0.0.1 8304)"
ctl group mode g audit >/dev/null
is "accept audited" ok "$(client_of_member tcp 0.0.0.0 8302 -w 500 connect tcp 127.0.0.1 8302)"
is "recvfrom audited" ok "$(client_of_member udp 0.0.0.0 8304 -w 500 sendto udp 127.0.0.1 8304)"
ctl group mode g enforce >/dev/null

# a source route around the judged address
policy <<E2
group g {
	members cgroup "$REL"
	deny connect tcp to 192.0.2.0/24
	default allow
}
E2
load
is "source route is dropped" EPERM "$(in_group "$TRY" -o sendto udp 127.0.0.1 8001)"
like "and counted" 'source-route' "$(ctl stats -j)"
