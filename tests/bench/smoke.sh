#!/usr/bin/env bash
# The benchmark of the provider runs, has all its rows, and counts the calls that are promised.
set -euo pipefail
json=$(mktemp)
trap 'rm -f "$json"' EXIT
"$SOURCE_DIR/tests/bench/run.sh" provider --smoke --json "$json"
python3 - "$json" <<'PYTHON'
import json, sys
rows = {(row["name"], row["threads"]): row for row in json.load(open(sys.argv[1]))}
for work in "sign-kept", "sign-fresh", "derive", "open":
    for threads in 1, 2, 4, 16:
        assert rows[work + " dot2hsm", threads]["ratio"] > 0, (work, threads)
for work in "sign-kept", "sign-fresh", "derive":
    for threads in 1, 4:
        assert rows["1ms-" + work + " dot2hsm", threads]["target"] == 0.95
for work, calls in ("sign-kept", 2), ("sign-fresh", 2), ("derive", 3):
    assert rows["calls-per-" + work + " bare", 1]["ratio"] == calls
    assert rows["calls-per-" + work + " dot2hsm", 1]["ratio"] == calls, rows
assert rows["calls-per-open dot2hsm", 1]["met"], rows
PYTHON
