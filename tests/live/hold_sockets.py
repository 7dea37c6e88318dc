# Held connects of all kinds of sockets, and what their process does meanwhile.
# Ports: 7001 is allowed after 100 ms, 7002 refused, 7003 never answered, 7004 and 7005 allowed
# after 1.5 s.
from hold_client import *

HERE, THERE, LINK, MARKED = '127.0.0.1', '10.9.0.2', 'fe80::b%va', '10.9.9.9'
TCP_FASTOPEN_CONNECT, MPTCP = 30, 262


# both ways: NAME|allowed refused
def pair(what, addr, **options):
    a, ams, s = attempt(addr, 7001, **options)
    b, bms, _ = attempt(addr, 7002, **options)
    say(what, '%s %s %s %s' % (a, when(ams, 95, 900), b, when(bms, 95, 900)))


def plain(): pair('plain', HERE)
def peer(): pair('by a device', THERE)
def v6(): pair('IPv6', '::1')
def mapped(): pair('mapped', '::ffff:127.0.0.1')
def mapped_peer(): pair('mapped, by a device', '::ffff:' + THERE)
def device_lo(): pair('bound to lo', HERE, device='lo')
def device_va(): pair('bound to the device', THERE, device='va')
def device_v6(): pair('bound to the device, IPv6', 'fd09::2', device='va')
def link_local(): pair('link-local', LINK)
def source(): pair('source address', HERE, source=('127.0.0.5', 0))
def translated(): pair('translated on its way out', '10.9.7.7')


def source_port():
    s = make(HERE)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.6', 6543))
    a, _, s = attempt(HERE, 7001, s)
    say('source port', '%s %s' % (a, s.getsockname()))


def mark():
    say('without the mark', attempt(MARKED, 7001)[0])
    pair('the mark that the route needs', MARKED, mark=7)


def ip_options():
    # record route, room for three
    pair('IP options', HERE, ip=bytes([7, 15, 4]) + bytes(12) + b'\0')
    # record route and as much as there is
    pair('all IP options that there is room for', HERE, ip=bytes([7, 39, 4]) + bytes(36) + b'\0')


# Through 127.0.0.1 to wherever: the program that drops such packets is not gone around
def source_route():
    s = make(HERE, ip=bytes([131, 7, 4]) + socket.inet_aton(HERE) + b'\0')
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 600000))
    say('source route', attempt(HERE, 7001, s)[0])


# The first connection asks for the cookie, the second sends data in its SYN
def fast_open():
    for what, size in ('cookie', 4), ('little data', 40), ('much data', 1000):
        s = make(HERE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t = time.monotonic()
        try:
            n = s.sendto(b'f' * size, socket.MSG_FASTOPEN, (HERE, 7001))
        except OSError as e:
            n = name(e.errno)
        ms = (time.monotonic() - t) * 1000
        say('fast open: ' + what, '%s %s' % (n, when(ms, 0, 900)))
        say('fast open: port of ' + what, s.getsockname()[1])
        s.close()
    s = make(HERE)
    try:
        s.sendto(b'no', socket.MSG_FASTOPEN, (HERE, 7002))
        s.recv(1)
        n = 'ok'
    except OSError as e:
        n = name(e.errno)
    say('fast open: refused', n)
    s = make(HERE)
    s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    a = attempt(HERE, 7001, s)[0]
    try:
        n = s.send(b'c' * 30)
    except OSError as e:
        n = name(e.errno)
    say('fast open: connect', '%s %s' % (a, n))
    say('fast open: port of connect', s.getsockname()[1])


def mptcp():
    try:
        make(HERE, proto=MPTCP).close()
    except OSError as e:
        return say('MPTCP', name(e.errno))
    pair('MPTCP', HERE, proto=MPTCP)


# ---- one after the other: signals go to the main thread ----

def interrupted(restart):
    hits = []
    signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.siginterrupt(signal.SIGALRM, not restart)
    s = make(HERE)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    first = raw_connect(s, HERE, 7005)
    again = '' if restart else ' ' + raw_connect(s, HERE, 7005)
    try:
        s.getpeername()
        there = 'there'
    except OSError as e:
        there = name(e.errno)
    say('a signal, SA_RESTART' if restart else 'a signal', '%s%s %s' % (first, again, there))


def signal_plain(): interrupted(False)
def signal_restart(): interrupted(True)


# ---- what the process does ----

def nonblocking():
    s = make(HERE)
    s.setblocking(False)
    first = attempt(HERE, 7001, s)[0]
    second = attempt(HERE, 7001, s)[0]
    p = select.poll()
    p.register(s, select.POLLIN | select.POLLOUT)
    early = p.poll(20)
    events = p.poll(2000)
    say('without blocking', '%s %s %s %s %s %s' % (
        first, second, early, events[0][1] == select.POLLOUT,
        name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), attempt(HERE, 7001, s)[0]))


def closed():
    s = make(HERE)
    s.setblocking(False)
    say('closed', attempt(HERE, 7004, s)[0])
    s.close()


def closed_unanswered():
    s = make(HERE)
    s.setblocking(False)
    say('closed, never answered', attempt(HERE, 7003, s)[0])
    s.close()


def killed():
    pid = os.fork()
    if not pid:
        make(HERE).connect_ex((HERE, 7003))
        os._exit(1)
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    say('killed', os.waitpid(pid, 0)[1])


def elsewhere():
    s = make(HERE)
    s.setblocking(False)
    a = attempt(HERE, 7003, s)[0]
    b = unspec(s)
    s.setblocking(True)
    c, ms, _ = attempt('127.0.0.2', 7001, s)
    say('AF_UNSPEC, then elsewhere', '%s %s %s %s %s' % (a, b, c, when(ms, 95, 900), s.getpeername()[0]))


def after_refusal():
    s = make(HERE)
    a = attempt(HERE, 7002, s)[0]
    b = attempt(HERE, 7002, s)[0]
    c = attempt(HERE, 7001, s)[0]
    d = attempt(HERE, 7001, s)[0]
    say('again on the same socket', '%s %s %s %s' % (a, b, c, d))


# The child has the socket alone in the end
def forked():
    s = make(HERE)
    s.setblocking(False)
    r, w = os.pipe()
    middle = os.fork()
    if not middle:
        attempt(HERE, 7001, s)
        if not os.fork():
            time.sleep(0.05)
            p = select.poll()
            p.register(s, select.POLLOUT)
            p.poll(4000)
            os.write(w, name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)).encode())
            s.close()
        os._exit(0)
    os.waitpid(middle, 0)
    s.close()
    os.close(w)
    say('the connecting process ends, its child has the socket', os.read(r, 99).decode())


def shut():
    s = make(HERE)
    s.setblocking(False)
    attempt(HERE, 7003, s)
    s.shutdown(socket.SHUT_RDWR)
    say('shutdown(2)', name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))


def timeout():
    s = make(HERE)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 50000))
    a, ms, _ = attempt(HERE, 7001, s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 0, 0))
    say('SO_SNDTIMEO, then waited for', '%s %s %s' % (a, when(ms, 45, 400), attempt(HERE, 7001, s)[0]))


def outside(): say('outside', attempt(HERE, 7003)[0])


def cookie():
    s = make(HERE)
    s.sendto(b'outside', socket.MSG_FASTOPEN, (HERE, 7001))
    s.close()


SETS = {
    'outside': [outside, source_route, cookie],
    'signals': [signal_plain, signal_restart],
    'kinds': [plain, peer, v6, mapped, mapped_peer, device_lo, device_va, device_v6, link_local,
              source, source_port, translated, mark, ip_options, source_route, fast_open, mptcp],
    'doings': [nonblocking, closed, closed_unanswered, elsewhere, after_refusal, shut, timeout],
    'forks': [killed, forked],
    'inside': [plain, v6],
}
for chosen in sys.argv[1:]:
    if chosen in ('signals', 'forks', 'outside'):
        run(SETS[chosen], [])
    else:
        run_together(SETS[chosen])
