# Servers for a guest, for vm.sh to source: those of nginx, redis and PostgreSQL
# that this machine has.  What isn't there isn't in the guest either, and the
# test that wants it says so.
#
# nginx's package would start a web server where it is installed: unless it is
# installed, its program is taken out of the package, into the cache.

# runs PROGRAM: it is there, and its libraries are; one from before an upgrade may miss some
runs() {
	[ -x "$1" ] && ! ldd "$1" | grep -q 'not found'
}

# nginx_program: prints its path, or nothing
nginx_program() {
	local at=$cache/nginx work
	PATH=/usr/sbin:$PATH type -P nginx && return
	if ! runs "$at/usr/sbin/nginx" && type -P apt-get >/dev/null; then
		mkdir -p "$cache"
		work=$(mktemp -d "$cache/fetch.XXXXXX")
		if (cd "$work" && apt-get -qq download nginx && dpkg-deb -x nginx_*.deb nginx) >/dev/null 2>&1; then
			rm -rf "$at"
			mv -T "$work/nginx" "$at" || :
		fi
		rm -rf "$work"
	fi
	! runs "$at/usr/sbin/nginx" || echo "$at/usr/sbin/nginx"
}

put_postgresql() { # ROOT
	local root=$1 bin lib share program
	local -a files
	bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -1)
	[ -x "$bin/postgres" ] || return 0
	lib=${bin%/bin}/lib share=/usr/share/postgresql/$(basename "${bin%/bin}")
	for program in postgres initdb pg_ctl psql; do
		[ ! -x "$bin/$program" ] || files+=("$bin/$program")
	done
	put "$root" "${files[@]}" "$lib"/{plpgsql,dict_snowball}.so
	mapfile -t files < <(libraries "${files[@]}")
	put "$root" "${files[@]}"
	mkdir -p "$root$share"
	tar -C "$share" --exclude=extension/'[!p]*' --exclude=man --exclude=locale -c . | tar -C "$root$share" -x
}

put_servers() { # ROOT
	local root=$1 path
	local -a files=()
	path=$(nginx_program)
	if [ -n "$path" ]; then
		mkdir -p "$root/usr/sbin"
		cp "$path" "$root/usr/sbin/nginx"
		files+=("$path")
	fi
	path=$(type -P redis-server || type -P redis-check-rdb) || path=
	if [ -n "$path" ] && type -P redis-cli >/dev/null; then
		put "$root" "$path" "$(type -P redis-cli)"
		files+=("$path" "$(type -P redis-cli)")
	fi
	if [ ${#files[@]} -gt 0 ]; then
		mapfile -t files < <(libraries "${files[@]}")
		put "$root" "${files[@]}"
	fi
	put_postgresql "$root"
}
