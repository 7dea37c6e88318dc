#!/bin/bash
# What a user installs: files, pkg-config, the examples by one cc line, manual
# pages, completion, help of every command, no colour into a pipe.
. "$(dirname "$0")/lib.sh"
PFX=$TMP/prefix
make -s install PREFIX="$PFX" BUILD_ONLY=1 >"$TMP/install.out" 2>&1
is "make install" 0 "$?"
for f in bin/ulspctl sbin/ulspd sbin/ulsp-log sbin/ulsp-firewall include/ulsp.h lib/libulsp.so lib/libulsp.a \
	lib/pkgconfig/ulsp.pc lib/systemd/system/ulspd.service share/man/man8/ulspd.8 share/man/man1/ulspctl.1 \
	share/man/man5/ulsp-policy.5 share/man/man3/libulsp.3 share/bash-completion/completions/ulspctl share/bash-completion/completions/ulsp-firewall; do
	is "installs $f" 0 "$(test -e "$PFX/$f"; echo $?)"
done
is "make install DESTDIR" 0 "$(make -s install DESTDIR="$TMP/dest" PREFIX=/usr >/dev/null 2>&1; test -x "$TMP/dest/usr/sbin/ulspd"; echo $?)"
export PKG_CONFIG_PATH=$PFX/lib/pkgconfig
make -s all >/dev/null 2>&1
for x in logger firewall threads; do
	is "examples/$x.c builds by one line" 0 "$(cc -Wall -Wextra -Werror "examples/$x.c" $(pkg-config --cflags --libs ulsp) -Wl,-rpath,"$PFX/lib" -o "$TMP/$x" >"$TMP/cc.out" 2>&1; echo $?)"
	sed 's/^/# /' "$TMP/cc.out"
	is "examples/$x.c has at most 30 lines of code" 1 "$(($(grep -cvE '^\s*($|/\*|\*|//)' "examples/$x.c") <= 30))"
done
mkdir -p "$TMP/libs"
policy <<E2
ulsp example-firewall { exec "$TMP/firewall" user root }
ulsp example-logger { exec "$TMP/logger" user root }
ulsp example-threads { exec "$TMP/threads" user root rings 3 }
group g { members cgroup "$REL"  ask example-firewall connect tcp to any errno EAGAIN log  default deny }
E2
start_daemon --policy "$TMP/policy.ulsp"
running() { [ "$(ctl ulsp list -j | grep -o '"running"' | wc -l)" = 3 ]; }
until_true 10 running
is "the example ULSPs run under ulspd" 0 "$(running; echo $?)"
stop_daemon TERM
is "SIGTERM ends ulspd cleanly" 0 "$STATUS"
is "and leaves enforcement on" EPERM "$(in_group "$TRY" connect udp 127.0.0.1 9)"

for m in docs/man/*; do is "mandoc -Tlint $m" "" "$(mandoc -Tlint -Wwarning "$m" 2>&1 | grep -v '^.*: outdated' | head -5)"; done
for c in run check load diff group monitor explain ulsp stats doctor version shutdown; do
	out=$(ctl $c --help 2>&1)
	is "ulspctl $c --help" 0 "$?"
	like "ulspctl $c --help says how" "[Uu]sage: ulspctl.*$c" "$out"
	like "ulspctl(1) describes $c" "$c" "$(mandoc -Tascii docs/man/ulspctl.1 2>/dev/null | col -b)"
done
for p in ulspd ulspctl ulsp-log ulsp-firewall; do
	is "$p --help" 0 "$("$BIN/$p" --help >/dev/null 2>&1; echo $?)"
	like "$p --version" '[0-9]+\.[0-9]+\.[0-9]+' "$("$BIN/$p" --version 2>&1)"
	is "$p --nonsense" 2 "$("$BIN/$p" --nonsense >/dev/null 2>&1; echo $?)"
done
unlike "no colour into a pipe" $'\e\\[' "$(ctl doctor)"
is "doctor -j is JSON" 0 "$(ctl doctor -j | python3 -m json.tool >/dev/null 2>&1; echo $?)"
is "the completion loads" 0 "$(bash -n loader/completion/ulspctl && bash -n loader/completion/ulspd && bash -n ulsp/completion/ulsp-firewall; echo $?)"
for f in examples/*.ulsp; do is "check $f" 0 "$(ctl check "$f" >/dev/null 2>&1; echo $?)"; done
is "check examples/firewall.rules" "" "$("$BIN/ulsp-firewall" --check examples/firewall.rules 2>&1)"
for o in $("$BIN/ulsp-firewall" --help | grep -oE -- '--[a-z-]+' | sort -u); do
	like "ulsp-firewall(8) describes $o" "$o" "$(mandoc -Tascii docs/man/ulsp-firewall.8 2>/dev/null | col -b)"
done
