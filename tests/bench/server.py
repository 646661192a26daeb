"""server.py BUILD WORK ROUNDS JSON: dot2hsm-ra beside nginx, which serves the same files over
TLS with the same key on the same machine, one worker each.

They take turns. A ratio is that of the server's own CPU time per request (from the kernel's schedstat),
so that neither the client nor what else the machine does is in it: (nginx's + what cannot be avoided) /
dot2hsm-ra's. The latencies are the clock's, and say something on an idle machine only.
"""

import glob
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

build, work, rounds, json_path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
lab = work + "/lab"
rows = []
started = []

WRK_SCRIPT = """
done = function(summary, latency, requests)
    print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration,
        summary.errors.connect + summary.errors.read + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def row(name, ratio, target=None):
    met = None if target is None else ratio >= target
    rows.append({"name": name, "threads": 1, "ratio": round(ratio, 4), "target": target, "met": met})
    text = "" if target is None else "  >= %-5g %s" % (target, "met" if met else "MISSED")
    print("%-44s %2d  %7.3f%s" % (name, 1, ratio, text), flush=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


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


def start_ra():
    with open(lab + "/ra.conf") as file:
        text = re.sub(r"(?m)^(url-base|certificate-delay|port) *=.*\n", "", file.read())
    settings = "port = 0\nthreads = 1\ntolerance = 3600\nport-file = %s/ra.port\n" % work
    write(work + "/ra.conf", text.replace("[ra]\n", "[ra]\n" + settings))
    process = start(build + "/bin/dot2hsm-ra", work + "/ra.conf")
    wait_for(work + "/ra.port")
    with open(work + "/ra.port") as file:
        return process.pid, int(file.read())


def start_nginx():
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
    os.chmod(work, 0o711)
    environment = dict(os.environ, NGINX="%d;" % listener.fileno())
    process = start(
        shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"),
        "-p", work, "-c", work + "/nginx.conf", "-g", "user root;" if os.getuid() == 0 else "",
        pass_fds=[listener.fileno()], env=environment,
    )
    for _ in range(200):
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as file:
            workers = file.read().split()
        if workers:
            return int(workers[0]), port
        time.sleep(0.05)
    sys.exit("bench: nginx does not start")


def cpu(pid):
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with open(path) as file:
            total += int(file.read().split()[0])
    return total / 1e9


def wrk(server, path, headers=(), connections=8):
    """CPU seconds per request, and the latencies."""
    pid, port = server
    command = ["wrk", "-t1", "-c%d" % connections, "-d1s", "-s", work + "/wrk.lua"]
    for header in headers:
        command += ["-H", header]
    before = cpu(pid)
    out = run(*command, "https://localhost:%d%s" % (port, path))
    used = cpu(pid) - before
    values = [int(x) for x in re.search("RESULT (.*)", out).group(1).split()]
    if values[0] == 0 or values[2] > values[0] / 100:
        sys.exit("bench: %d errors in %d requests for %s\n%s" % (values[2], values[0], path, out))
    return used / values[0], values[3:]


def handshakes(server, how):
    """CPU seconds per connection of openssl s_time, without a request."""
    pid, port = server
    before = cpu(pid)
    out = subprocess.run(
        ["openssl", "s_time", "-connect", "localhost:%d" % port, "-time", "1", how,
         "-tls1_2"], capture_output=True, text=True).stdout
    used = cpu(pid) - before
    count = int(re.search(r"(\d+) connections in [\d.]+ real", out).group(1))
    return used / count


def downloads(ra, nginx, form, verify, target):
    """form: signed or secured"""
    to = "-" if form == "signed" else lab + "/trust/ra.oer"
    header = run(build + "/tests/ra_client", "header", lab + "/rse/enrollment.oer", lab + "/rse/enrollment.key",
                 to, name).strip()
    path = "/download/application-certificate"
    ratios, latencies = [], []
    for _ in range(rounds):
        least = 1 / float(run(build + "/tests/bench_ra", verify, "1", "200"))
        theirs = wrk(nginx, path + "/" + name, ["Download-Req: " + header])
        ours = wrk(ra, path, ["Download-Req: " + header])
        ratios.append((theirs[0] + least) / ours[0])
        latencies.append([a / b for a, b in zip(theirs[1], ours[1])])
    row("downloads " + form, statistics.median(ratios), target)
    for i, which in enumerate(("p50", "p99", "p99.9")):
        row("downloads %s %s" % (form, which), statistics.median(x[i] for x in latencies))


def connections(ra, nginx):
    """A connection for each request, and handshakes alone, whole and resumed."""
    new, resumed, whole = [], [], []
    for _ in range(rounds):
        new.append(handshakes(nginx, "-new") / handshakes(ra, "-new"))
        resumed.append(handshakes(nginx, "-reuse") / handshakes(ra, "-reuse"))
        close = ["Connection: close"]
        whole.append(wrk(nginx, "/chain", close)[0] /
                     wrk(ra, "/download/local-certificate-chain", close)[0])
    row("new connections", statistics.median(whole), 0.6)
    row("handshakes TLS 1.2", statistics.median(new), 0.6)
    row("handshakes TLS 1.2 resumed", statistics.median(resumed), 0.6)


try:
    run(build + "/bin/dot2hsm", "lab", "init", lab)
    name = [x for x in os.listdir(lab + "/ra/download") if "_" not in x][0]
    with open(lab + "/ra/download/" + name, "wb") as file:
        file.write(os.urandom(4096))  # about what the certificates of a year take
    write(work + "/wrk.lua", WRK_SCRIPT)
    os.environ["DOT2HSM_MODULES"] = build + "/lib"
    ra, nginx = start_ra(), start_nginx()
    downloads(ra, nginx, "signed", "verify", 0.6)
    downloads(ra, nginx, "secured", "verify-derive", None)
    connections(ra, nginx)
finally:
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.wait()
with open(json_path, "w") as file:
    file.write(",".join("\n " + json.dumps(x, separators=(",", ":")) for x in rows))
sys.exit(1 if any(x["met"] is False for x in rows) else 0)
