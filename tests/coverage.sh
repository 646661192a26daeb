#!/usr/bin/env bash
# coverage.sh [OPTION]...: which lines of protocol/ and asn1/ the tests come by. Builds in build/coverage
# for gcov, runs the tests there, the fuzz targets over their seeds among them, and prints gcovr's summary.
# Needs gcovr, which nothing else here does. Takes minutes, and is no part of a CI run.
#
#   --corpus DIR   also replay DIR/TARGET, what a libFuzzer run has found, for each target
#   --tests REGEX  only tests with these names (default: all but the long ones)
#   --lines        for each file that is not whole, the lines that were not run
#   --at-least N   fail if less than N % of the lines were run (default 90)
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build=$source_dir/build/coverage
corpus='' regex=. lines='' least=90
while [ $# -gt 0 ]; do
    case $1 in
    --corpus) corpus=$(cd "${2:?--corpus needs a directory}" && pwd) && shift ;;
    --tests) regex=${2:?--tests needs a regular expression} && shift ;;
    --at-least) least=${2:?--at-least needs a number} && shift ;;
    --lines) lines=yes ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "coverage.sh: unknown argument $1 (see --help)" >&2
        exit 2
        ;;
    esac
    shift
done
command -v gcovr >/dev/null || {
    echo "coverage.sh: gcovr is missing: apt-get install gcovr" >&2
    exit 2
}

# -O0, so that a line is a line; counters of several threads and processes are to add up.
cmake -G Ninja -S "$source_dir" -B "$build" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_C_FLAGS="--coverage -fprofile-update=atomic" >/dev/null
cmake --build "$build" | tail -n 1
find "$build" -name '*.gcda' -delete
# Without story_packages: it refuses what names the build directory, as all that is instrumented does.

failed=0
DOT2HSM_LONG='' ctest --test-dir "$build" -R "$regex" -E '^story_packages$' -LE long --no-tests=error >"$build/ctest.log" 2>&1 ||
    failed=1
grep -E 'tests passed|\*\*\*' "$build/ctest.log" || true
if [ -n "$corpus" ]; then
    export DOT2HSM_MODULES=$build/lib
    for directory in "$corpus"/*/; do
        target=$(basename "$directory")
        if [ -x "$build/tests/fuzz_$target" ]; then
            "$build/tests/fuzz_$target" "$directory"
        else
            "$build/tests/fuzz_replay" "$target" "$directory"
        fi
    done
fi

# What asn1c generates is not ours. A gcda of a process that was killed meanwhile is no reason to stop.
report=(gcovr --root "$source_dir" --object-directory "$build" --filter "$source_dir/protocol/"
    --filter "$source_dir/asn1/" --gcov-ignore-parse-errors --exclude-unreachable-branches)
if [ -n "$lines" ]; then
    "${report[@]}" --sort-percentage
else
    "${report[@]}" --sort-percentage | sed 's/ [0-9,-]*$//'
fi
"${report[@]}" --print-summary --fail-under-line "$least" | tail -n 3
[ "$failed" = 0 ] || echo "coverage.sh: some tests failed, see build/coverage/ctest.log" >&2
