#!/usr/bin/env bash
# Builds and tests everything. Installs what is missing (as root or with sudo), see cmake/setup.sh.
#
#   ./test.sh              all presets, long tests in their short form
#   ./test.sh --long       the same, long tests in full
#   ./test.sh --preset P   one preset only: release, asan, tsan or fuzz
set -euo pipefail
cd "$(dirname "$0")"
. cmake/setup.sh

presets="release asan tsan fuzz"
export DOT2HSM_LONG=
while [ $# -gt 0 ]; do
    case $1 in
    --long) DOT2HSM_LONG=1 ;;
    --preset)
        presets=${2:?--preset needs a name}
        shift
        ;;
    -h | --help)
        sed -n '2,6s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "test.sh: unknown argument $1 (see --help)" >&2
        exit 2
        ;;
    esac
    shift
done

# shellcheck disable=SC2086
setup_packages $SETUP_BUILD_PACKAGES $SETUP_RUN_PACKAGES $SETUP_TEST_PACKAGES \
    ${DOT2HSM_LONG:+$SETUP_LONG_PACKAGES}

failed=
passed=0
failures=0
for preset in $presets; do
    setup_build "$preset"
    echo "== Testing ($preset)"
    log="build/$preset/ctest.log"
    select=()
    [ -n "$DOT2HSM_LONG" ] || select+=(-LE long)
    # The fuzz preset is for the fuzz targets; everything else ran in the others.
    [ "$preset" != fuzz ] || select+=(-L fuzz)
    # Twice as many as cores: most of the long tests wait for a clock, or for one another's programs.
    if ! ctest --preset "$preset" -j "$((2 * $(nproc)))" --no-tests=error "${select[@]}" >"$log" 2>&1; then
        failed="$failed $preset"
    fi
    # A test that could not run for want of something counts as failed: nothing here is optional.
    if grep -Eq '\*\*\*(Skipped|Not Run)' "$log"; then
        failed="$failed $preset(skipped)"
    fi
    case " $failed" in
    *" $preset"*) cat "$log" ;;
    *) grep -E 'tests passed|Total Test time' "$log" ;;
    esac
    passed=$((passed + $(grep -Ec '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log" || true)))
    failures=$((failures + $(grep -Ec '^ *[0-9]+/[0-9]+ Test .*\*\*\*' "$log" || true)))
done

echo "$passed passed, $failures failed"
if [ -n "$failed" ]; then
    echo "Failed in:$failed" >&2
    exit 1
fi
