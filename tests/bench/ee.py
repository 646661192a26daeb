"""ee.py BUILD WORK ROUNDS JSON SMOKE: what a device's programs take that start, do one thing and end.

`dot2hsm ee download`, with the key in a file and in a SoftHSM token, beside curl, which fetches the same
file from the same server with a header that was signed before; programs that do nothing beside
`openssl version`; and how large the files are. A ratio is the other's by ours: 1 is as good.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import served
from served import build, lab, row, run, smoke, work

ROUNDS = 1 if smoke else 31
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PARTS = ("wall", "CPU", "peak RSS")


def cold(*command):
    """Wall seconds, CPU seconds, peak RSS in kB of one run."""
    done = subprocess.run([build + "/tests/bench_cold", *command], capture_output=True)
    if done.returncode != 0:
        sys.exit("bench: %s: %s" % (" ".join(command)[:200], done.stderr.decode()[-1000:]))
    return [float(x) for x in re.findall("RESULT (.*)", done.stderr.decode())[-1].split()]


def compare(least, subjects):
    """Rows of each subject, all taking turns: least's by the subject's."""
    found = {name: [] for name in subjects}
    times = {name: [] for name in ("", *subjects)}
    for _ in range(ROUNDS):
        bare = cold(*least)
        times[""].append(bare)
        for name, command in subjects.items():
            ours = cold(*command)
            times[name].append(ours)
            found[name].append([a / b for a, b in zip(bare, ours)])
    for name, ratios in found.items():
        for i, part in enumerate(PARTS):
            row("%s %s" % (name, part), statistics.median(x[i] for x in ratios))
    for name, values in times.items():
        wall, cpu, rss = (statistics.median(x[i] for x in values) for i in range(3))
        print("#   %-40s %6.1f ms  %6.1f ms CPU  %5.1f MB" % (name or least[0], wall * 1e3, cpu * 1e3, rss / 1e3))


def make_token():
    """The enrollment key once more, in a token: the options that name it."""
    os.mkdir(work + "/tokens")
    served.write(work + "/softhsm2.conf", "directories.tokendir = %s/tokens\nlog.level = ERROR\n" % work)
    os.environ["SOFTHSM2_CONF"] = work + "/softhsm2.conf"
    served.write(work + "/pin", "1234")
    os.chmod(work + "/pin", 0o600)
    run("softhsm2-util", "--init-token", "--free", "--label", "rse", "--pin", "1234", "--so-pin", "87654321")
    run("softhsm2-util", "--import", lab + "/rse/enrollment.key", "--token", "rse", "--label", "enrollment", "--id", "01",
        "--pin", "1234")
    return ["--module", SOFTHSM, "--token", "pkcs11:token=rse", "--pin-source", "file:" + work + "/pin",
            "--enrollment-key", "pkcs11:token=rse;object=enrollment"]


def downloads(ra, name):
    header = served.download_header(name, True)
    url = "https://localhost:%d" % ra.port
    curl = ["curl", "-sf", "--cacert", served.root, "-H", header, "-o", work + "/got-curl",
            url + "/download/application-certificate"]
    ee = [build + "/bin/dot2hsm", "ee", "download", "-q", "--restart", "--config", lab + "/ee.conf", "--ra-url", url]
    compare(curl, {"download, key in a file": [*ee, "--out", work + "/got-file", name],
                   "download, key in SoftHSM": [*ee, *make_token(), "--out", work + "/got-token", name]})
    for got in "curl", "file", "token":
        if served.read(work + "/got-" + got, "rb") != served.read(lab + "/ra/download/" + name, "rb"):
            sys.exit("bench: %s got other octets" % got)


def starts(ra):
    compare(["openssl", "version"],
            {"start openssl list -providers": ["openssl", "list", "-providers", "-provider-path", build + "/lib",
                                               "-provider", "dot2hsm", "-provider", "default"],
             "start dot2hsm --version": [build + "/bin/dot2hsm", "--version"],
             "start dot2hsm-ra --version": [build + "/bin/dot2hsm-ra", "--version"],
             "start dot2hsm-ra --check": [build + "/bin/dot2hsm-ra", "--check", work + "/ra.conf"]})
    found, times = [], []
    for _ in range(ROUNDS):
        bare = cold("openssl", "version")[0]
        times.append(first_connection())
        found.append(bare / times[-1])
    row("start dot2hsm-ra to first connection wall", statistics.median(found))
    print("#   %-40s %6.1f ms" % ("dot2hsm-ra to first connection", statistics.median(times) * 1e3))


def first_connection():
    """Seconds from the start of dot2hsm-ra until somebody who waits for it is connected."""
    port_file = work + "/again.port"
    if os.path.exists(port_file):
        os.remove(port_file)
    begin = time.monotonic()
    process = served.start(build + "/bin/dot2hsm-ra", work + "/again.conf")
    while not os.path.exists(port_file) or not served.read(port_file):
        if time.monotonic() > begin + 20:
            sys.exit("bench: dot2hsm-ra does not start")
        time.sleep(0.0005)
    socket.create_connection(("127.0.0.1", int(served.read(port_file)))).close()
    took = time.monotonic() - begin
    served.stop(process)
    return took


def sizes():
    """Stripped; the measure is libcrypto."""
    library = re.search(r"=> (\S*libcrypto\.so\S*)", run("ldd", shutil.which("openssl")).decode()).group(1)
    least = os.path.getsize(os.path.realpath(library))
    for path in ("bin/dot2hsm", "bin/dot2hsm-ra", "lib/dot2hsm.so", "lib/libdot2hsm.so", "lib/libdot2hsm-ra.so"):
        run("strip", "-o", work + "/stripped", build + "/" + path)
        size = os.path.getsize(work + "/stripped")
        row("size %s" % os.path.basename(path), least / size)
        print("#   %s: %d kB" % (os.path.basename(path), size // 1000))


def main():
    name = served.make_lab()
    ra = served.start_ra("ra")
    again = served.read(work + "/ra.conf").replace("/ra.port", "/again.port")
    served.write(work + "/again.conf", again)
    downloads(ra, name)
    starts(ra)
    sizes()


served.main(main)
