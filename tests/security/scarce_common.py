"""What the tests of programs whose allocations fail have in common: scarce_program.c."""
import os
import re
import shutil
import subprocess

BUILD = os.environ["BUILD_DIR"]
LONG = bool(os.environ.get("DOT2HSM_LONG"))
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SCARCE = f"{BUILD}/tests/scarce/dot2hsm"
FOUND = re.compile(r"Sanitizer|runtime error:")
# Where a library makes something for us it does not tell why it could not.
SAID = re.compile(r"memory|MEMORY|DOT2_E_CRYPTO|DOT2_E_PROVIDER|malloc failure|"
                  r"a cryptographic operation failed|the provider dot2hsm is not loaded")
# Names that are made at random, and the lengths that signatures in DER have.
RANDOM_NAME = re.compile(r"[0-9A-Fa-f]{8,}(-[0-9A-Fa-f]+)*")
FIXED_SIZE = (".conf", ".oer", ".zip", "README")


def fail(text, result=None):
    print(f"FAILED: {text}")
    if result is not None:
        print(result.stdout[-2000:], result.stderr[-4000:])
    raise SystemExit(1)


def environment(number, lasting):
    return dict(os.environ, DOT2HSM_SCARCE=f"{number}{'+' if lasting else ''}",
                DOT2HSM_SCARCE_COUNT="count", DOT2HSM_PROVIDER_PATH=f"{BUILD}/lib")


def program(*argv):
    """Without failures; what it says."""
    return subprocess.run([f"{BUILD}/bin/{argv[0]}", *argv[1:]], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def tree(directories):
    """What is in them: names, modes, and sizes where they do not change from run to run. Without
    the files by which SQLite and SoftHSM lock."""
    found = []
    for directory in directories:
        for base, names, files in os.walk(directory):
            for name in names + files:
                if name.endswith((".lock", "-wal", "-shm")):
                    continue
                path = os.path.join(base, name)
                status = os.lstat(path)
                size = status.st_size if name.endswith(FIXED_SIZE) else None
                found.append((RANDOM_NAME.sub("*", path), oct(status.st_mode), size))
    return sorted(found, key=str)


def difference(wanted, got):
    return (f"missing {[entry for entry in wanted if entry not in got]}, "
            f"too much {[entry for entry in got if entry not in wanted]}, "
            f"{len(wanted)} and {len(got)} in all")


def restore(directory):
    """As it was when it was first asked for."""
    before = directory + ".before"
    if os.path.exists(before):
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(before, directory, symlinks=True)
    else:
        shutil.copytree(directory, before, symlinks=True)


def make_token():
    os.mkdir("tokens")
    write("softhsm2.conf", f"directories.tokendir = {os.getcwd()}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = f"{os.getcwd()}/softhsm2.conf"
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "a", "--pin", "1234",
                    "--so-pin", "12345678"], check=True, stdout=subprocess.DEVNULL)
    write("pin", "1234")
    return ["--module", MODULE, "--token", "pkcs11:token=a", "--pin-source",
            f"file:{os.getcwd()}/pin"]
