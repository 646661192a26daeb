#!/usr/bin/env bash
# smoke.sh MODE: the benchmark runs and has all its rows; that of the provider counts the calls that
# are promised.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$SOURCE_DIR/tests/bench/run.sh" "$1" --smoke --json "$dir/rows" --plot "$dir/plot"
python3 - "$1" "$dir/rows" "$dir/plot" <<'PYTHON'
import json, os, sys, xml.dom.minidom
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
    for name in "downloads signed", *("connections TLS " + x for x in ("1.2", "1.2 resumed", "1.3", "1.3 resumed")):
        assert rows[name, 1]["target"] == 0.6
        for part in "p50", "p99", "p99.9":
            assert (name + " " + part, 1) in rows
    workers = 2 * os.cpu_count()
    assert rows["posts durable sqlite", workers]["target"] == 0.5
    assert ("posts durable postgresql", workers) in rows
elif sys.argv[1] == "growth":
    for name in ("connections: download 1 to 50", "connections: new one 1 to 50",
                 "blacklist download: SQLite 0 to 1000", "requests POST: SQLite 100 to 1000"):
        assert rows["growth " + name, 1]["target"] == 0.5
    drawing = xml.dom.minidom.parse(sys.argv[3])
    assert [x.getAttribute("points").count(",") for x in drawing.getElementsByTagName("polyline")] == [2] * 4
elif sys.argv[1] == "ee":
    for part in "wall", "CPU", "peak RSS":
        for name in ("download, key in a file", "download, key in SoftHSM", "start openssl list -providers",
                     "start dot2hsm --version", "start dot2hsm-ra --check"):
            assert (name + " " + part, 1) in rows
    assert ("start dot2hsm-ra to first connection wall", 1) in rows
    for name in "dot2hsm", "dot2hsm-ra", "dot2hsm.so", "libdot2hsm.so", "libdot2hsm-ra.so":
        assert ("size " + name, 1) in rows
else:
    for form, target in ("signed", 0.9), ("secured", 0.85):
        for threads in 1, 2:
            assert rows[form + " warm", threads]["target"] == target
            assert (form + " cold", threads) in rows
PYTHON
