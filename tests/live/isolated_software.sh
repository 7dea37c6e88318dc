#!/bin/bash
# Ordinary software in a group that isolates everything and has no peers, and
# the same software outside of it.
. "$(dirname "$0")/lib.sh"

isolate_all

cat >"$TMP/processes.py" <<'E2'
import multiprocessing as m, sys
def square(x, q, lock):
    with lock: q.put(x * x)
if __name__ == "__main__":
    c = m.get_context(sys.argv[1])
    q, lock = c.Queue(), c.Lock()
    p = [c.Process(target=square, args=(x, q, lock)) for x in range(3)]
    for x in p: x.start()
    print(sorted(q.get(timeout=60) for x in p))
    for x in p: x.join()
E2
cat >"$TMP/shared.py" <<'E2'
from multiprocessing import shared_memory, Process
def fill(name):
    s = shared_memory.SharedMemory(name); s.buf[0] = 7; s.close()
if __name__ == "__main__":
    s = shared_memory.SharedMemory(create=True, size=4096)
    p = Process(target=fill, args=(s.name,)); p.start(); p.join()
    print(s.buf[0]); s.close(); s.unlink()
E2
cat >"$TMP/threads.py" <<'E2'
import os, signal, subprocess, threading
from concurrent.futures import ThreadPoolExecutor
def run(n): return int(subprocess.run(["sh", "-c", f"echo {n}"], capture_output=True).stdout)
with ThreadPoolExecutor(4) as e: print(sum(e.map(run, range(12))))
p = subprocess.Popen(["sleep", "60"]); p.send_signal(signal.SIGTERM); print(p.wait())
E2
cat >"$TMP/database.py" <<'E2'
import os, sqlite3, sys
path = sys.argv[1]
for mode in ("delete", "wal"):
    d = sqlite3.connect(path); d.execute("pragma journal_mode=" + mode)
    d.execute("create table if not exists t (n)"); d.executemany("insert into t values (?)", [(1,), (2,)]); d.commit()
    if not os.fork(): sqlite3.connect(path, timeout=30).executescript("insert into t values (3)"); os._exit(0)
    print(os.wait()[1], d.execute("select sum(n) from t").fetchone()[0]); d.close()
os.unlink(path)
E2
cat >"$TMP/terminal.py" <<'E2'
import os, pty
pid, fd = pty.fork()
if not pid: os.execlp("sh", "sh", "-c", "tty >/dev/null && echo terminal")
out = b""
try:
    while b := os.read(fd, 100): out += b
except OSError: pass
print(out.decode().strip(), os.waitpid(pid, 0)[1])
E2
mkdir "$TMP/www" "$TMP/tree"
echo page >"$TMP/www/page"
for n in 1 2 3 4 5 6 7 8; do echo "$n" >"$TMP/tree/$n"; done

# Nothing runs for more than a minute, but for servers.
outside() { timeout -k 5 60 "$@"; }
member() { in_group timeout -k 5 60 "$@"; }

# software WHERE PORT: each as WHERE's, which is a function
software() {
	local where=$1 as=$1 port=$2
	is "$where: pipelines" 15 "$($as bash -c 'seq 30 | sort -rn | grep -c 1 | { read -r x; echo $((x + 3)); }' 2>&1)"
	is "$where: job control" "143 0" "$($as bash -c 'set -m; sleep 60 & kill %1; wait %1; a=$?; sleep 0.5 & kill -STOP $!; kill -CONT $!; wait $!; echo $a $?' 2>/dev/null)"
	is "$where: traps, process substitution, coprocesses" "hup x y" "$($as bash -c 'trap "printf \"hup \"" HUP; kill -HUP $$; coproc cat; echo y >&"${COPROC[1]}"; read -r y <&"${COPROC[0]}"; echo "$(cat <(echo x))" "$y"' 2>&1)"
	is "$where: a named pipe" "through" "$($as bash -c 'mkfifo "$0"; echo through >"$0" & cat "$0"; wait; rm "$0"' "$TMP/fifo.$where" 2>&1)"
	is "$where: tar and gzip" 8 "$($as bash -c 'tar -C "$0" -c . | gzip | gunzip | tar -t | grep -c "[1-8]"' "$TMP/tree" 2>&1)"
	is "$where: find and xargs -P" 36 "$($as bash -c 'find "$0" -type f -print0 | xargs -0 -n 1 -P 4 cat | paste -sd+ | { read -r x; echo $((x)); }' "$TMP/tree" 2>&1)"
	is "$where: parallel jobs, as make has them" 40 "$($as bash -c 'for i in $(seq 40); do (seq $i | tail -1 >"$0.$i") & [ $((i % 4)) -ne 0 ] || wait; done; wait; cat "$0".* | wc -l; rm "$0".*' "$TMP/job.$where" 2>&1)"
	is "$where: file locks" locked "$($as bash -c 'flock "$0" echo locked' "$TMP/lock.$where" 2>&1)"
	is "$where: multiprocessing by fork" "[0, 1, 4]" "$($as python3 "$TMP/processes.py" fork 2>&1 | tail -1)"
	is "$where: multiprocessing by spawn" "[0, 1, 4]" "$($as python3 "$TMP/processes.py" spawn 2>&1 | tail -1)"
	is "$where: multiprocessing by forkserver" "[0, 1, 4]" "$($as python3 "$TMP/processes.py" forkserver 2>&1 | tail -1)"
	is "$where: shared memory" 7 "$($as python3 "$TMP/shared.py" 2>&1 | tail -1)"
	is "$where: threads that run programs, signals to them" "66 -15" "$($as python3 "$TMP/threads.py" 2>&1 | tail -2 | paste -sd' ')"
	is "$where: sqlite" "0 6 0 12" "$($as python3 "$TMP/database.py" "$TMP/db.$where" 2>&1 | tail -2 | paste -sd' ')"
	is "$where: a terminal" "terminal 0" "$($as python3 "$TMP/terminal.py" 2>&1 | tail -1)"
	$as python3 -m http.server -d "$TMP/www" -b 127.0.0.1 "$port" >/dev/null 2>&1 &
	CHILDREN+=("$!")
	is "$where: a web server and its client" page "$($as curl -s --retry 20 --retry-delay 1 --retry-connrefused -m 30 "http://127.0.0.1:$port/page" 2>&1)"
}
software member 4101
software outside 4102
is "the member's web server is out of an outsider's reach" EPERM "$("$TRY" connect tcp 127.0.0.1 4101)"
is "and the outsider's out of a member's" EPERM "$(in_group "$TRY" connect tcp 127.0.0.1 4102)"
is "which are in reach of their own" "ok ok" "$(in_group "$TRY" connect tcp 127.0.0.1 4101) $("$TRY" connect tcp 127.0.0.1 4102)"
