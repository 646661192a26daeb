#!/usr/bin/env bash
# smoke.sh MODE: the benchmark runs and has all its rows; that of the provider counts the calls that
# are promised.
set -euo pipefail
json=$(mktemp)
trap 'rm -f "$json"' EXIT
"$SOURCE_DIR/tests/bench/run.sh" "$1" --smoke --json "$json"
python3 - "$1" "$json" <<'PYTHON'
import json, sys
rows = {(row["name"], row["threads"]): row for row in json.load(open(sys.argv[2]))}
assert all(row["ratio"] > 0 for row in rows.values()), rows
if sys.argv[1] == "provider":
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
elif sys.argv[1] == "codec":
    for message in "certificate", "signed-request", "encrypted-request":
        assert ("decodes-per-verification " + message, 1) in rows
        assert rows["encodes-per-decode " + message, 1]["target"] == 1
    assert rows["decodes-per-verification certificate", 1]["target"] == 130
elif sys.argv[1] == "server":
    for name in "downloads signed", "new connections", "handshakes TLS 1.2 resumed":
        assert rows[name, 1]["target"] == 0.6
    for part in "p50", "p99", "p99.9":
        assert ("downloads secured " + part, 1) in rows
else:
    for form, target in ("signed", 0.9), ("secured", 0.85):
        for threads in 1, 2:
            assert rows[form + " warm", threads]["target"] == target
            assert (form + " cold", threads) in rows
PYTHON
