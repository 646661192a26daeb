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

BUILD = os.environ["BUILD_DIR"]
LONG = bool(os.environ.get("DOT2HSM_LONG"))
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SOME = 4 if os.environ.get("SANITIZE") else 8 # of each command, in the short form
SCARCE = f"{BUILD}/tests/scarce/dot2hsm"
FOUND = re.compile(r"Sanitizer|runtime error:")
# Where a library makes something for us it does not tell why it could not.
SAID = re.compile(r"memory|MEMORY|DOT2_E_CRYPTO|DOT2_E_PROVIDER|malloc failure|"
                  r"a cryptographic operation failed|the provider dot2hsm is not loaded")


class Command:
    """One command line. out: the file that it writes, with its mode; state: what it may change of
    the lab and is put back each time; same: whether its output is always the same; tells: whether
    it is its purpose to tell, in its output, what is not as it should be; code: with which it ends when all is well."""

    def __init__(self, *argv, out=None, mode=0o644, state=None, same=True, tells=False, code=0):
        self.argv, self.out, self.mode, self.state = argv, out, mode, state
        self.same, self.tells, self.code = same, tells, code
        self.name = " ".join(argv[:3])


def fail(text, result=None):
    print(f"FAILED: {text}")
    if result is not None:
        print(result.stdout[-2000:], result.stderr[-4000:])
    raise SystemExit(1)


def environment(number, lasting):
    return dict(os.environ, DOT2HSM_SCARCE=f"{number}{'+' if lasting else ''}",
                DOT2HSM_SCARCE_COUNT="count", DOT2HSM_PROVIDER_PATH=f"{BUILD}/lib")


def run(command, number, lasting=False, on=False):
    """on: from the state that the run before has left."""
    if command.state is not None and not on:
        shutil.rmtree(command.state)
        shutil.copytree(command.state + ".before", command.state, symlinks=True)
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
    with open("count", encoding="ascii") as file:
        counted = int(file.read())
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
                continue
            errors += 1
            if result.returncode not in (1, 2, 3) or not (
                    command.tells or SAID.search(result.stderr)):
                fail(f"{where}: {result.returncode}, and not for want of memory", result)
            if left and not is_whole(command, reference):
                fail(f"{where}: {left} is left", result)
            if tried % 4 == 0 or (command.state is not None and LONG):
                wrong = succeeds(command, good)
                if wrong is not None:
                    fail(f"{where}: {wrong} afterwards")
    print(f"- {command.name}: {counted} allocations, {tried} tried, {errors} errors, "
          f"{time.monotonic() - begun:.1f} s", flush=True)
    if errors == 0:
        fail(f"{command.name}: no error")
    return counted


def succeeds(command, good):
    """What is wrong with the same command afterwards; None: nothing."""
    result, _ = run(command, 0, on=True)
    # A device that could not read the ack: it looks for the file of that request, which no CA makes
    # here, and asks again.
    if "raDuplicateRequestReceived" in result.stderr:
        return None
    if result.returncode != command.code or (command.same and result.stdout != good.stdout):
        return f"{result.returncode} {result.stdout} {result.stderr}"
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
    with open("ra.conf", encoding="ascii") as file:
        text = file.read().replace("/ra.port", "/served.port")
    with open("served.conf", "w", encoding="ascii") as file:
        file.write(text + f"crl-file = {os.getcwd()}/lab/ra/crl.oer\ncrl-port = 0\n"
                   "metrics-port = 0\npolicy-limits = yes\napplication-psids = 0x80, 0x81\n")
    ready, code, said = serve(0, False)
    if not ready or code != 0:
        fail(f"dot2hsm-ra: {code} {said}")
    with open("count", encoding="ascii") as file:
        counted = int(file.read())
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


def program(*argv):
    subprocess.run([f"{BUILD}/bin/{argv[0]}", *argv[1:]], check=True, stdout=subprocess.DEVNULL)


def start_ra():
    """An RA without failures, for the commands of a device; its port goes into the configurations."""
    with open("lab/ra.conf", encoding="ascii") as file:
        text = re.sub(r"^port = .*", "port = 0\nmax-requests = 0\none-application-request = no",
                      file.read(), flags=re.M)
    with open("ra.conf", "w", encoding="ascii") as file:
        file.write(text + f"port-file = {os.getcwd()}/ra.port\n")
    ra = subprocess.Popen([f"{BUILD}/bin/dot2hsm-ra", "ra.conf"], stderr=open("ra.log", "wb"))
    for _ in range(400):
        if os.path.exists("ra.port"):
            break
        time.sleep(0.05)
    else:
        fail("the RA did not start")
    with open("ra.port", encoding="ascii") as file:
        port = file.read().strip()
    with open("lab/ee.conf", encoding="ascii") as file:
        text = file.read().replace("localhost:8892", f"localhost:{port}")
    with open("lab/ee.conf", "w", encoding="ascii") as file:
        file.write(text)
    return ra


def make_token():
    os.mkdir("tokens")
    with open("softhsm2.conf", "w", encoding="ascii") as file:
        file.write(f"directories.tokendir = {os.getcwd()}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = f"{os.getcwd()}/softhsm2.conf"
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "a", "--pin", "1234",
                    "--so-pin", "12345678"], check=True, stdout=subprocess.DEVNULL)
    with open("pin", "w", encoding="ascii") as file:
        file.write("1234")
    token = ["--module", MODULE, "--token", "pkcs11:token=a", "--pin-source",
             f"file:{os.getcwd()}/pin"]
    program("dot2hsm", "keys", "generate", *token, "pkcs11:token=a;object=key")
    return token


def commands():
    token = make_token()
    (name,) = [n for n in os.listdir("lab/ra/download") if "_" not in n]
    verify = ["--root", "lab/trust/root.oer", "--cert", "lab/trust", "--crl", "lab/ra/crl.oer"]
    return [
        Command("dot2hsm", "hash", "lab/rse/enrollment.oer"),
        Command("dot2hsm", "inspect", "--json", "lab/rse/enrollment.oer"),
        Command("dot2hsm", "recode", "--type", "Certificate", "--out", "out/cert",
                "lab/rse/enrollment.oer", out="cert"),
        Command("dot2hsm", "verify", *verify, "lab/rse/enrollment.oer"),
        Command("dot2hsm", "sign", "--self", "--key", f"file:{os.getcwd()}/lab/rse/enrollment.key", "--out",
                "out/signature", "lab/README", out="signature", same=False),
        Command("dot2hsm", "config", "--module", MODULE, "--token",
                "pkcs11:token=a", "--out", "out/openssl.cnf", out="openssl.cnf"),
        Command("dot2hsm", "ee", "download", "--config", "lab/ee.conf", "--out", f"out/{name}", name,
                out=name, same=False, mode=0o600),
        Command("dot2hsm", "ra", "status", "--config", "lab/ra.conf", same=False, tells=True),
        Command("dot2hsm", "ra", "blacklist", "add", "--config", "lab/ra.conf",
                "lab/obe/enrollment.oer", state="lab/ra"),
        Command("dot2hsm", "ee", "sync", "--config", "lab/ee.conf", state="lab/rse", same=False),
        Command("dot2hsm", "ee", "status", "--json", "--config", "lab/ee.conf", same=False, tells=True,
                code=1),
        Command("dot2hsm", "keys", "list", *token),
        Command("dot2hsm", "doctor", *token, same=False, tells=True),
        Command("dot2hsm", "sign", "--plain", "--format", "raw", *token, "--key", "pkcs11:object=key", "--out",
                "out/token-signature", "lab/README", out="token-signature", same=False),
        Command("dot2hsm-ra", "--check", "lab/ra.conf"),
        Command("dot2hsm-ra", "--check=file", "lab/ra.conf"),
    ]


def main():
    ra = None
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        os.umask(0o077)
        os.environ.pop("DOT2HSM_CONF", None)
        try:
            program("dot2hsm", "lab", "init", f"{work}/lab")
            ra = start_ra()
            shutil.copytree("lab/ra", "lab/ra.before")
            shutil.copytree("lab/rse", "lab/rse.before")
            first = 1
            for command in commands():
                if len(sys.argv) > 1 and sys.argv[1] not in command.name:
                    continue
                counted = one_after_the_other(command, first)
                if not LONG and first == 1: # most of the first command's are those of them all
                    first = counted - 20
            if len(sys.argv) < 2 or sys.argv[1] == "serve":
                start_one_after_the_other(first)
        finally:
            if ra is not None:
                ra.send_signal(signal.SIGTERM)
                ra.wait()
            os.chdir("/")


main()
