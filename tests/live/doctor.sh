#!/bin/bash
# ulspctl doctor: on a kernel that the project supports, everything of the base
# and of the cgroup tier is there; the LSM tier is what the kernel says it is.
. "$(dirname "$0")/lib.sh"

ctl doctor -j >"$TMP/rows"
is "doctor -j ends with 0" 0 $?
python3 - "$TMP/rows" >"$TMP/table" <<'E2'
import json, sys
for row in json.load(open(sys.argv[1]))["capabilities"]:
    print(row["tier"], row["id"], "yes" if row["ok"] else "no", row.get("why", ""))
E2
is "its output is JSON with rows" 0 $?
for id in maps ringbuf btf; do like "there is a row for $id" "^base $id " "$(cat "$TMP/table")"; done
while read -r tier id ok why; do
	case $tier in
	cgroup) [ "$id" = held-calls ] || [ "$id" = sock-destroy ] || is "$tier: $id" yes "$ok${why:+ ($why)}" ;;
	base) is "$tier: $id" yes "$ok${why:+ ($why)}" ;;
	esac
done <"$TMP/table"
for id in held-calls sock-destroy; do
	like "the row for $id says no with a reason, or yes" "^cgroup $id (yes|no .+)" "$(cat "$TMP/table")"
done
# Programs can have calls restarted where the kernel's types have the function that does it.
if bpftool btf dump file /sys/kernel/btf/vmlinux 2>/dev/null | grep -q "FUNC 'bpf_task_work_schedule_signal"; then
	like "and it is there" "^cgroup held-calls yes" "$(cat "$TMP/table")"
elif command -v bpftool >/dev/null; then
	like "and it isn't there" "^cgroup held-calls no .*6\\.18" "$(cat "$TMP/table")"
fi
like "the LSM row says no with a reason, or yes" "^lsm lsm (yes|no .+)" "$(cat "$TMP/table")"

# Elsewhere a kernel may list bpf and still refuse, by somebody's policy.
if [ -n "${ULSP_VM:-}" ]; then
	is "our guests can do LSM programs" "lsm lsm yes" "$(grep ^lsm "$TMP/table" | sed 's/ *$//')"
fi
doctor=$(ctl doctor)
is "doctor for people ends with 0" 0 $?
like "and has the same rows" "^yes +cgroup +cgroup-link " "$doctor"
