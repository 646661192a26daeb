#!/usr/bin/env python3
"""Allocations fail in dot2hsm-ra while it runs: as it reads its configuration anew (SIGHUP), and as
it looks at its CRLs and its policy each second.

Two laboratories take turns in one server. After a reload that failed all is as it was, TLS, trust,
keys, chain file, CRLs and figures, and one line of the log says why; the next one succeeds. A CRL
or policy for which there was no memory is in force a moment later. With DOT2HSM_LONG every
allocation is tried, alone and with all that follow; without, some.
"""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from scarce_common import BUILD, FOUND, LONG, SAID, SCARCE, fail, program, read, write

SOME = 4 # in the short form
LABS = ("one", "two")
BEGIN = time.time()
MORE = """
metrics-port = 0
policy-limits = yes
certificate-delay = 2
"""


def configuration(lab):
    """What differs, and what is the same: store, downloads, ports."""
    text = re.sub(r"^port = .*", "port = 0", read(f"{lab}/ra.conf"), flags=re.M)
    text = re.sub(r"^certificate-delay.*\n", "", text, flags=re.M)
    for option, value in (("store", f"sqlite:{os.getcwd()}/one/ra/store.sqlite"),
                          ("download-dir", f"{os.getcwd()}/one/ra/download")):
        text = re.sub(rf"^{option} = .*", f"{option} = {value}", text, flags=re.M)
    return (text + MORE + f"port-file = {os.getcwd()}/port\n"
            f"crl-file = {os.getcwd()}/{lab}/ra/crl.oer\ncrl-port = 0\n"
            f"crl-port-file = {os.getcwd()}/crl.port\n"
            f"metrics-port-file = {os.getcwd()}/metrics.port\n")


def stamp(number):
    """A time of the last day, the later the greater the number."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN - 80000 + number))


def put_crl(lab, number):
    """Another list of the same laboratory."""
    program("dot2hsm", "lab", "crl", "--issued", stamp(number), "--out", "crl.new", lab)
    os.rename("crl.new", f"{lab}/ra/crl.oer")


def make_lab(lab):
    program("dot2hsm", "lab", "init", f"{os.getcwd()}/{lab}")
    (name,) = [n for n in os.listdir(f"{lab}/ra/download") if "_" not in n]
    put_crl(lab, 0) # of the past, so that there can be newer ones
    if lab != LABS[0]: # its device's file is in the one store
        shutil.copy(f"{lab}/ra/download/{name}", f"{LABS[0]}/ra/download/{name}")
        program("dot2hsm", "ra", "files", "assign", "--config", f"{LABS[0]}/ra.conf", name,
                f"{lab}/rse/enrollment.oer")
    return name


class Server:
    """dot2hsm-ra, which is told when allocations fail."""

    def __init__(self):
        self.use(LABS[0])
        self.log = open("ra.log", "ab")
        self.ra = subprocess.Popen(
            [SCARCE + "-ra", "ra.conf"], stderr=self.log, stdout=subprocess.DEVNULL,
            env=dict(os.environ, DOT2HSM_SCARCE_AFTER="after", DOT2HSM_SCARCE="0",
                     DOT2HSM_PROVIDER_PATH=f"{BUILD}/lib"))
        self.wait(lambda: os.path.exists("port"), "start")
        self.ports = [int(read(name)) for name in ("port", "crl.port", "metrics.port")]
        for lab in LABS:
            for name in ("ee.conf",):
                text = read(f"{lab}/{name}").replace("localhost:8892", f"localhost:{self.ports[0]}")
                write(f"{lab}/{name}", text.replace("[ee]", "[ee]\ndownload-header = secured"))

    @staticmethod
    def use(lab):
        write("ra.conf.new", configuration(lab))
        os.rename("ra.conf.new", "ra.conf")

    def wait(self, until, what):
        end = time.monotonic() + 30
        while not until():
            if time.monotonic() > end or self.ra.poll() is not None:
                fail(f"{what}: {self.ra.poll()} {read('ra.log')[-3000:]}")
            time.sleep(0.002)

    def told(self, what, number, lasting, change=None):
        """Tells main something, with failures from then on until it is done; what it has logged.
        change: what is done to files before, while the server stands still."""
        if change is not None:
            self.ra.send_signal(signal.SIGSTOP)
            change()
        at = os.path.getsize("ra.log")
        if os.path.exists("after.done"):
            os.unlink("after.done")
        write("after.part", f"{number}{'+' if lasting else ''}")
        os.rename("after.part", f"after.{what}")
        self.ra.send_signal(signal.SIGHUP if what == "hup" else signal.SIGCONT)
        self.wait(lambda: os.path.exists("after.done"), what)
        with open("ra.log", encoding="ascii", errors="replace") as file:
            file.seek(at)
            said = file.read()
        if FOUND.search(said):
            fail(said)
        return said, int(read("after.done"))

    def stop(self):
        self.ra.send_signal(signal.SIGTERM)
        code = self.ra.wait(30)
        self.log.close()
        if code != 0 or FOUND.search(read("ra.log")):
            fail(f"the server ended with {code}: {read('ra.log')[-3000:]}")


def fetch(port, path=None):
    """The certificate of TLS, and what GET gives."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain) as tls:
            answer = b""
            if path is not None:
                tls.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                            .encode())
                while got := tls.recv(65536):
                    answer += got
            return tls.getpeercert(True), answer.partition(b"\r\n\r\n")[2]


def figures(port):
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = b""
        while got := plain.recv(65536):
            answer += got
    return answer.decode()


def in_force(server, lab, names):
    """Whether all of that laboratory is; some of it is an error."""
    tls = ssl.PEM_cert_to_DER_cert(re.search("-----BEGIN.*?END CERTIFICATE-----\n",
                                             read(f"{lab}/ra/tls.pem"), re.S)[0])
    with open(f"{lab}/ra/local_certificate_chains_01_01.oer", "rb") as file:
        chain = file.read()
    id_of = re.search("HashedId8 +([0-9A-Fa-f]{16})",
                      program("dot2hsm", "hash", f"{lab}/trust/ra.oer"))[1].upper()
    served, octets = fetch(server.ports[0], "/download/local-certificate-chain")
    of_crl, _ = fetch(server.ports[1])
    download = subprocess.run(
        [f"{BUILD}/bin/dot2hsm", "ee", "download", "--config", f"{lab}/ee.conf", "--out", "got",
         names[lab]], capture_output=True, check=False, text=True)
    if os.path.exists("got"):
        os.unlink("got")
    found = [served == tls, of_crl == tls, octets == chain,
             f'certificate="{id_of}"' in figures(server.ports[2]), download.returncode == 0]
    if any(found) != all(found):
        fail(f"half of {lab} is in force: {found} {download.stderr} {read('ra.log')[-2000:]}")
    return found[0]


def numbers(counted):
    step = 1 if LONG else max(1, counted // SOME)
    for number in range(1, counted + 1, step):
        for lasting in (False, True) if LONG else (number // step % 2 == 1,):
            yield number, lasting


def reload_one_after_the_other(server, names):
    begun = time.monotonic()
    now, errors, tried = 0, 0, 0
    said, counted = server.told("hup", 0, False)
    if counted < 100 or said.count("event=reloaded") != 1:
        fail(f"reload: {counted} {said}")
    for number, lasting in numbers(counted):
        server.use(LABS[1 - now])
        said, _ = server.told("hup", number, lasting)
        tried += 1
        # Without those of connections, which may have ended just now.
        said = re.sub("^.* level=info .*\n", "", said, flags=re.M)
        lines = re.findall("^.*event=(?:not_)?reloaded.*$", said, flags=re.M)
        where = f"reload, allocation {number}{'+' if lasting else ''}: {said}"
        if len(lines) != 1 or (len(said.splitlines()) != 1 and "not_reloaded" in said):
            fail(where)
        if "not_reloaded" in lines[0]:
            errors += 1
            if not SAID.search(lines[0]) or not in_force(server, LABS[now], names):
                fail(where)
            said, _ = server.told("hup", 0, False)
            if said.count("event=reloaded") != 1:
                fail(f"{where} afterwards: {said}")
        now = 1 - now
        if not in_force(server, LABS[now], names):
            fail(f"{where} afterwards")
    print(f"- reload: {counted} allocations, {tried} tried, {errors} errors, "
          f"{time.monotonic() - begun:.1f} s", flush=True)
    if errors == 0:
        fail("reload: no error")
    return now


def put_policy(lab, number):
    program("dot2hsm", "lab", "policy", "--max-request-age", str(number), "--out", "policy.new",
            lab)
    os.rename("policy.new", f"{lab}/ra/local_policy_01.oer")


def looks_one_after_the_other(server, lab, put, event, value):
    """A file is replaced, and the look at it has no memory."""
    begun = time.monotonic()
    errors = tried = 0
    at = os.path.getsize("ra.log")
    counted = None

    def seen(number):
        with open("ra.log", encoding="ascii", errors="replace") as file:
            file.seek(at)
            return re.search(f"event={event} .*{value(number)}", file.read()) is not None

    for number, lasting in [(0, False), *((n, bool(n % 2)) for n in range(1, 1000))]:
        if counted is not None and number > counted:
            break
        if not LONG and number > 0 and (number - 1) % max(1, counted // 4) != 0:
            continue
        tried += 1
        said, used = server.told("look", number, lasting, lambda: put(lab, tried))
        counted = used if counted is None else counted
        if f"event={event}_not_used" in said:
            errors += 1
            if not SAID.search(said):
                fail(f"{event}, allocation {number}: {said}")
        server.wait(lambda: seen(tried), f"{event}, allocation {number}: {said}")
    print(f"- {event}: {counted} allocations, {tried} tried, {errors} errors, "
          f"{time.monotonic() - begun:.1f} s", flush=True)
    if errors == 0:
        fail(f"{event}: no error")


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        os.umask(0o077)
        os.environ.pop("DOT2HSM_CONF", None)
        names = {lab: make_lab(lab) for lab in LABS}
        server = Server()
        try:
            if not in_force(server, LABS[0], names) or in_force(server, LABS[1], names):
                fail("the server does not begin with the first laboratory")
            lab = LABS[reload_one_after_the_other(server, names)]
            looks_one_after_the_other(server, lab, put_policy, "policy",
                                      lambda number: f"max_request_age={3600 * number} ")
            looks_one_after_the_other(server, lab, put_crl, "crl",
                                      lambda number: f"issued={stamp(number)} ")
            server.stop()
        finally:
            if server.ra.poll() is None:
                server.ra.kill()
                server.ra.wait()
            os.chdir("/")


sys.exit(main())
