#!/usr/bin/env python3
"""Peers of dot2hsm-ra that do not behave, over real TLS, and what the server is then like.

peers.py resets ROOT PORT METRICS HEADER BODY COUNT SANITIZED  a reset at every state, COUNT times
peers.py idle ROOT PORT METRICS COUNT SANITIZED       COUNT connections without a word
peers.py up                                           the loopback interface
peers.py gone ROOT PORT METRICS HEADER WRITE          the network goes away under three connections
peers.py settled ROOT PORT METRICS                    its memory and descriptors when no peer is left
peers.py descriptors ROOT PORT METRICS BODY PID       no descriptor is left
peers.py metrics METRICS PID                          too many who ask for figures, and none goes

ROOT is the X.509 root, HEADER a file with a value of Download-Req, BODY one with a request of an
application certificate, WRITE the server's write-deadline in seconds. SANITIZED is empty for a
plain build: sanitizers have their own ideas of memory.
"""
import fcntl
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time

CHAIN = b"/download/local-certificate-chain"
FILE = b"/download/application-certificate"
PROVISION = b"/provision-application-certificate"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
RESET = struct.pack("ii", 1, 0)


def check(good, *text):
    if not good:
        sys.exit("FAILED: " + " ".join(str(part) for part in text))


def connect(port):
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return raw


def octets(path):
    with open(path, "rb") as file:
        return file.read()


class Server:
    def __init__(self, root, port, metrics):
        self.port, self.metrics = int(port), int(metrics)
        self.context = ssl.create_default_context(cafile=root)

    def open(self):
        return self.context.wrap_socket(connect(self.port), server_hostname="localhost")

    def hello(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def figures(self):
        return figures(self.metrics)

    def get(self):
        """The status of a request on a connection of its own, and its time."""
        begin = time.monotonic()
        with self.open() as tls:
            status = ask(tls, head(b"GET", CHAIN))
        return status, time.monotonic() - begin

    def post(self, body):
        with self.open() as tls:
            return ask(tls, head(b"POST", PROVISION, body=body) + body)


def figures(port):
    raw = connect(port)
    raw.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = b""
    while True:
        more = raw.recv(65536)
        if not more:
            break
        text += more
    raw.close()
    lines = text.decode().split("\r\n\r\n", 1)[1].splitlines()
    return {key: float(value) for key, value in
            (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def head(method, path, header=None, body=b""):
    text = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n"
    if header:
        text += b"Download-Req: " + header + b"\r\n"
    if body:
        text += b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n" % len(body)
    return text + b"\r\n"


def ask(tls, octets):
    tls.sendall(octets)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = tls.recv(65536)
        check(more, "no answer")
        answer += more
    return int(answer.split(b" ", 2)[1])


def until(what, test, seconds=20):
    end = time.monotonic() + seconds
    while not test():
        check(time.monotonic() < end, what)
        time.sleep(0.05)


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


def cpu(pid):
    fields = open("/proc/%s/stat" % pid).read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(server):
    """No connection is left; the figures then."""
    until("connections are left", lambda: server.figures()["dot2hsm_ra_connections"] == 0)
    return server.figures()


def resets(server, header, body, count, sanitized):
    hello = server.hello()
    large = head(b"GET", FILE, header)

    def raw(octets):
        peer = connect(server.port)
        peer.sendall(octets)
        return peer

    def tls(octets, read=0):
        peer = server.open()
        peer.sendall(octets)
        while read > 0:
            more = len(peer.recv(read))
            check(more, "nothing to read")
            read -= more
        return peer

    post = head(b"POST", PROVISION, body=body)
    states = [
        lambda: connect(server.port),
        lambda: raw(hello[:len(hello) // 2]),
        lambda: raw(hello),
        lambda: tls(b""),
        lambda: tls(large[:40]),
        lambda: tls(post),
        lambda: tls(post + body[:len(body) // 2]),
        lambda: tls(post + body),
        lambda: tls(head(b"GET", CHAIN) * 3),
        lambda: tls(large),
        lambda: tls(large, 100000),
    ]
    for state in states:  # whatever is made once is made
        reset(state())
    for _ in range(5):
        before = settled(server)
        for number in range(count):
            for state in states:
                peer = state()
                if number % 2 == 1:
                    time.sleep(0.02)  # the server has read it, and waits
                reset(peer)
        after = settled(server)
        check(after["dot2hsm_ra_connections_total"] - before["dot2hsm_ra_connections_total"] ==
              count * len(states), "connections are not counted")
        # What is left each time is a leak; the store's, which two loops may ask at once, is not.
        if after["process_open_fds"] <= before["process_open_fds"]:
            break
    check(after["process_open_fds"] <= before["process_open_fds"], "descriptors are left:",
          before["process_open_fds"], after["process_open_fds"])
    grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
    check(sanitized or grown < 16 << 20, "memory has grown by", grown)
    status, _ = server.get()
    check(status == 200, "not served any more:", status)
    print("%d resets at %d states; memory grew by %d kB" % (count, len(states), grown // 1024))


def idle(server, count, sanitized):
    for kind in ("first", "second"):
        before = settled(server)
        peers = [server.open() for _ in range(count)]
        until("not all are counted",
              lambda: server.figures()["dot2hsm_ra_connections"] == count)
        full = server.figures()
        each = (full["process_resident_memory_bytes"] -
                before["process_resident_memory_bytes"]) / count
        # One more is too many, and the ones that are there are served.
        try:
            server.open().close()
            check(False, "one more than may be")
        except OSError:
            pass
        for peer in (peers[0], peers[count // 2], peers[-1]):
            begin = time.monotonic()
            check(ask(peer, head(b"GET", CHAIN)) == 200, "one that was idle is not served")
            check(time.monotonic() - begin < 2, "one that was idle waits long")
        check(full["process_cpu_seconds_total"] > 0, "no processor time")
        begin = server.figures()["process_cpu_seconds_total"]
        time.sleep(0.5)
        used = server.figures()["process_cpu_seconds_total"] - begin
        check(used < 0.3, "idle connections cost processor time:", used)
        peers.pop().close()
        until("a place that is free is not given",
              lambda: server.figures()["dot2hsm_ra_connections"] < count)
        status, seconds = server.get()
        check(status == 200 and seconds < 2, "another client:", status, seconds)
        for peer in peers:
            peer.close()
        after = settled(server)
        check(after["process_open_fds"] <= before["process_open_fds"] + 2, "descriptors are left")
        if kind == "first":
            check(sanitized or each < 64 << 10, "an idle connection takes", each)
            print("%d idle connections: %.1f kB each" % (count, each / 1024))
        else:
            check(sanitized or each < 8 << 10, "memory of connections that ended is not used again:",
                  each)


def loopback(up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP if up else 0))


def gone(server, header, write):
    """In a network namespace of its own, whose one interface is switched off."""
    before = settled(server)
    reading, waiting, asking = server.open(), server.open(), server.open()
    reading.sendall(head(b"GET", FILE, header))
    check(reading.recv(10), "no answer has begun")
    asking.sendall(head(b"GET", FILE, header)[:30])
    hello = connect(server.port)
    hello.sendall(server.hello()[:50])
    until("not connected", lambda: server.figures()["dot2hsm_ra_connections"] == 4)
    loopback(False)
    time.sleep(write + 2)  # nothing leaves and nothing arrives, not even the end of connections
    loopback(True)
    after = settled(server)
    check(after["process_open_fds"] <= before["process_open_fds"], "descriptors are left")
    status, _ = server.get()
    check(status == 200, "not served any more:", status)
    for peer in (reading, waiting, asking, hello):
        reset(peer)
    print("gone without a word: all were given up")


def descriptors(server, body, pid):
    pid = int(pid)
    # A limit at the start leaves some to answers: one too many is told so, and others are served.
    peers = [server.open() for _ in range(130)]
    try:
        server.open().close()
        check(False, "one more than may be")
    except OSError:
        pass
    check(ask(peers[0], head(b"GET", CHAIN)) == 200, "not served, though descriptors are left")
    for peer in peers:
        peer.close()
    before = settled(server)
    check(before["dot2hsm_ra_accept_errors_total"] == 0, "an accept has failed")
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    room = 10
    open_now = int(before["process_open_fds"])
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + room, old[1]))
    raws = [connect(server.port) for _ in range(room * 4)]  # the kernel's queue takes the others
    time.sleep(0.2)
    begin, start = cpu(pid), time.monotonic()
    time.sleep(0.8)
    used = (cpu(pid) - begin) / (time.monotonic() - start)
    check(used < 0.25, "waiting for descriptors takes of the processor", used)
    # Those that are in cannot have a file or a store, and are told so; nothing is half done.
    # Which of them are in depends on whose queue the kernel has put them into.
    tls = []

    def shake(raw):
        raw.settimeout(2)
        try:
            tls.append(server.context.wrap_socket(raw, server_hostname="localhost"))
        except OSError:
            raw.close()

    threads = [threading.Thread(target=shake, args=(raw,)) for raw in raws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(1 < len(tls) <= room + 4, "connections let in:", len(tls))
    for peer in tls:
        peer.settimeout(20)
    status = ask(tls[0], head(b"GET", CHAIN))
    check(status in (200, 500), "a file without a descriptor:", status)
    posted = ask(tls[1], head(b"POST", PROVISION, body=body) + body)
    check(posted in (200, 500), "a request without a descriptor:", posted)
    # Places become free: those that wait get in.
    for peer in tls:
        peer.close()
    status, seconds = server.get()
    # The places may be held at that moment by those of the queue that have gone meanwhile.
    check(status in (200, 500) and seconds < 5, "after descriptors came back:", status, seconds)
    settled(server)
    status, seconds = server.get()
    check(status == 200 and seconds < 5, "after the queue was empty:", status, seconds)
    again = server.post(body)
    check(again == (500 if posted == 200 else 200), "the request again:", posted, again)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    after = settled(server)
    # But for the store's: two loops may have asked it at once, and one connection is for writing.
    check(after["process_open_fds"] <= open_now + 8, "descriptors are left:", open_now,
          after["process_open_fds"])
    check(after["dot2hsm_ra_accept_errors_total"] >= 1, "no accept has failed")
    print("out of descriptors: %d accepts failed, %.0f %% of a processor" %
          (after["dot2hsm_ra_accept_errors_total"], 100 * used))


def metrics(port, pid):
    before = figures(port)["process_open_fds"]
    peers = [connect(port) for _ in range(60)]
    begin = time.monotonic()
    time.sleep(0.5)
    held = len(os.listdir("/proc/%s/fd" % pid)) - before if os.access("/proc/%s/fd" % pid, os.R_OK) else 0
    check(held <= 17, "connections for figures:", held)
    used = cpu(pid)
    for peer in peers[16:]:
        peer.close()
    now = figures(port)  # when the silent ones were sent away
    seconds = time.monotonic() - begin
    check(seconds < 15, "figures after", seconds)
    check(cpu(pid) - used < 1, "silent ones cost processor time")
    for peer in peers[:16]:
        peer.settimeout(5)
        check(peer.recv(1) == b"", "a silent one is kept")
        peer.close()
    until("descriptors are left", lambda: figures(port)["process_open_fds"] <= before)
    check(now["process_open_fds"] <= before + 17, "connections for figures")
    print("figures after %.1f s" % seconds)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    what, args = sys.argv[1], sys.argv[2:]
    if what == "up":
        loopback(True)
        return
    if what == "metrics":
        metrics(int(args[0]), args[1])
        return
    server = Server(*args[:3])
    args = args[3:]

    if what == "resets":
        resets(server, octets(args[0]), octets(args[1]), int(args[2]), args[3] != "")
    elif what == "idle":
        idle(server, int(args[0]), args[1] != "")
    elif what == "gone":
        gone(server, octets(args[0]), int(args[1]))
    elif what == "settled":
        figures_then = settled(server)
        print("%d %d" % (figures_then["process_resident_memory_bytes"] // 1024,
                         figures_then["process_open_fds"]))
    elif what == "descriptors":
        descriptors(server, octets(args[0]), args[1])


main()
