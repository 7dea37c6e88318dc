# The guest's file system, for vm.sh to source: an initramfs of two parts that
# the kernel unpacks one after the other.
#
# The base has the tools, their libraries and python's own modules; it is built
# once and kept in the cache by a hash of what goes in.  The overlay has what a
# run adds: init, the build tree, kernel modules, the command.
#
# Everything lies at the path that it has on the host, but for the build tree,
# which is at /ulsp.  Modules are loaded by init in the order of their numbers.

base_tools="bash busybox ip ss nft nc curl python3 setsid unshare nsenter mount umount mountpoint
	cat ls stat id env sleep timeout date head tail sort tr cut wc seq mktemp realpath stty
	mkdir mkfifo mknod ln cp mv rm rmdir chmod chown touch test true false tee nproc
	grep sed find ps pgrep kill sysctl flock"

# layout ROOT: as merged-/usr has it
layout() {
	local dir
	for dir in bin sbin lib lib64; do
		mkdir -p "$1/usr/$dir"
		ln -sfn "usr/$dir" "$1/$dir"
	done
	mkdir -p "$1"/{proc,sys,dev,run,tmp,out,root,etc,modules,ulsp,var/tmp}
	ln -sfn ../run "$1/var/run"
	chmod 1777 "$1/tmp" "$1/var/tmp"
}

# libraries FILE...: what their dynamic loader would load, and that loader
libraries() {
	{ ldd "$@" 2>/dev/null || :; } | sed -nE 's,^.*[[:space:]](/[^ ]+) \(0x.*,\1,p' | sort -u
}

# put ROOT FILE...: copies, each to its own path
put() {
	local root=$1 file to
	shift
	for file; do
		to=$root$(realpath "$(dirname "$file")")
		[ -e "$to/${file##*/}" ] && continue
		mkdir -p "$to"
		cp -L "$file" "$to/"
	done
}

pack() { # ROOT TO
	(cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) >"$2"
}

# base_initrd: prints where the base is, after building it if need be.  The tools
# are the distribution's: what else is in PATH may be wrappers of somebody's own.
base_initrd() {
	local PATH=/usr/sbin:/usr/bin:/sbin:/bin tool path hash root at stdlib
	local -a programs=() files
	for tool in $base_tools; do
		path=$(type -P "$tool") || die "no $tool: run sudo make deps"
		programs+=("$path")
	done
	stdlib=$(python3 -S -c 'import os; print(os.path.dirname(os.__file__))')
	mapfile -t files < <(printf '%s\n' "${programs[@]}" && libraries "${programs[@]}" "$stdlib"/lib-dynload/*.so)
	hash=$(stat -L -c '%n %s %Y' "${files[@]}" "$stdlib" "$here/initramfs.sh" | sha256sum | cut -c1-16)
	at=$cache/base/$hash.cpio
	if [ ! -e "$at" ]; then
		root=$work/base
		mkdir -p "$cache/base"
		layout "$root"
		put "$root" "${files[@]}"
		mkdir -p "$root$stdlib"
		tar -C "$stdlib" --exclude={test,tests,idlelib,tkinter,lib2to3,ensurepip,pydoc_data} \
			--exclude={site,dist}-packages --exclude='config-*' -c . | tar -C "$root$stdlib" -x
		for tool in $(busybox --list); do
			[ -e "$root/usr/bin/$tool" ] || [ -e "$root/usr/sbin/$tool" ] || ln -s busybox "$root/usr/bin/$tool"
		done
		cp -L /etc/protocols /etc/services "$root/etc/" 2>/dev/null || :
		printf '%s\n' root:x:0:0::/root:/bin/bash nobody:x:65534:65534::/:/bin/false >"$root/etc/passwd"
		printf '%s\n' root:x:0: tty:x:5: nogroup:x:65534: >"$root/etc/group"
		printf '%s\n' '127.0.0.1 localhost vm' '::1 localhost' >"$root/etc/hosts"
		printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$root/etc/nsswitch.conf"
		pack "$root" "$at.$$"
		mv "$at.$$" "$at"
		rm -rf "$root"
		find "$cache/base" -name '*.cpio*' -atime +30 -delete # of former tools
	fi
	touch -a "$at"
	echo "$at"
}

# put_build ROOT BUILD: the programs without their debug information, the
# library, and what the test scripts read
put_build() {
	local root=$1 build=$2 file
	local -a programs
	mapfile -t programs < <(find "$build/bin" "$build/tests" -maxdepth 1 -type f -perm -100)
	[ ${#programs[@]} -gt 0 ] || die "nothing is built in $build: run make"
	mkdir -p "$root"/ulsp/{build/bin,build/tests,build/lib,tests}
	for file in "${programs[@]}"; do
		strip -g -o "$root/ulsp/build/${file#"$build/"}" "$file"
	done
	cp -a "$build"/lib/libulsp.so* "$root/ulsp/build/lib/"
	cp -a "$here"/../{live,vm,golden,*.sh} "$root/ulsp/tests/"
	cp -a "$here/../../examples" "$root/ulsp/"
	mapfile -t programs < <(libraries "${programs[@]}")
	put "$root" "${programs[@]}"
}

# put_module ROOT KERNEL NAME: after those it depends on.  One that is not there
# is taken as built in.
put_module() {
	local root=$1 kernel=$2 name=${3//-/_} file to
	file=$(find "$kernel/lib/modules" -name "${name//_/[-_]}.ko*" -print -quit)
	[ -n "$file" ] || return 0
	to=$work/$name.ko
	[ -e "$to" ] && return
	case $file in
	*.xz) xz -dc "$file" >"$to" ;;
	*.zst) zstd -qdc "$file" >"$to" ;;
	*) cp "$file" "$to" ;;
	esac
	for file in $(tr '\0' '\n' <"$to" | sed -n 's/^depends=//p' | tr ',' ' '); do
		put_module "$root" "$kernel" "$file"
	done
	modules=$((${modules:-100} + 1))
	cp "$to" "$root/modules/$modules-$name.ko"
}
