#!/usr/bin/env bash
# docs/conformance.md names only tests that there are, and every published error code.
set -euo pipefail
table=$SOURCE_DIR/docs/conformance.md
known=$(ctest --test-dir "$BUILD_DIR" -N | sed -n 's/^ *Test *#[0-9]*: //p')
bad=0
# The last column of each row that has three or four of them.
tests=$(sed -n 's/^|.*|\([^|]*\)|$/\1/p' "$table" | grep -o '`[a-z0-9_]*`' | tr -d '`' | sort -u)
[ -n "$tests" ] || { echo "no test is named in $table" >&2; exit 1; }
for name in $tests; do
    grep -qx "$name" <<<"$known" || { echo "$table names a test that is none: $name" >&2; bad=1; }
done
for code in $(grep -o 'SCMS_RA_[A-Z_]* = [0-9]*' "$SOURCE_DIR/protocol/scms/scms.h" | grep -o '[0-9]*$'); do
    grep -q "^| $code |" "$table" || { echo "$table has not the code $code" >&2; bad=1; }
done
exit $bad
