#!/bin/bash
# In the guest: run test programs and scripts, one per processor at a time, the
# longest first if the list is in that order.
#
#   suite.sh NAME...
#
# Writes "@begin NAME" when one starts and, when it has ended, its output
# between "@log NAME" and "@end NAME STATUS SECONDS": what began and has no end
# was running when the guest died.
cd "$(dirname "$0")/../.." || exit 1
export BUILD=build CMOCKA_MESSAGE_OUTPUT=TAP ULSP_VM=1

run() { # NAME
	local program=$BUILD/tests/$1 log=/tmp/$1.log start=$SECONDS status
	[ -x "$program" ] || program=tests/live/$1.sh
	timeout -k 10 "${TEST_TIMEOUT:-1200}" "$program" >"$log" 2>&1 </dev/null
	status=$?
	exec 8>/tmp/say
	flock 8
	echo "@log $1"
	cat "$log"
	printf '\n@end %s %d %d\n' "$1" "$status" $((SECONDS - start))
}

for name; do
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
	echo "@begin $name"
	run "$name" &
done
wait
