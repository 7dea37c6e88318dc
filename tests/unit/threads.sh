#!/bin/bash
# test_ulsp_threads and test_ulsp_run with ThreadSanitizer: a race is a failure.
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! echo 'int main(void) { return 0; }' | ${CC:-cc} -fsanitize=thread -x c -o "$dir/probe" - 2>/dev/null || ! "$dir/probe"; then
	echo "ok 1 - races # SKIP the compiler has no ThreadSanitizer here"
	echo 1..1
	exit 0
fi
# It doesn't know fences: they order less for it, never more.
${CC:-cc} -std=gnu11 -O1 -g -w -fsanitize=thread -D_GNU_SOURCE -Ibpf -Iulsp -o "$dir/t" tests/unit/test_ulsp_threads.c \
	ulsp/{handle,kernel_open,ring,cache,test,message,verdict,track,format,process,cgroup}.c -lbpf -lelf -lz || exit 1
TSAN_OPTIONS=exitcode=66 "$dir/t" 10000 >"$dir/out" 2>"$dir/err"
rc=$?
sed '/^1\.\./d' "$dir/out"
sed 's/^/# /' "$dir/err" | head -60
# the handles of ulsp_run_threads()
${CC:-cc} -std=gnu11 -O1 -g -w -fsanitize=thread -D_GNU_SOURCE -Ibpf -Iulsp -o "$dir/r" tests/unit/{test_ulsp_run,ulsp_double}.c \
	ulsp/{handle,threads,kernel,kernel_open,ring,cache,test,message,verdict,track,format,process,cgroup}.c -lcmocka -lbpf -lelf -lz || exit 1
TSAN_OPTIONS=exitcode=66 CMOCKA_MESSAGE_OUTPUT=stdout "$dir/r" >"$dir/out" 2>&1
run=$?
[ $run = 0 ] && echo "ok 3 - handles on threads of their own" || { echo "not ok 3 - handles on threads of their own"; sed 's/^/# /' "$dir/out" | head -60; }
echo 1..3
[ $rc = 0 ] && [ $run = 0 ]
