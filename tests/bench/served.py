"""served.py: what the benchmarks with a server share: a lab, dot2hsm-ra, clients, rows.

A server is measured by its own CPU time (the kernel's schedstat), so that neither the client nor what
else the machine does is in it. Latencies and commits are the clock's.
"""

import glob
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

build, work, rounds, json_path, smoke = (
    sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "yes")
tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
lab = work + "/lab"
root = lab + "/trust/x509-root.pem"
slice_ms = 60 if smoke else 400
rows = []
started = []
os.environ["DOT2HSM_MODULES"] = build + "/lib"


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit("bench: %s: %s" % (" ".join(command)[:200], done.stderr.decode()[-1000:]))
    return done.stdout


def row(name, ratio, target=None, threads=1, at_most=False):
    met = None if target is None else (ratio <= target if at_most else ratio >= target)
    rows.append({"name": name, "threads": threads, "ratio": round(ratio, 4), "target": target, "met": met})
    sign = "<=" if at_most else ">="
    text = "" if target is None else "  %s %-5g %s" % (sign, target, "met" if met else "MISSED")
    print("%-44s %2d  %7.3f%s" % (name, threads, ratio, text), flush=True)


def latency_rows(name, ratios, threads=1):
    """ratios: of each round three, of p50, p99 and p99.9."""
    for i, which in enumerate(("p50", "p99", "p99.9")):
        row("%s %s" % (name, which), statistics.median(x[i] for x in ratios), threads=threads)


def main(body):
    """Measures, ends what was started, and only if all went well writes the rows."""
    try:
        body()
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait()
    write(json_path, ",".join("\n " + json.dumps(x, separators=(",", ":")) for x in rows))
    sys.exit(1 if any(x["met"] is False for x in rows) else 0)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait()
    started.remove(process)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path, mode="r"):
    with open(path, mode) as file:
        return file.read()


def wait_for(path):
    for _ in range(400):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            return
        time.sleep(0.05)
    sys.exit("bench: " + path + " does not appear")


def start(*command, **more):
    with open(work + "/server.log", "a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **more)
    started.append(process)
    return process


def make_lab():
    """The name of its file, which is about what the certificates of a year take."""
    run(build + "/bin/dot2hsm", "lab", "init", lab)
    name = [x for x in os.listdir(lab + "/ra/download") if "_" not in x][0]
    with open(lab + "/ra/download/" + name, "wb") as file:
        file.write(os.urandom(4096))
    return name


def cpu_seconds(pid):
    return sum(int(read(path).split()[0]) for path in glob.glob("/proc/%d/task/*/schedstat" % pid)) / 1e9


class Postgres:
    """A PostgreSQL server in the directory of this run."""

    def __enter__(self):
        os.chmod(work, 0o711)  # it runs as another user
        self.place = run(tests + "/ra/postgres.sh", "start", work + "/pg").decode().strip()
        self.store = "postgresql:" + self.place
        self.pid = int(read(work + "/pg/data/postmaster.pid").split()[0])
        return self

    def __exit__(self, *_):
        run(tests + "/ra/postgres.sh", "stop", work + "/pg")

    def sql(self, *commands):
        run("psql", "-qAtX", *(x for command in commands for x in ("-c", command)), self.place)

    def cpu(self):
        """Of the processes that work for clients."""
        children = [int(x) for x in read("/proc/%d/task/%d/children" % (self.pid, self.pid)).split()]
        return sum(cpu_seconds(x) for x in children if "postgres: dot2hsm" in read("/proc/%d/cmdline" % x))


class Server:
    def __init__(self, process, pid, port, database=None):
        """database: its CPU time counts, too."""
        self.process, self.pid, self.port, self.database = process, pid, port, database

    def cpu(self):
        return cpu_seconds(self.pid) + (self.database.cpu() if self.database else 0)

    def load(self, what, connections, *arguments, **more):
        """CPU seconds per request, requests per second, and latencies."""
        before = self.cpu()
        out = run(build + "/tests/bench_load", what, str(self.port), root, str(connections), *arguments, **more)
        used = self.cpu() - before
        values = [float(x) for x in re.search("RESULT (.*)", out.decode()).group(1).split()]
        return used / values[0], values[0] / values[1], values[2:]

    def get(self, path, header="", how="keep", version="1.3", connections=8):
        return self.load("get", connections, str(slice_ms), how, version, path, *([header] if header else []))


def start_ra(name, database=None, **settings):
    """dot2hsm-ra with the lab's configuration and others of its settings."""
    settings = {"port": 0, "threads": 1, "tolerance": 3600, "port-file": "%s/%s.port" % (work, name),
                "certificate-delay": 3600, "log": work + "/ra.log", **settings}
    text = read(lab + "/ra.conf")
    for setting in list(settings) + ["url-base"]:
        text = re.sub(r"(?m)^%s *=.*\n" % setting, "", text)
    text = text.replace("[ra]\n", "[ra]\n" + "".join("%s = %s\n" % x for x in settings.items()))
    write("%s/%s.conf" % (work, name), text)
    process = start(build + "/bin/dot2hsm-ra", "%s/%s.conf" % (work, name))
    wait_for(settings["port-file"])
    return Server(process, process.pid, int(read(settings["port-file"])), database)


def download_header(name, secured):
    """A Download-Req of the road-side unit's."""
    to = lab + "/trust/ra.oer" if secured else "-"
    return "Download-Req: " + run(build + "/tests/ra_client", "header", lab + "/rse/enrollment.oer",
                                  lab + "/rse/enrollment.key", to, name).decode().strip()


def bodies(count):
    """Requests for application certificates, no two alike, for bench_load post."""
    return run(build + "/tests/ra_client", "bodies", "app", lab + "/rse/enrollment.oer",
               lab + "/rse/enrollment.key", lab + "/trust/ra.oer", str(count))


def bare(what="verify"):
    """Seconds of the bare operations with keys."""
    return 1 / float(run(build + "/tests/bench_ra", what, "1", "20" if smoke else "200"))
