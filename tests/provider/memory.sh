# memory.sh: the provider's tests under valgrind: no leak, no access outside of what is allocated.
set -eu
command -v valgrind >/dev/null || {
    echo "valgrind is not installed" >&2
    exit 1
}
for test in "$@"; do
    echo "-- $test"
    valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite,indirect --error-exitcode=9 \
        "$BUILD_DIR/tests/$test"
done
