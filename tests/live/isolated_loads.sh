#!/bin/bash
# Loads of a policy that isolates a group, and of one that doesn't, one after
# the other while its members fork.
. "$(dirname "$0")/lib.sh"

isolate_all

cat >"$TMP/storm.py" <<'E2'
import errno, os, sys, threading, time
target, done, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def attempt():
    try: os.kill(target, 0); r = "ok"
    except OSError as e: r = errno.errorcode[e.errno]
    fd = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_APPEND); os.write(fd, (r + "\n").encode()); os.close(fd)
def wait():
    while not os.path.exists(done): time.sleep(0.1)
    attempt()
for n in range(3): threading.Thread(target=wait).start()
kept = 0
while not os.path.exists(done):
    time.sleep(0.02) # a load waits for the processors often
    pid = os.fork()
    if not pid:
        if kept < 10: wait()
        os._exit(0)
    kept += 1
    if kept > 10: os.waitpid(pid, 0)
attempt()
E2
cp "$TMP/policy.ulsp" "$TMP/isolated.ulsp"
sed /isolate/d "$TMP/policy.ulsp" >"$TMP/free.ulsp"
pid=$BASHPID
for n in 1 2; do
	in_group python3 "$TMP/storm.py" "$pid" "$TMP/done" "$TMP/results" 7>&- &
	CHILDREN+=("$!") STORM[n]=$!
done
bad=0 loads=0 start=$SECONDS
while [ "$loads" -lt 40 ] && [ $((SECONDS - start)) -lt 120 ]; do
	ctl load "$TMP/free.ulsp" >/dev/null 2>&1 || bad=$((bad + 1))
	ctl load "$TMP/isolated.ulsp" >/dev/null 2>&1 || bad=$((bad + 1))
	loads=$((loads + 2))
done
echo "# $loads loads in $((SECONDS - start)) s"
is "loads while members fork" 0 "$bad"
is "of which there are some" yes "$([ "$loads" -ge 2 ] && echo yes)"
touch "$TMP/done"
wait "${STORM[@]}"
until_true 20 sh -c '[ "$(wc -l <"$0")" -ge 28 ]' "$TMP/results"
is "no member slipped through" EPERM "$(sort -u "$TMP/results")"
like "of all that there were" '^2[89]$' "$(wc -l <"$TMP/results")"
is "the daemon goes on" "$DAEMON" "$(kill -0 "$DAEMON" && ctl group list >/dev/null && echo "$DAEMON")"
