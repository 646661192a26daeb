"""growth.py BUILD WORK ROUNDS JSON SMOKE SVG: what a request costs dot2hsm-ra while there is ever more
of something: open connections, entries of the blacklist, stored requests (SQLite).

A cost is the server's CPU time for a request, in verifications of a signature measured at the same
time. A row is the cost with the least of it by that with the most.
"""

import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys

import plot
import served
from served import lab, rounds, row, smoke, work

PROVISION = "/provision-application-certificate"
CONNECTIONS = (1, 50) if smoke else (1, 10, 100, 1000, 10000)
BLACKLIST = (0, 1000) if smoke else (0, 100, 1000, 10000, 100000, 1000000)
REQUESTS = (100, 1000) if smoke else (1000, 10000, 100000, 1000000)
POSTS = 20 if smoke else 100
TARGET = 0.5  # a million times as much may cost twice as much

# Spread as a year of devices would be: each with a few requests, most of them long done.
BLACKLIST_SQL = "INSERT INTO blacklist (id, added, comment) VALUES (randomblob(8), 0, '')"
REQUEST_SQL = """INSERT INTO requests (request_hash, hash, kind, requester, verify_key, permissions, received,
    download_time, state, detail, certificate, signed_request) VALUES (randomblob(8), randomblob(32), 3,
    randomblob(32), randomblob(33), '80', unixepoch() - abs(random()) % 2000000, 0, abs(random()) % 10 > 0, '',
    randomblob(150), randomblob(330))"""


def fill(store, table, sql, count):
    """Until the table has so many rows. Afterwards nothing is left to be done for them."""
    db = sqlite3.connect(store, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -500000")
    have = db.execute("SELECT count(*) FROM " + table).fetchone()[0]
    db.execute("BEGIN IMMEDIATE")
    db.executemany(sql, (() for _ in range(count - have)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def cost(measure):
    """measure gives CPU seconds."""
    found = []
    for _ in range(rounds):
        verification = served.bare()
        found.append(measure() / verification)
    return statistics.median(found)


def grow(name, points):
    first, last = points[0], points[-1]
    row("growth %s %d to %d" % (name, first[0], last[0]), first[1] / last[1], TARGET)
    print("#   " + "  ".join("%d: %.2f" % point for point in points), flush=True)
    return name, points


def memory(server):
    for line in served.read("/proc/%d/status" % server.pid).splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def connections(header):
    ra = served.start_ra("many", **{"max-connections": 20000, "max-per-address": 20000, "idle-timeout": 3600,
                                    "header-deadline": 3600})
    kept, new = [], []
    empty = 0
    for count in CONNECTIONS:
        with subprocess.Popen([served.build + "/tests/bench_load", "idle", str(ra.port), served.root, str(count)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
            if idle.stdout.readline() != b"ready\n":
                sys.exit("bench: %d connections cannot be opened" % count)
            kept.append((count, cost(lambda: ra.get("/download/application-certificate", header)[0])))
            new.append((count, cost(lambda: ra.get("/download/local-certificate-chain", how="new")[0])))
            full = memory(ra)
            empty = empty or full
            idle.stdin.close()
    print("#   memory: %.1f kB for each open connection" % ((full - empty) / (CONNECTIONS[-1] - CONNECTIONS[0])))
    served.stop(ra.process)
    return [grow("connections: download", kept), grow("connections: new one", new)]


def blacklist(header):
    store = shutil.copy(lab + "/ra/store.sqlite", work + "/blacklist.sqlite")
    ra = served.start_ra("blacklist", store="sqlite:" + store)
    points = []
    for count in BLACKLIST:
        fill(store, "blacklist", BLACKLIST_SQL, count)
        points.append((count, cost(lambda: ra.get("/download/application-certificate", header)[0])))
    served.stop(ra.process)
    return [grow("blacklist: download", points)]


def requests():
    store = shutil.copy(lab + "/ra/store.sqlite", work + "/requests.sqlite")
    ra = served.start_ra("requests", store="sqlite:" + store,
                         **{"max-requests": 0, "one-application-request": "no"})
    points = []
    for count in REQUESTS:
        fill(store, "requests", REQUEST_SQL, count)
        points.append((count, cost(lambda: ra.load("post", 8, PROVISION, input=served.bodies(POSTS))[0])))
    served.stop(ra.process)
    return [grow("requests: POST", points)]


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS[-1] + 100:
        sys.exit("bench: %d open files are allowed, too few" % hard)
    name = served.make_lab()
    header = served.download_header(name, False)
    panels = [("Open connections", "open connections", connections(header)),
              ("Blacklist", "entries", blacklist(header)),
              ("Stored requests", "requests in the store", requests())]
    shown = [(title, axis, [(line.split(": ")[1], points) for line, points in lines]) for title, axis, lines in panels]
    served.write(sys.argv[6], plot.svg("CPU time, in verifications", shown))


served.main(main)
