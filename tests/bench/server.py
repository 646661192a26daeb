"""server.py BUILD WORK ROUNDS JSON SMOKE: dot2hsm-ra beside nginx, which serves the same files over
TLS with the same key on the same machine, one worker each; and its POSTs beside bare commits.

They take turns. A ratio of CPU time is (nginx's + what cannot be avoided) / dot2hsm-ra's; the ratio of
durable POSTs is their rate by that of the bare loop of commits to the same store.
"""

import os
import shutil
import socket
import statistics
import sys
import time

import served
from served import lab, rounds, row, run, smoke, work, write

PROVISION = "/provision-application-certificate"


def start_nginx(name):
    """nginx takes a listening socket that it inherits: no port is chosen before it is taken."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    os.set_inheritable(listener.fileno(), True)
    port = listener.getsockname()[1]
    os.makedirs(work + "/www/download/application-certificate", exist_ok=True)
    shutil.copy(lab + "/ra/download/" + name, work + "/www/download/application-certificate/" + name)
    shutil.copy(lab + "/ra/local_certificate_chains_01_01.oer", work + "/www/chain")
    write(
        work + "/nginx.conf",
        """daemon off; pid %(work)s/nginx.pid; error_log %(work)s/nginx.log; worker_processes 1;
        events { worker_connections 20000; }
        http { access_log %(work)s/access.log; client_body_temp_path %(work)s; proxy_temp_path %(work)s;
        fastcgi_temp_path %(work)s; uwsgi_temp_path %(work)s; scgi_temp_path %(work)s;
        keepalive_requests 100000000; large_client_header_buffers 4 16k;
        server { listen 127.0.0.1:%(port)d ssl; ssl_certificate %(lab)s/ra/tls.pem;
        ssl_certificate_key %(lab)s/ra/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ecdh_curve X25519:P-256; ssl_session_cache builtin; root %(work)s/www; } }
        """
        % {"work": work, "lab": lab, "port": port},
    )
    environment = dict(os.environ, NGINX="%d;" % listener.fileno())
    process = served.start(
        shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"),
        "-p", work, "-c", work + "/nginx.conf", "-g", "user root;" if os.getuid() == 0 else "",
        pass_fds=[listener.fileno()], env=environment,
    )
    for _ in range(200):
        workers = served.read("/proc/%d/task/%d/children" % (process.pid, process.pid)).split()
        if workers:
            return served.Server(process, int(workers[0]), port)
        time.sleep(0.05)
    sys.exit("bench: nginx does not start")


def downloads(ra, nginx, name, form, verify, target):
    header = served.download_header(name, form == "secured")
    path = "/download/application-certificate"
    ratios, latencies = [], []
    for _ in range(rounds):
        least = served.bare(verify)
        theirs = nginx.get(path + "/" + name, header)
        ours = ra.get(path, header)
        ratios.append((theirs[0] + least) / ours[0])
        latencies.append([a / b for a, b in zip(theirs[2], ours[2])])
    row("downloads " + form, statistics.median(ratios), target)
    served.latency_rows("downloads " + form, latencies)


def connections(ra, nginx):
    """A connection for each request, whole and resumed: bench_load sees to it that they are."""
    for version in "1.3", "1.2":
        for how, words in ("new", ""), ("resume", " resumed"):
            ratios, latencies = [], []
            for _ in range(rounds):
                theirs = nginx.get("/chain", how=how, version=version)
                ours = ra.get("/download/local-certificate-chain", how=how, version=version)
                ratios.append(theirs[0] / ours[0])
                latencies.append([a / b for a, b in zip(theirs[2], ours[2])])
            name = "connections TLS %s%s" % (version, words)
            row(name, statistics.median(ratios), 0.6)
            served.latency_rows(name, latencies)


def posts(kind, store, target):
    """Durable POSTs over eight connections beside bare commits to the same store. As many workers as
    dot2hsm-ra has by itself: some wait for the disk."""
    workers = 2 * os.cpu_count()
    ra = served.start_ra(kind, store=store, threads=workers,
                         **{"max-requests": 0, "one-application-request": "no"})
    signed = run(served.build + "/tests/ra_client", "body", "app", lab + "/rse/enrollment.oer",
                 lab + "/rse/enrollment.key", "-")
    sizes = [str(os.path.getsize(lab + "/rse/enrollment.oer")), str(len(signed))]
    ratios, latencies = [], []
    for _ in range(1 if smoke else 2 * rounds + 1):  # a disk is more moody than a processor
        bodies = served.bodies(20 if smoke else 600)
        least = run(served.build + "/tests/bench_commits", store, str(served.slice_ms), *sizes)
        least = [float(x) for x in least.split()[1:]]
        ours = ra.load("post", 8, PROVISION, input=bodies)
        ratios.append(ours[1] / (least[0] / least[1]))
        latencies.append([a / b for a, b in zip(least[2:], ours[2])])
    row("posts durable " + kind, statistics.median(ratios), target, threads=workers)
    served.latency_rows("posts durable " + kind, latencies, threads=workers)
    served.stop(ra.process)


def main():
    name = served.make_lab()
    os.chmod(work, 0o711)  # nginx runs as another user
    ra, nginx = served.start_ra("ra"), start_nginx(name)
    downloads(ra, nginx, name, "signed", "verify", 0.6)
    downloads(ra, nginx, name, "secured", "verify-derive", None)
    connections(ra, nginx)
    posts("sqlite", "sqlite:%s/ra/store.sqlite" % lab, 0.5)
    with served.Postgres() as database:
        posts("postgresql", database.store, None)


served.main(main)
