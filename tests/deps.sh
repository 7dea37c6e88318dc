#!/bin/sh
# Install what a fresh Debian lacks; say what is there and what is installed.
set -eu
# build; tests; programs that the demo and the live tests use as real clients and servers
want="gcc make pkg-config clang bpftool libbpf-dev libelf-dev zlib1g-dev libjson-c-dev
      libsystemd-dev uthash-dev flex bison libcmocka-dev mandoc spin
      iproute2 procps curl python3 netcat-openbsd bind9-dnsutils nftables util-linux"
# guests on other kernels
if [ "$(uname -m)" = x86_64 ]; then
	want="$want qemu-system-x86 cpio xz-utils zstd debian-archive-keyring"
	# Servers that run isolated, but no package that starts one: see tests/vm/servers.sh.
	want="$want redis-tools"
	command -v busybox >/dev/null 2>&1 || want="$want busybox-static"
fi
if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps: not a Debian system; needed there by these names: $want" >&2
	exit 0
fi
missing=
for p in $want; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -z "$missing" ]; then
	echo "deps: everything is installed"
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "deps: missing:$missing" >&2
	echo "deps: run: sudo make deps" >&2
	exit 1
fi
echo "deps: installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# Without lists (a fresh container) or with stale ones the first try fails.
apt-get install -y --no-install-recommends $missing >"$log" 2>&1 ||
	{ apt-get update >"$log" 2>&1 && apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; } ||
	{ cat "$log" >&2; exit 1; }
echo "deps: done"
