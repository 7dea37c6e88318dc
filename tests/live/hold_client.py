# What the hold scripts run, as members of the group or beside it: connections
# that are held, and listeners that say what they got.  A line for each result.
import ctypes, errno, mmap, os, platform, resource, select, signal, socket, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
lock = threading.Lock()


def name(e):
    return errno.errorcode[e] if e else 'ok'


def say(what, result):
    with lock:
        print(what + '|' + str(result), flush=True)


def address(addr, port):
    family = socket.AF_INET6 if ':' in addr else socket.AF_INET
    return family, socket.getaddrinfo(addr, port, family, socket.SOCK_STREAM)[0][4]


def make(addr, proto=0, **options):
    s = socket.socket(address(addr, 1)[0], socket.SOCK_STREAM, proto)
    s.settimeout(None)
    if 'device' in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options['device'].encode())
    if 'mark' in options:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, options['mark'])
    if 'source' in options:
        s.bind(options['source'])
    if 'ip' in options:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options['ip'])
    return s


# connect(2): what it gives, and after how many ms
def attempt(addr, port, s=None, **options):
    s = s or make(addr, **options)
    t = time.monotonic()
    result = name(s.connect_ex(address(addr, port)[1]))
    return result, (time.monotonic() - t) * 1000, s


def when(ms, low, high):
    return 'in time' if low <= ms <= high else '%d ms' % ms


def raw_connect(s, addr, port):
    a = struct.pack('=H', socket.AF_INET) + struct.pack('!H', port) + socket.inet_aton(addr) + bytes(8)
    ctypes.set_errno(0)
    return name(ctypes.get_errno() if libc.connect(s.fileno(), a, 16) else 0)


def unspec(s):
    a = struct.pack('=H', 0) + bytes(14)
    return name(ctypes.get_errno() if libc.connect(s.fileno(), a, 16) else 0)


# A listener on each ADDR/PORT[/PROTO]: "peer port|bytes" a connection, from a file's end on
def serve(path, specs):
    poll, listeners, open_ = select.poll(), {}, {}
    for spec in specs:
        addr, port, proto = (spec.split('/') + ['0'])[:3]
        family, to = address(addr, int(port))
        s = socket.socket(family, socket.SOCK_STREAM, int(proto))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if proto == '0':
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 100)
        s.bind(to)
        s.listen(20000)
        listeners[s.fileno()] = s
        poll.register(s, select.POLLIN)
    out = open(path, 'w')
    print('ready', file=out, flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd in listeners:
                c, peer = listeners[fd].accept()
                open_[c.fileno()] = [c, peer[1], listeners[fd].getsockname()[1], b'']
                poll.register(c, select.POLLIN)
                continue
            c = open_[fd]
            try:
                data = c[0].recv(65536)
            except OSError:
                data = b''
            c[3] += data
            if data == b'bye':
                c[0].send(b'bye')
            if not data:
                print('%d %d|%s' % (c[1], c[2], c[3].decode()), file=out, flush=True)
                poll.unregister(fd)
                c[0].close()
                del open_[fd]


# How many slots of a ULSP are taken: its `waits` map, mmapped
def taken(path):
    number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
    text = ctypes.create_string_buffer(path.encode())
    attr = struct.pack('=QII', ctypes.addressof(text), 0, 0)
    fd = libc.syscall(number, 7, attr, len(attr))
    if fd < 0:
        return name(ctypes.get_errno())
    at = mmap.mmap(fd, 16384 * 16, mmap.MAP_SHARED, mmap.PROT_READ)
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return sum(until > now for until, _ in struct.iter_unpack('=QQ', at[:]))


# NAME=ADDR/PORT[/MS]: connects when a line comes, all at a time, says what it gave and after how many ms, and
# MS after the start whether the connection is still good
def connect_all(specs):
    def one(what, addr, port, ms=0):
        a, took, s = attempt(addr, int(port))
        say(what, '%s %d' % (a, took))
        if not ms:
            return
        time.sleep(max(0, t + int(ms) / 1000 - time.monotonic()))
        try:
            s.settimeout(3)
            s.send(b'bye')
            say(what + ', later', 'good' if s.recv(9) == b'bye' else 'gone')
        except OSError as e:
            say(what + ', later', name(e.errno))
    say('', 'ready')
    sys.stdin.readline()
    t = time.monotonic()
    threads = [threading.Thread(target=one, args=[what] + to.split('/'))
               for what, to in (spec.split('=') for spec in specs)]
    for thread in threads:
        thread.start()
    say('', 'started')
    for thread in threads:
        thread.join()
    say('', 'done')


# COUNT connects without blocking: how many gave what at once, and how many in the end
def flood(addr, port, count, seconds):
    first, last, sockets = {}, {}, {}
    poll = select.poll()
    for _ in range(count):
        s = make(addr)
        s.setblocking(False)
        r = attempt(addr, port, s)[0]
        first[r] = first.get(r, 0) + 1
        if r == 'EINPROGRESS':
            sockets[s.fileno()] = s
            poll.register(s, select.POLLOUT)
    say('at once', ' '.join('%s %d' % r for r in sorted(first.items())))
    end = time.monotonic() + seconds
    while sockets and time.monotonic() < end:
        for fd, _ in poll.poll(200):
            s = sockets.pop(fd)
            r = name(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            last[r] = last.get(r, 0) + 1
            poll.unregister(fd)
            s.close()
    if sockets:
        last['nothing'] = len(sockets)
    say('in the end', ' '.join('%s %d' % r for r in sorted(last.items())))


# COUNT connects one after the other: when each was there, by CLOCK_MONOTONIC in ns
def series(addr, port, count):
    for _ in range(count):
        r, _, s = attempt(addr, port)
        print(r, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        s.close()
        time.sleep(0.02) # so many lines of a ULSP are logged


def run(scenarios, chosen):
    for s in [s for s in scenarios if not chosen or s.__name__ in chosen]:
        try:
            s()
        except Exception as e:
            say(s.__name__, 'EXCEPTION %r' % e)


def run_together(scenarios):
    threads = [threading.Thread(target=run, args=([s], [])) for s in scenarios]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


if __name__ == '__main__':
    if sys.argv[1] == 'serve':
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        serve(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == 'taken':
        print(taken(sys.argv[2]))
    elif sys.argv[1] == 'connect':
        connect_all(sys.argv[2:])
    elif sys.argv[1] == 'series':
        series(sys.argv[2], *map(int, sys.argv[3:]))
    elif sys.argv[1] == 'flood':
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        flood(sys.argv[2], *map(int, sys.argv[3:]))
