#!/usr/bin/env python3
"""Allocations fail in dot2hsm and dot2hsm-ra, the first, the second and so on: scarce_program.c.

Each command ends with an error of memory and leaves no half of a file, or does all that it should;
none crashes or leaks; and the same command succeeds afterwards. With DOT2HSM_LONG every
allocation is tried, alone and with all that follow; without, some of each command. An argument
is a part of the name of the commands that are wanted.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from scarce_common import (BUILD, FOUND, LONG, SAID, SCARCE, difference, environment, fail,
                           make_token, program, read, restore, tree, write, MODULE)

SOME = 2 if os.environ.get("SANITIZE") else 3 # of each command, in the short form


class Command:
    """One command line. out: the file that it writes, with its mode; state: the directories that
    it may change, which are put back each time; same: whether its output is always the same;
    tells: whether it is its purpose to tell, in its output, what is not as it should be; code:
    with which it ends when all is well; short: whether it is tried in the short form, too, where
    another is like it."""

    def __init__(self, *argv, out=None, mode=0o644, state=(), same=True, tells=False, code=0,
                 short=True):
        self.argv, self.out, self.mode, self.state = argv, out, mode, state
        self.same, self.tells, self.code, self.short = same, tells, code, short
        self.name = " ".join(arg for arg in argv if not arg.startswith(("-", "/")))[:60]


def run(command, number, lasting=False, on=False):
    """on: from the state that the run before has left."""
    if not on:
        for directory in command.state:
            restore(directory)
    shutil.rmtree("out", ignore_errors=True)
    os.mkdir("out")
    argv = [SCARCE + command.argv[0].removeprefix("dot2hsm"), *command.argv[1:]]
    result = subprocess.run(argv, env=environment(number, lasting), stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=60, text=True, errors="replace")
    where = f"{command.name}, allocation {number}{'+' if lasting else ''}"
    if result.returncode < 0 or FOUND.search(result.stderr):
        fail(f"{where}: ended with {result.returncode}", result)
    return result, where


def is_whole(command, reference):
    """The file is there, with all of it and its mode."""
    if command.out is None:
        return True
    path = f"out/{command.out}"
    if not os.path.exists(path) or os.stat(path).st_mode & 0o777 != command.mode:
        return False
    with open(path, "rb") as file:
        octets = file.read()
    return octets == reference if command.same else len(octets) == len(reference)


def one_after_the_other(command, first):
    """From that allocation on; how many there are."""
    begun = time.monotonic()
    good, where = run(command, 0)
    if good.returncode != command.code:
        fail(f"{where}: ended with {good.returncode}", good)
    reference = None
    if command.out is not None:
        with open(f"out/{command.out}", "rb") as file:
            reference = file.read()
        if not is_whole(command, reference):
            fail(f"{where}: mode of {command.out}")
    counted = int(read("count"))
    state = tree(command.state)
    first = first if first < counted else 1
    step = 1 if LONG else max(1, (counted - first) // SOME)
    errors = tried = 0
    for number in range(first, counted + 1, step):
        # The short form: alone and lasting in turn.
        for lasting in (False, True) if LONG else (tried % 2 == 1,):
            result, where = run(command, number, lasting)
            tried += 1
            left = os.listdir("out")
            if result.returncode == 0:
                if not is_whole(command, reference):
                    fail(f"{where}: 0, and {left}", result)
                if command.same and result.stdout != good.stdout:
                    fail(f"{where}: 0, and says something else", result)
                if tree(command.state) != state:
                    fail(f"{where}: 0, and {difference(state, tree(command.state))}", result)
                continue
            errors += 1
            if result.returncode not in (1, 2, 3) or not (
                    command.tells or SAID.search(result.stderr)):
                fail(f"{where}: {result.returncode}, and not for want of memory", result)
            if left and not is_whole(command, reference):
                fail(f"{where}: {left} is left", result)
            if command.state or tried % 4 == 0:
                wrong = succeeds(command, good, state)
                if wrong is not None:
                    fail(f"{where}: {wrong} afterwards", result)
    print(f"- {command.name}: {counted} allocations, {tried} tried, {errors} errors, "
          f"{time.monotonic() - begun:.1f} s", flush=True)
    if errors == 0:
        fail(f"{command.name}: no error")
    return counted


def succeeds(command, good, state):
    """What is wrong with the same command afterwards; None: nothing."""
    result, _ = run(command, 0, on=True)
    # A device that could not read the ack: it looks for the file of that request, which no CA makes
    # here, and asks again.
    if "raDuplicateRequestReceived" in result.stderr:
        return None
    if result.returncode != command.code or (command.same and result.stdout != good.stdout):
        return f"{result.returncode} {result.stdout} {result.stderr}"
    if tree(command.state) != state:
        return difference(state, tree(command.state))
    return None


def serve(number, lasting):
    """The server until it is ready or has ended; then it is told to stop."""
    port = "served.port"
    if os.path.exists(port):
        os.unlink(port)
    with open("served.err", "wb") as err:
        ra = subprocess.Popen([SCARCE + "-ra", "served.conf"], env=environment(number, lasting),
                              stderr=err, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while not os.path.exists(port) and ra.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        ready = os.path.exists(port)
        ra.send_signal(signal.SIGTERM)
        code = ra.wait(30)
    with open("served.err", encoding="ascii", errors="replace") as file:
        return ready, code, file.read()


def start_one_after_the_other(first):
    """dot2hsm-ra with all that it can have: it starts and serves, or says why it does not."""
    begun = time.monotonic()
    write("served.conf", read("ra.conf").replace("/ra.port", "/served.port") +
          f"crl-file = {os.getcwd()}/lab/ra/crl.oer\ncrl-port = 0\n"
          "metrics-port = 0\npolicy-limits = yes\napplication-psids = 0x80, 0x81\n")
    ready, code, said = serve(0, False)
    if not ready or code != 0:
        fail(f"dot2hsm-ra: {code} {said}")
    counted = int(read("count"))
    errors = tried = 0
    step = 1 if LONG else max(1, (counted - first) // SOME)
    for number in range(first, counted + 1, step):
        for lasting in (False, True) if LONG else (tried % 2 == 1,):
            ready, code, said = serve(number, lasting)
            tried += 1
            errors += not ready
            if FOUND.search(said) or code < 0 or ready != (code == 0) or (
                    not ready and not SAID.search(said)):
                fail(f"dot2hsm-ra, allocation {number}, {lasting}: {code}, {ready}: {said}")
    ready, code, said = serve(0, False)
    if not ready or code != 0 or errors == 0:
        fail(f"dot2hsm-ra afterwards: {code} {said}")
    print(f"- dot2hsm-ra: {counted} allocations, {tried} tried, {errors} errors, "
          f"{time.monotonic() - begun:.1f} s", flush=True)


# ---- what the commands are about ----


def start_ra():
    """An RA without failures, for the commands of a device; its port goes into the
    configurations."""
    text = re.sub(r"^port = .*", "port = 0\nmax-requests = 0\none-application-request = no",
                  read("lab/ra.conf"), flags=re.M)
    write("ra.conf", text + f"port-file = {os.getcwd()}/ra.port\n")
    with open("ra.log", "wb") as log:
        ra = subprocess.Popen([f"{BUILD}/bin/dot2hsm-ra", "ra.conf"], stderr=log)
    for _ in range(400):
        if os.path.exists("ra.port"):
            break
        time.sleep(0.05)
    else:
        fail("the RA did not start")
    write("lab/ee.conf",
          read("lab/ee.conf").replace("localhost:8892", f"localhost:{read('ra.port').strip()}"))
    return ra


def make_device(name, key, enrollment, more=""):
    """The configuration of a device that is to be enrolled."""
    work = os.getcwd()
    os.mkdir(name)
    text = read("lab/ee.conf")
    text = text[text.index("[ee]"):]
    for option, value in (("enrollment-certificate", f"{work}/{name}/enrollment.oer"),
                          ("enrollment-key", f'"{key}"'), ("enrollment", enrollment),
                          ("state-dir", f"{work}/{name}/state")):
        text = re.sub(rf"^{option} = .*", f"{option} = {value}", text, flags=re.M)
    write(f"{name}.conf", f'[provider]\npkcs11-module = {MODULE}\ntoken = "pkcs11:token=a"\n'
          f'pin-source = "file:{work}/pin"\n{text}{more}')


DEVICES = ( # name, key, enrollment, what else its configuration has
    ("soft", "file:{work}/{name}/enrollment.key", "implicit", ""),
    ("token", "pkcs11:token=a;object={name}", "explicit", ""),
    ("sealed", "pkcs11:token=a;object={name}", "implicit", "assemble-key-on-host = yes\n"),
)


def make_devices():
    """Each that is to ask, and one like it that has asked and has the answer of the CA."""
    for kind, key, enrollment, more in DEVICES:
        for name in (kind, f"{kind}-asked"):
            make_device(name, key.format(work=os.getcwd(), name=name), enrollment, more)
        program("dot2hsm", "ee", "enroll", "--config", f"{kind}-asked.conf", "--psid", "0x87",
                "--request", f"lab/eca/requests/{kind}.oer")
        program("dot2hsm", "lab", "run", "--once", "--enrollment", enrollment, "lab")


def ask_signer():
    """A device asks for a certificate; when it may look for it."""
    write("signer.conf", re.sub("^state-dir.*", f"state-dir = {os.getcwd()}/signer",
                                read("lab/ee.conf"), flags=re.M))
    program("dot2hsm", "ee", "sync", "--config", "signer.conf")
    return time.monotonic() + 2.1 # the lab's certificate-delay


def make_signer(ready):
    """The device gets its certificate, once."""
    program("dot2hsm", "lab", "run", "--once", "lab")
    time.sleep(max(0, ready - time.monotonic()))
    program("dot2hsm", "ee", "sync", "--config", "signer.conf")


def make_copy():
    """A lab whose store has entries, and with requests that its CAs have not answered."""
    shutil.copytree("lab", "copy")
    write("copy/ra.conf", read("lab/ra.conf").replace("/lab/", "/copy/"))
    make_device("asking", f"file:{os.getcwd()}/asking/enrollment.key", "implicit")
    program("dot2hsm", "ee", "enroll", "--config", "asking.conf", "--psid", "0x87", "--request",
            "copy/eca/requests/asking.oer")
    for argv in (("blacklist", "add", "0011223344556677"), ("eca", "add", "0011223344556677"),
                 ("files", "assign", "0123456789ABCDEF.zip", "ab" * 32)):
        program("dot2hsm", "ra", *argv[:2], "--config", "copy/ra.conf", *argv[2:])


def enroll_commands():
    found = []
    for kind, *_ in DEVICES:
        state = () if kind == "soft" else ("tokens",)
        found += [
            Command("dot2hsm", "ee", "enroll", "--config", f"{kind}.conf", "--psid", "0x87",
                    "--request", "out/request", out="request", same=False, state=(kind, *state),
                    short=kind != "token"), # "sealed" has a key in the token, too
            Command("dot2hsm", "ee", "enroll", "--config", f"{kind}-asked.conf", "--response",
                    f"lab/eca/responses/{kind}.oer", state=(f"{kind}-asked", *state),
                    short=kind != "token")]
    return found


def store_commands():
    ra = ["--config", "copy/ra.conf"]
    changes = (("blacklist", "add", "lab/obe/enrollment.oer"),
               ("blacklist", "remove", "0011223344556677"),
               ("eca", "add", "lab/trust/eca.oer"), ("eca", "remove", "0011223344556677"),
               ("files", "assign", "0123456789ABCDE0.zip", "lab/obe/enrollment.oer"),
               ("files", "unassign", "0123456789ABCDEF.zip"))
    return [Command("dot2hsm", "ra", *argv[:2], *ra, *argv[2:], state=("copy/ra",))
            for argv in changes] + [
        Command("dot2hsm", "ra", what, "list", *ra, *json, short=not json)
        for what in ("blacklist", "eca", "files") for json in ((), ("--json",))]


def token_commands(token):
    return [
        Command("dot2hsm", "keys", "list", *token),
        Command("dot2hsm", "keys", "list", "--json", *token, short=False),
        Command("dot2hsm", "keys", "generate", *token, "pkcs11:token=a;object=new", same=False,
                state=("tokens",)),
        Command("dot2hsm", "keys", "delete", "--yes", *token, "pkcs11:token=a;object=key",
                state=("tokens",)),
        Command("dot2hsm", "doctor", *token, same=False, tells=True),
        Command("dot2hsm", "sign", "--plain", "--format", "raw", *token, "--key",
                "pkcs11:object=key", "--out", "out/token-signature", "lab/README",
                out="token-signature", same=False),
    ]


def lab_commands(token):
    return [
        Command("dot2hsm", "lab", "init", "made/lab", same=False, state=("made",), short=False),
        Command("dot2hsm", "lab", "init", "--ra-token", "pkcs11:token=a", "--rse-token",
                "pkcs11:token=a", "--module", MODULE, "--pin-source", token[-1], "--json",
                "made/lab", same=False, state=("made", "tokens")),
        Command("dot2hsm", "lab", "run", "--once", "copy", same=False, state=("copy",)),
        Command("dot2hsm", "lab", "policy", "--generated", "2026-11-23T00:00:00Z", "--out",
                "out/policy", "copy", out="policy", same=False),
        Command("dot2hsm", "lab", "crl", "--out", "out/crl", "copy", "lab/obe/enrollment.oer",
                out="crl", same=False),
    ]


def commands(token):
    (name,) = [n for n in os.listdir("lab/ra/download") if "_" not in n and n.endswith(".zip")
               and os.path.getsize(f"lab/ra/download/{n}") > 200000]
    verify = ["--root", "lab/trust/root.oer", "--cert", "lab/trust", "--crl", "lab/ra/crl.oer"]
    sign = ["ee", "sign", "--config", "signer.conf", "--psid", "0x87"]
    return [
        Command("dot2hsm", "hash", "lab/rse/enrollment.oer"),
        Command("dot2hsm", "inspect", "--json", "lab/rse/enrollment.oer"),
        Command("dot2hsm", "recode", "--type", "Certificate", "--out", "out/cert",
                "lab/rse/enrollment.oer", out="cert"),
        Command("dot2hsm", "verify", *verify, "lab/rse/enrollment.oer"),
        Command("dot2hsm", "sign", "--self", "--key",
                f"file:{os.getcwd()}/lab/rse/enrollment.key", "--out", "out/signature",
                "lab/README", out="signature", same=False),
        Command("dot2hsm", "config", "--module", MODULE, "--token", "pkcs11:token=a", "--out",
                "out/openssl.cnf", out="openssl.cnf"),
        Command("dot2hsm", "ee", "download", "--config", "lab/ee.conf", "--out", f"out/{name}",
                name, out=name, same=False, mode=0o600),
        Command("dot2hsm", "ra", "status", "--config", "lab/ra.conf", same=False, tells=True),
        Command("dot2hsm", "ee", "sync", "--config", "lab/ee.conf", state=("lab/rse",),
                same=False),
        Command("dot2hsm", "ee", "status", "--json", "--config", "lab/ee.conf", same=False,
                tells=True, code=1),
        *token_commands(token), *enroll_commands(), *store_commands(), *lab_commands(token),
        Command("dot2hsm-ra", "--check", "lab/ra.conf"),
        Command("dot2hsm-ra", "--check=file", "lab/ra.conf"),
        Command("dot2hsm", *sign, "--out", "out/signed", "lab/README", out="signed", same=False),
        Command("dot2hsm", *sign, "--digest", "--out", "out/short", "lab/README", out="short",
                same=False, short=False),
    ]


def main():
    ra, failed = None, False
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        os.umask(0o077)
        os.environ.pop("DOT2HSM_CONF", None)
        try:
            program("dot2hsm", "lab", "init", f"{work}/lab")
            token = make_token()
            program("dot2hsm", "keys", "generate", *token, "pkcs11:token=a;object=key")
            os.mkdir("made")
            ra = start_ra()
            ready = ask_signer()
            make_copy()
            make_devices()
            first = 1
            for command in commands(token):
                if not (LONG or command.short) or (
                        len(sys.argv) > 1 and sys.argv[1] not in command.name):
                    continue
                if "ee sign" in command.name and ready is not None: # as late as can be
                    ready = make_signer(ready)
                try:
                    counted = one_after_the_other(command, first)
                except SystemExit: # the others are looked at all the same
                    failed = True
                    continue
                finally:
                    for directory in command.state:
                        restore(directory)
                if not LONG and first == 1: # most of the first command's are those of them all
                    first = counted - 20
            if len(sys.argv) < 2 or sys.argv[1] == "serve":
                start_one_after_the_other(first)
        finally:
            if ra is not None:
                ra.send_signal(signal.SIGTERM)
                ra.wait()
            os.chdir("/")
    return 1 if failed else 0


sys.exit(main())
