#!/bin/bash
# Run one command as root in a throw-away guest on a Debian kernel.
#
#   vm.sh [OPTION...] -- COMMAND [ARG...]
#
#   -k SUITE   bookworm (6.1), trixie (6.12), sid (7.x), or a folder with vmlinuz
#              and lib/modules; bookworm
#   -B BUILD   put a build tree at /ulsp, with the tests' scripts, and start there
#   -a PATH    add a file or folder at its own path; repeatable, as -m
#   -s         add the servers that isolated_servers.sh runs
#   -m MODULE  load a kernel module, after those it depends on
#   -o DIR     copy the guest's /out here
#   -L FILE    keep the kernel's log
#   -l LSMS    the kernel's lsm= list; landlock,lockdown,yama,bpf
#   -c ARGS    more for the kernel's command line
#   -q ARG     one more argument for QEMU; repeatable
#   -t SECS    end the guest after this long; 300
#   -M MB      memory; 1024
#   -i         an interactive shell instead of a command; Ctrl-A x ends the guest
#
# Exit: the command's status; 124 after SECS; 125 when the guest died or never
# came up (the end of its kernel's log is on stderr).  Needs no root and no KVM.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ULSP_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ulsp-vm}
boot_secs=${ULSP_VM_BOOT:-60}

die() {
	echo "vm: $*" >&2
	exit 125
}
. "$here/initramfs.sh"
. "$here/servers.sh"

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 125
}
suite=bookworm build='' out='' log='' lsm=landlock,lockdown,yama,bpf extra='' secs=300 megabytes=1024
# what tests of connections want: a device, addresses that are translated
interactive='' servers='' add=() load=(veth nft_chain_nat nft_nat) more=()
while getopts k:B:a:sm:o:L:l:c:q:t:M:i option; do
	case $option in
	k) suite=$OPTARG ;;
	B) build=$(realpath "$OPTARG") ;;
	a) add+=("$(realpath -s "$OPTARG")") ;;
	s) servers=yes ;;
	m) load+=("$OPTARG") ;;
	o) out=$OPTARG ;;
	L) log=$OPTARG ;;
	l) lsm=$OPTARG ;;
	c) extra=$OPTARG ;;
	q) more+=("$OPTARG") ;;
	t) secs=$OPTARG ;;
	M) megabytes=$OPTARG ;;
	i) interactive=yes ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || [ -n "$interactive" ] || usage
[ "$(uname -m)" = x86_64 ] || die "guests are x86_64, this machine is not"
type -P qemu-system-x86_64 >/dev/null || die "no qemu-system-x86_64: run sudo make deps"

work=$(mktemp -d "${TMPDIR:-/tmp}/ulsp-vm.XXXXXX")
qemu=
cleanup() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 125' INT TERM

if [ -e "$suite/vmlinuz" ]; then
	kernel=$(realpath "$suite")
else
	kernel=$("$here/kernel.sh" path "$suite") || exit 125
fi
release=$(cat "$kernel/release" 2>/dev/null || ls "$kernel/lib/modules")

# ---- what the guest has ----

base=$(base_initrd)
root=$work/root
layout "$root"
[ -z "$build" ] || put_build "$root" "$build"
for path in "${add[@]}"; do
	if [ -d "$path" ]; then
		mkdir -p "$root$path"
		cp -a "$path/." "$root$path/"
	else
		put "$root" "$path"
	fi
	mapfile -t files < <(find "$path" -type f \( -perm -100 -o -name '*.so*' \))
	[ ${#files[@]} -eq 0 ] || mapfile -t files < <(libraries "${files[@]}")
	put "$root" "${files[@]}"
done
[ -z "$servers" ] || put_servers "$root"
for module in "${load[@]}"; do put_module "$root" "$kernel" "$module"; done
if [ -n "$interactive" ]; then
	read -r rows columns < <(stty size 2>/dev/null || echo 24 80)
	echo "rows $rows cols $columns" >"$root/interactive"
	[ $# -gt 0 ] || set -- bash -i
fi
{
	printf 'export TERM=%q\n' "${TERM:-dumb}"
	printf 'exec'
	printf ' %q' "$@"
	echo
} >"$root/command"
cp "$here/init" "$root/init"
pack "$root" "$work/overlay"
cat "$base" "$work/overlay" >"$work/initrd"

# ---- the machine ----

# QEMU 7.2's TCG can corrupt EFLAGS in cmpxchg16b on the fast path of SLUB:
# without the flag, 6.12 crashes in one boot of four.  7.x doesn't trip on it
# and needs it: without it every BPF local storage fails (kmalloc_nolock).
# Without erms kernels clear pages by words, not by bytes: a fifth faster here.
cpu=max,-la57,-erms
case $release in
6.[2-9].* | 6.1[0-7].*) cpu+=,-cx16 ;;
esac
# Before 8.1 QEMU can translate an instruction while another processor patches
# it and then keep what it read: a guest that attaches programs dies of an int3
# that is long gone.  One thread for all processors takes turns instead.
accel=tcg
version=$(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
[ "$(printf '%s\n' 8.1 "$version" | sort -V | head -n 1)" = 8.1 ] || accel+=,thread=single
machine=(nice -n 10 qemu-system-x86_64 -M pc -accel "$accel" -cpu "$cpu" -smp "${ULSP_VM_CPUS:-2}"
	-m "$megabytes" -nodefaults -no-user-config -display none -no-reboot
	-kernel "$kernel/vmlinuz" -initrd "$work/initrd"
	-append "console=ttyS1 panic=-1 oops=panic no_timer_check mitigations=off rcupdate.rcu_expedited=1 lsm=$lsm $extra"
	"${more[@]}")
lines=(-serial "file:$work/log" -serial "file:$work/status" -serial "file:$work/out")

came_up() { grep -q '^up' "$work/status"; }
# start: one boot; its status is QEMU's, or timeout's
start() {
	local i
	: >"$work/status"
	timeout -k 5 "$secs" "${machine[@]}" -serial stdio "${lines[@]}" </dev/null &
	qemu=$!
	for ((i = 0; i < boot_secs * 5; i++)); do
		came_up && break
		kill -0 "$qemu" 2>/dev/null || break
		sleep 0.2
	done
	came_up || kill "$qemu" 2>/dev/null || :
	wait "$qemu"
}

ended=0
if [ -n "$interactive" ]; then
	echo "vm: $release; exit or Ctrl-A x ends the guest" >&2
	: >"$work/status"
	"${machine[@]}" -chardev stdio,id=tty,mux=on,signal=off -serial chardev:tty -mon tty "${lines[@]}" || ended=$?
else
	for try in 1 2 3; do # only a boot is tried again, never a command
		ended=0
		start || ended=$?
		qemu=
		came_up && break
		echo "vm: $release did not come up (try $try, status $ended)" >&2
		tail -n 5 "$work/log" >&2
	done
fi

# ---- what came of it ----

sed -i 's/\r$//' "$work/log"
[ -z "$log" ] || cp "$work/log" "$log"
if [ -n "$out" ] && [ -s "$work/out" ]; then
	mkdir -p "$out"
	tar -C "$out" -xf "$work/out"
fi
status=$(sed -n 's/^status \([0-9]*\).*/\1/p' "$work/status")
[ -z "$status" ] || exit "$status"
[ -z "$interactive" ] || exit "$ended"
# what the kernel died of, or the last that it said
grep -m 1 -A 60 -E 'BUG:|Oops|int3:|Kernel panic|general protection' "$work/log" >&2 || tail -n 40 "$work/log" >&2
if [ "$ended" -eq 124 ]; then
	echo "vm: ended after ${secs}s" >&2
	exit 124
fi
die "the guest on $release died"
