#!/bin/bash
# Debian's kernels by suite name: fetched by package name through apt, which
# checks signatures, and kept outside of the build tree.
#
#   kernel.sh fetch SUITE...   get each suite's newest kernel
#   kernel.sh path SUITE       print its folder; fetches one that is missing or
#                              wasn't looked for in ULSP_VM_MAX_AGE days (7)
#
# $cache/SUITE is a link to $cache/kernels/RELEASE, which holds vmlinuz, release
# and lib/modules; a link moves when its new kernel is complete, so a guest that
# is starting never sees half of one.  A fetch that fails leaves what was there.
#
# ULSP_VM_CACHE: the cache.  ULSP_VM_MIRROR: a Debian mirror, when the machine's
# apt doesn't use one.
set -euo pipefail
cache=${ULSP_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ulsp-vm}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
meta=linux-image-cloud-amd64 # small, and has BTF, BPF LSM and the serial port built in

die() {
	echo "kernel: $*" >&2
	exit 1
}

# mirror [-security]: the address from which this machine's apt gets its packages
mirror() {
	local label=Debian${1:+-Security} url
	if [ -n "${ULSP_VM_MIRROR:-}" ]; then
		echo "${ULSP_VM_MIRROR%/}$1"
		return
	fi
	url=$(apt-get indextargets --format '$(REPO_URI)' "Label: $label" | head -1)
	# without lists there are no labels: go by the end of the address
	[ -n "$url" ] || url=$(apt-get indextargets --format '$(REPO_URI)' | grep -E "/debian$1/?\$" | head -1) || :
	echo "${url%/}"
}

# apt SUITE COMMAND...: with lists, cache and sources of its own
apt() {
	local home=$cache/apt/$1 command=$2
	shift 2
	"apt-$command" -o Dir::Etc::SourceList="$home/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State="$home" -o Dir::State::Lists="$home/lists" -o Dir::State::status="$home/status" \
		-o Dir::Cache="$home/cache" -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 \
		-o APT::Update::Error-Mode=any "$@"
}

sources() { # SUITE
	local home=$cache/apt/$1 main security
	main=$(mirror "")
	[ -n "$main" ] || die "this machine's apt has no Debian mirror: set ULSP_VM_MIRROR"
	[ -r "$keyring" ] || die "no $keyring: run sudo make deps"
	mkdir -p "$home/lists/partial" "$home/cache/archives/partial"
	: >"$home/status"
	echo "deb [signed-by=$keyring] $main $1 main" >"$home/sources.list"
	[ "$1" = sid ] && return # has no security suite
	security=$(mirror -security)
	[ -z "$security" ] || echo "deb [signed-by=$keyring] $security $1-security main" >>"$home/sources.list"
}

# packages SUITE: the meta package, the image and, where they are apart, the
# binary and its modules
packages() {
	local -a todo=("$meta") found=()
	local p
	while [ ${#todo[@]} -gt 0 ]; do
		p=${todo[0]} todo=("${todo[@]:1}")
		[[ " ${found[*]-} " == *" $p "* ]] && continue
		found+=("$p")
		mapfile -t -O ${#todo[@]} todo < <(apt "$1" cache --no-all-versions show "$p" |
			sed -n 's/^Depends: //p' | tr ',|' '\n\n' | sed 's/^ *//; s/ .*//' |
			grep -E '^linux-(image|binary|modules)-[0-9]')
	done
	[ ${#found[@]} -gt 1 ] || return 1
	printf '%s\n' "${found[@]}"
}

# One that no suite names any more; a day's grace for guests that use it.
forget_old() {
	local dir
	for dir in $(find "$cache/kernels" -mindepth 1 -maxdepth 1 -mtime +0); do
		[ -n "$(find -L "$cache" -maxdepth 1 -samefile "$dir")" ] || rm -rf "$dir"
	done
}

fetch() ( # SUITE
	suite=$1 home=$cache/apt/$1
	sources "$suite"
	apt "$suite" get -qq update || die "$suite: apt-get update failed"
	version=$(apt "$suite" cache --no-all-versions show "$meta" | sed -n 's/^Version: //p')
	[ -n "$version" ] || die "$suite has no $meta"
	touch "$home/checked"
	if [ "$(cat "$cache/$suite/version" 2>/dev/null)" = "$version" ]; then
		echo "kernel: $suite: $(cat "$cache/$suite/release") is current"
		return
	fi
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	list=$(packages "$suite") || die "$suite: $meta names no image"
	apt "$suite" get -qq download $list || die "$suite: download failed"
	for deb in *.deb; do dpkg-deb -x "$deb" unpacked; done
	modules=$(find unpacked -type d -path '*/lib/modules/*' -name kernel -print -quit)
	modules=${modules%/kernel}
	release=${modules##*/}
	mkdir -p "kernel/lib/modules"
	mv unpacked/boot/vmlinuz-* kernel/vmlinuz 2>/dev/null ||
		mv "$(find unpacked -type f -name 'vmlinuz*' -print -quit)" kernel/vmlinuz
	mv "$modules" kernel/lib/modules/
	echo "$release" >kernel/release
	echo "$version" >kernel/version
	mkdir -p "$cache/kernels"
	rm -rf "$cache/kernels/$release"
	mv kernel "$cache/kernels/$release"
	ln -sfn "kernels/$release" link
	mv -T link "$cache/$suite"
	forget_old
	echo "kernel: $suite: fetched $release ($version)"
)

# In a process of its own, since set -e doesn't work in one that is tested.
fetch_or_keep() { # SUITE
	"$0" fetch-locked "$1" >&2 && return
	[ -e "$cache/$1/vmlinuz" ] || return 1
	echo "kernel: $1: fetch failed, using $(cat "$cache/$1/release") from the cache" >&2
}

fresh() { # SUITE
	[ -e "$cache/$1/vmlinuz" ] &&
		[ -n "$(find "$cache/apt/$1/checked" -mtime "-${ULSP_VM_MAX_AGE:-7}" 2>/dev/null)" ]
}

lock() {
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
}

command=${1:-}
[ $# -ge 2 ] || die "usage: kernel.sh fetch SUITE... | path SUITE"
shift
case $command in
fetch)
	lock
	for suite; do fetch_or_keep "$suite" || die "$suite: no kernel"; done
	;;
fetch-locked) # by fetch_or_keep
	fetch "$1"
	;;
path)
	if ! fresh "$1"; then
		lock
		fresh "$1" || fetch_or_keep "$1" || die "$1: no kernel"
	fi
	realpath "$cache/$1"
	;;
*)
	die "no such command: $command"
	;;
esac
