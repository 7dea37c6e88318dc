#!/bin/bash
# Servers of several processes in a group that isolates everything and has no
# peers: nginx, redis, PostgreSQL; those that are there.
. "$(dirname "$0")/lib.sh"

isolate_all
mkdir "$TMP/www"
echo page >"$TMP/www/page"
chmod 755 "$TMP" # for those who drop root

member() { in_group timeout -k 5 "${LIMIT:-60}" "$@"; }
# serve NAME CMD...: in the background, as a member; its process is $SERVER
serve() {
	local log=$TMP/$1.log
	shift
	in_group timeout -k 5 200 "$@" >"$log" 2>&1 7>&- &
	SERVER=$!
	CHILDREN+=("$SERVER")
}
# up NAME CMD...: when CMD is true, or what the server says
up() {
	local name=$1
	shift
	until_true 15 "$@"
	is "$name starts in a group" up "$("$@" >/dev/null 2>&1 && echo up || tail -3 "$TMP/$name.log")"
}
ended() { # NAME: by its own will
	local status
	wait "$SERVER"
	status=$?
	is "$1 ends when it is told" 0 "$status"
}
# closed NAME PORT SOCKET: to others; members are there all the time
closed() {
	is "$1 is out of an outsider's reach by TCP" EPERM "$("$TRY" connect tcp 127.0.0.1 "$2")"
	is "and by its UNIX socket" EPERM "$(python3 -c "import errno, socket, sys
try: socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('ok')
except OSError as e: print(errno.errorcode[e.errno])" "$3")"
}

# ---- nginx: a master as root, workers as nobody ----

nginx() { member "$NGINX" -e stderr -p "$TMP/" -c "$TMP/nginx.conf" "$@"; }
workers() { member pgrep -P "$(cat "$TMP/nginx.pid")" | paste -sd' '; }
changed() { [ "$(workers)" != "$1" ] && [ "$(workers | wc -w)" = 2 ]; }
if NGINX=$(PATH=$PATH:/usr/sbin type -P nginx); then
	cat >"$TMP/nginx.conf" <<E2
daemon off;
user nobody nogroup;
worker_processes 2;
pid $TMP/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path $TMP/body;
	proxy_temp_path $TMP/proxy;
	fastcgi_temp_path $TMP/fastcgi;
	uwsgi_temp_path $TMP/uwsgi;
	scgi_temp_path $TMP/scgi;
	server { listen unix:$TMP/nginx.sock; root $TMP/www; }
	server {
		listen 127.0.0.1:4201;
		location / { proxy_pass http://unix:$TMP/nginx.sock; }
	}
}
E2
	serve nginx "$NGINX" -e stderr -p "$TMP/" -c "$TMP/nginx.conf"
	up nginx member curl -sf http://127.0.0.1:4201/page
	is "its workers serve by TCP, from each other" page "$(member curl -s http://127.0.0.1:4201/page)"
	is "and by a UNIX socket" page "$(member curl -s --unix-socket "$TMP/nginx.sock" http://localhost/page)"
	is "many requests at a time" 24 "$(seq 24 | member xargs -P 6 -I{} curl -s http://127.0.0.1:4201/page | grep -c page)"
	before=$(workers)
	is "there are two workers" 2 "$(wc -w <<<"$before")"
	is "it is told to reload" 0 "$(nginx -s reload >"$TMP/said" 2>&1; echo $?)"
	until_true 10 changed "$before"
	is "and has new workers" yes "$(changed "$before" && echo yes)"
	is "that serve" page "$(member curl -s http://127.0.0.1:4201/page)"
	closed nginx 4201 "$TMP/nginx.sock"
	nginx -s quit >"$TMP/said" 2>&1
	ended nginx
else
	skip nginx "no such program here"
fi

# ---- redis: saves in a child of its own ----

redis() { member redis-cli "$@" 2>&1; }
saved() { redis -p 4202 info persistence | grep -q 'rdb_bgsave_in_progress:0'; }
# Debian has the server by one of its other names too.
if REDIS=$(type -P redis-server || type -P redis-check-rdb) && type -P redis-cli >/dev/null; then
	serve redis bash -c 'exec -a redis-server "$0" "$@"' "$REDIS" --port 4202 --bind 127.0.0.1 \
		--unixsocket "$TMP/redis.sock" --dir "$TMP" --save ''
	up redis redis -p 4202 ping
	is "a client by TCP" "OK value" "$(redis -p 4202 set key value) $(redis -p 4202 get key)"
	is "a client by its UNIX socket" value "$(redis -s "$TMP/redis.sock" get key)"
	is "pipelined commands of several clients" 300 "$(member bash -c 'for n in 1 2 3; do yes "incr n" | head -100 | redis-cli -p 4202 & done >/dev/null; wait; redis-cli -p 4202 get n' 2>&1)"
	like "it saves in the background" "Background saving started" "$(redis -p 4202 bgsave)"
	until_true 10 saved
	is "and has saved" "rdb_last_bgsave_status:ok" "$(redis -p 4202 info persistence | tr -d '\r' | grep rdb_last_bgsave_status)"
	is "into its file" yes "$([ -s "$TMP/dump.rdb" ] && echo yes)"
	closed redis 4202 "$TMP/redis.sock"
	redis -p 4202 shutdown nosave >/dev/null
	ended redis
else
	skip redis "no such program here"
fi

# ---- PostgreSQL: shared memory, semaphores and signals among processes ----

# Doesn't run as root.
postgres() { # PROGRAM...
	local program=$PG/$1
	shift
	member python3 -c 'import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.chdir("/")
os.execv(sys.argv[1], sys.argv[1:])' "$program" "$@"
}
sql() { postgres psql -XAtq -U ulsp -h "$TMP/pg" -p 4203 "$@" postgres 2>&1; }
sleeping() { [ "$(sql -c "select count(*) from pg_stat_activity where query like 'select pg_sleep%'")" = 1 ]; }
PG=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -1)
if [ -x "$PG/postgres" ] && [ -x "$PG/psql" ]; then
	mkdir "$TMP/pg"
	chown 65534:65534 "$TMP/pg"
	LIMIT=200 postgres initdb -D "$TMP/pg/data" -U ulsp -A trust --no-sync --no-locale -E UTF8 >"$TMP/initdb" 2>&1
	is "initdb in a group" 0 $?
	tail -3 "$TMP/initdb" | sed 's/^/# /'
	is "PostgreSQL starts in a group" 0 "$(postgres pg_ctl -D "$TMP/pg/data" -w -t 50 -l "$TMP/pg/log" \
		-o "-p 4203 -k $TMP/pg -c fsync=off -c max_connections=10 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0" start >"$TMP/said" 2>&1; echo $?)"
	is "a client by its UNIX socket" 5050 "$(sql -c 'select sum(n) from generate_series(1, 100) n')"
	is "a client by TCP" 1 "$(sql -h 127.0.0.1 -c 'select 1')"
	sql -c 'create table t as select n from generate_series(1, 50000) n' -c 'analyze t' >/dev/null
	like "parallel workers, with shared memory" 'Workers Launched: [12]' "$(sql -c 'explain (analyze, timing off) select count(*) from t')"
	sql -c 'select pg_sleep(50)' >"$TMP/slept" &
	sleeper=$!
	until_true 10 sleeping
	is "one backend ends another" t "$(sql -c "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'")"
	wait "$sleeper"
	like "which its client is told" 'terminating connection' "$(cat "$TMP/slept")"
	closed PostgreSQL 4203 "$TMP/pg/.s.PGSQL.4203"
	is "it stops" 0 "$(postgres pg_ctl -D "$TMP/pg/data" -w -t 50 -m fast stop >"$TMP/said" 2>&1; echo $?)"
	sed 's/^/# /' "$TMP/pg/log" | grep -E 'ERROR|FATAL|PANIC|not permitted'
else
	skip postgresql "no such program here"
fi
