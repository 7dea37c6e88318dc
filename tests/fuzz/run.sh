#!/bin/bash
# Coverage-guided fuzzing of what reads hostile text: FUZZ_SECONDS for each
# target, from the corpus that the unit tests replay; finds go to
# $BUILD/fuzz/TARGET-*.  Needs clang's fuzzer runtime (libclang-rt-14-dev).
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build} CLANG=${CLANG:-clang} SECONDS_EACH=${FUZZ_SECONDS:-60}
out=$BUILD/fuzz
mkdir -p "$out"
flags="-std=gnu11 -O1 -g -D_GNU_SOURCE -DULSP_VERSION=\"fuzz\" -Ibpf -Ipolicy -Iloader -Iulsp -I$BUILD/gen
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wno-everything"
policy="$(ls policy/*.c) $BUILD/gen/policy_gram.c $BUILD/gen/policy_lex.c"

# target NAME SOURCES...: tests/fuzz/fuzz_NAME.c, corpus tests/fuzz/NAME
target() {
	local name=$1
	shift
	echo "== $name, ${SECONDS_EACH}s"
	# shellcheck disable=SC2086
	$CLANG $flags "tests/fuzz/fuzz_$name.c" "$@" -ljson-c -lsystemd -o "$out/$name"
	mkdir -p "$out/corpus-$name"
	"$out/$name" -max_total_time="$SECONDS_EACH" -timeout=10 -print_final_stats=1 \
		-artifact_prefix="$out/$name-" "$out/corpus-$name" "tests/fuzz/$name" 2>"$out/$name.log" ||
		{ tail -30 "$out/$name.log"; exit 1; }
	grep -E 'stat::(number_of_executed_units|average_exec)' "$out/$name.log"
}
# shellcheck disable=SC2086
target policy $policy tests/unit/policy_same.c loader/reader.c
# shellcheck disable=SC2086
target decide $policy tests/unit/genrules.c loader/reader.c
target control loader/control.c
target prompt ulsp/prompt.c ulsp/escape.c
target firewall_rules ulsp/rules.c ulsp/rules_parse.c ulsp/rules_print.c
