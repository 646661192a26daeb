"""growth.py BUILD WORK ROUNDS JSON SMOKE SVG: what a request costs dot2hsm-ra while there is ever more
of something: open connections, entries of the blacklist, stored requests.

A cost is the server's CPU time for a request, and PostgreSQL's where it has the store, in verifications
of a signature measured at the same time. A row is the cost with the least of it by that with the most.
"""

import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time

import plot
import served
from served import lab, rounds, row, smoke, work

PROVISION = "/provision-application-certificate"
CONNECTIONS = (1, 50) if smoke else (1, 10, 100, 1000, 10000)
BLACKLIST = (0, 1000) if smoke else (0, 100, 1000, 10000, 100000, 1000000)
REQUESTS = (100, 1000) if smoke else (1000, 10000, 100000, 1000000)
POSTS = 20 if smoke else 100
TARGET = 0.5  # a million times as much may cost twice as much

# Spread as a year of devices would be: most requests long done, one in ten waits for its CA.
BLACKLIST_SQL = "INSERT INTO blacklist (id, added, comment) VALUES (randomblob(8), 0, '')"
REQUEST_SQL = """INSERT INTO requests (request_hash, hash, kind, requester, verify_key, permissions, received,
    download_time, state, detail, certificate, signed_request) VALUES (randomblob(8), randomblob(32), 3,
    randomblob(32), randomblob(33), '80', unixepoch() - abs(random()) % 2000000, 0, abs(random()) % 10 > 0, '',
    randomblob(150), randomblob(330))"""
PG_BLACKLIST_SQL = """INSERT INTO dot2hsm.blacklist (id, added, comment)
    SELECT substr(sha256(i::text::bytea), 1, 8), 0, '' FROM generate_series(%d, %d) i"""
PG_REQUEST_SQL = """INSERT INTO dot2hsm.requests (request_hash, hash, kind, requester, verify_key, permissions,
    received, download_time, state, detail, certificate, signed_request)
    SELECT substr(h, 1, 8), h, 3, sha256(h), '\\x02' || h, '80', extract(epoch FROM now())::int8 - i * 2, 0,
    (i %% 10 > 0)::int, '', repeat('ab', 75)::bytea, repeat('cd', 165)::bytea
    FROM (SELECT i, sha256(i::text::bytea) AS h FROM generate_series(%d, %d) i) AS made"""


class Sqlite:
    """A copy of the lab's store, so that the lab's files are known to it."""

    def __init__(self, name):
        self.path = shutil.copy(lab + "/ra/store.sqlite", "%s/%s.sqlite" % (work, name))
        self.store, self.database = "sqlite:" + self.path, None

    def fill(self, table, have, count):
        """From have rows of these to count. Afterwards nothing is left to be done for them."""
        db = sqlite3.connect(self.path, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -500000")
        db.execute("BEGIN IMMEDIATE")
        db.executemany(BLACKLIST_SQL if table == "blacklist" else REQUEST_SQL, (() for _ in range(count - have)))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()


class Pg:
    def __init__(self, database):
        self.store, self.database = database.store, database

    def fill(self, table, have, count):
        insert = PG_BLACKLIST_SQL if table == "blacklist" else PG_REQUEST_SQL
        self.database.sql(insert % (have + 1, count), "ANALYZE dot2hsm." + table, "CHECKPOINT")
        time.sleep(0.2)  # until the processes that did it are gone


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


def stored(table, kind, store, counts, what, measure):
    """measure(server) gives CPU seconds."""
    ra = served.start_ra(table, store.database, store=store.store,
                         **{"max-requests": 0, "one-application-request": "no"})
    points, have = [], 0
    for count in counts:
        store.fill(table, have, count)
        have = count
        points.append((count, cost(lambda: measure(ra))))
    served.stop(ra.process)
    return grow("%s %s: %s" % (table, what, kind), points)


def stores(name, header):
    """Lines for the blacklist, and for the requests."""
    lines = [], []

    def both(kind, store):
        lines[0].append(stored("blacklist", kind, store, BLACKLIST, "download",
                               lambda ra: ra.get("/download/application-certificate", header)[0]))
        lines[1].append(stored("requests", kind, store, REQUESTS, "POST",
                               lambda ra: ra.load("post", 8, PROVISION, input=served.bodies(POSTS))[0]))

    both("SQLite", Sqlite("store"))
    if smoke:  # to make a cluster takes longer than all the rest
        return lines
    with served.Postgres() as database:
        served.stop(served.start_ra("empty", store=database.store).process)  # which makes the tables
        served.run(served.build + "/bin/dot2hsm", "ra", "files", "assign", "--store", database.store, name,
                   lab + "/rse/enrollment.oer")
        both("PostgreSQL", Pg(database))
    return lines


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS[-1] + 100:
        sys.exit("bench: %d open files are allowed, too few" % hard)
    name = served.make_lab()
    header = served.download_header(name, False)
    opened = connections(header)
    listed, requested = stores(name, header)
    panels = [("Open connections", "open connections", opened),
              ("Blacklist: a download", "entries", listed),
              ("Stored requests: a POST", "requests in the store", requested)]
    shown = [(title, axis, [(line.split(": ")[1], points) for line, points in lines]) for title, axis, lines in panels]
    served.write(sys.argv[6], plot.svg("CPU time, in verifications", shown))


served.main(main)
