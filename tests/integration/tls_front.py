"""TLS (and HTTP/2) in front of a tinker-sim, by nginx or nghttpx, for tests.

Everything lies in a temporary directory: a fresh certificate authority, a server certificate for localhost and
127.0.0.1, configuration and logs. The proxy runs in the foreground as this process's child and is ended by its pid.

    with Sim(script=...) as sim, TlsFront(sim.port) as front:
        ...                                      # something polls front.url and trusts front.ca_file

A client that gives up is noticed by the simulator when the proxy closes its own connection, a moment later: overlaps
and in-flight counts are exact only without a proxy, or when no client ever gives up.
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

START_SECONDS = 60
STOP_SECONDS = 30
PORT_TRIES = 20

NGINX_CONF = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    log_format front escape=json '{{"connection":"$remote_port","request":"$request","status":$status,'
        '"bytes":$body_bytes_sent,"seconds":$request_time}}';
    access_log {dir}/access.log front;
    client_body_temp_path {dir}/client;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_timeout 3600s;
    keepalive_requests {requests};
    client_max_body_size 64m;
    http2_max_concurrent_streams {streams};
    upstream sim {{ server 127.0.0.1:{sim_port} max_fails=0; keepalive 1024; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} ssl{http2};
        ssl_certificate {dir}/server.pem;
        ssl_certificate_key {dir}/server.key;
        location / {{
            proxy_pass http://sim;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_pass_request_headers on;
            proxy_buffering off;
            proxy_request_buffering on;
            proxy_read_timeout 3600s;
            proxy_send_timeout 3600s;
            proxy_next_upstream off;
        }}
    }}
}}
"""


class FrontError(Exception):
    """The proxy is missing, or did not start."""


def find_program(name):
    """Path of a program, looked for in the places for daemons too; None when it is not there."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def available():
    """Names of the proxies that are installed."""
    return [kind for kind in ("nginx", "nghttpx") if find_program(kind)]


def _run(*command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise FrontError("%s: %s" % (" ".join(command), result.stderr))


def make_certificates(directory):
    """Writes ca.pem, server.pem and server.key for localhost and 127.0.0.1; returns the path of ca.pem."""

    def path(name):
        return os.path.join(directory, name)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    with open(path("openssl.cnf"), "w") as conf:
        conf.write("[req]\ndistinguished_name = dn\n[dn]\n"
                   "[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n"
                   "subjectKeyIdentifier = hash\n"
                   "[server]\nbasicConstraints = CA:FALSE\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n"
                   "keyUsage = critical,digitalSignature\nextendedKeyUsage = serverAuth\n")
    conf = ["-config", path("openssl.cnf")]
    _run("openssl", "req", "-x509", *key, *conf, "-extensions", "ca", "-subj", "/CN=tinkexd test CA", "-days", "2",
         "-keyout", path("ca.key"), "-out", path("ca.pem"))
    _run("openssl", "req", "-new", *key, *conf, "-subj", "/CN=localhost", "-keyout", path("server.key"),
         "-out", path("server.csr"))
    _run("openssl", "x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
         "-CAcreateserial", "-days", "2", "-extfile", path("openssl.cnf"), "-extensions", "server",
         "-out", path("server.pem"))
    return path("ca.pem")


def _before_exec():
    """In the child: ends with its parent, and has descriptors for two sockets a poll."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class TlsFront:
    """A TLS proxy on 127.0.0.1:port in front of the simulator at sim_port.

    http2: offer HTTP/2 by ALPN (and HTTP/1.1), or HTTP/1.1 alone. kind: "nginx", "nghttpx", or whichever is there.
    max_streams: concurrent HTTP/2 streams of a connection. requests_per_connection: after so many, nginx says
    goodbye (GOAWAY, or Connection: close). Must be made by a thread that lives as long as the proxy is needed: the
    kernel ends the proxy with the thread that started it.
    """

    def __init__(self, sim_port, http2=True, kind=None, max_streams=100, requests_per_connection=1000000):
        kinds = available()
        self.kind = kind or (kinds[0] if kinds else None)
        if self.kind not in kinds:
            raise FrontError("%s is not installed" % (kind or "neither nginx nor nghttpx"))
        self.http2 = http2
        self.sim_port = sim_port
        self.max_streams = max_streams
        self.requests_per_connection = requests_per_connection
        self.process = None
        self.port = None
        self.directory = tempfile.mkdtemp(prefix="tls-front-")
        try:
            self.ca_file = make_certificates(self.directory)
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    @property
    def url(self):
        return "https://localhost:%d" % self.port

    @property
    def pid(self):
        return self.process.pid

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _nginx(self):
        conf = NGINX_CONF.format(dir=self.directory, port=self.port, sim_port=self.sim_port,
                                 http2=" http2" if self.http2 else "", streams=self.max_streams,
                                 requests=self.requests_per_connection)
        with open(self._path("nginx.conf"), "w") as file:
            file.write(conf)
        return [find_program("nginx"), "-e", self._path("error.log"), "-p", self.directory,
                "-c", self._path("nginx.conf")]

    def _nghttpx(self):
        log_format = ('{"connection":"$remote_port","request":"$request","status":$status,'
                      '"bytes":$body_bytes_sent,"seconds":$request_time}')
        return [find_program("nghttpx"), "--conf=/dev/null", "--single-process", "--workers=1",
                "--frontend=127.0.0.1,%d" % self.port, "--backend=127.0.0.1,%d" % self.sim_port,
                "--npn-list=" + ("h2,http/1.1" if self.http2 else "http/1.1"),
                "--frontend-http2-max-concurrent-streams=%d" % self.max_streams,
                "--frontend-http2-read-timeout=1h", "--frontend-read-timeout=1h", "--frontend-keep-alive-timeout=1h",
                "--backend-read-timeout=1h", "--backend-keep-alive-timeout=1h", "--no-via", "--no-ocsp",
                "--accesslog-file=" + self._path("access.log"), "--accesslog-format=" + log_format,
                "--errorlog-file=" + self._path("error.log"), self._path("server.key"), self._path("server.pem")]

    def _start(self):
        """Proxies take no port 0: a free one is looked for, and another one if somebody was faster."""
        for _ in range(PORT_TRIES):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            command = self._nginx() if self.kind == "nginx" else self._nghttpx()
            with open(self._path("output.log"), "ab") as output:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                cwd=self.directory, preexec_fn=_before_exec)
            if self._wait_until_ready():
                return
            self._end_process()
            if "ddress already in use" not in self.logs():
                break
        raise FrontError("%s did not start: %s" % (self.kind, self.logs()))

    def _wait_until_ready(self):
        """True once a TLS handshake with our own certificate succeeds; False when the proxy ended."""
        context = ssl.create_default_context(cafile=self.ca_file)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as plain:
                    with context.wrap_socket(plain, server_hostname="localhost"):
                        return self.process.poll() is None
            except OSError:
                time.sleep(0.01)
        return False

    def logs(self):
        """What the proxy had to say, for messages."""
        text = ""
        for name in ("output.log", "error.log"):
            if os.path.exists(self._path(name)):
                with open(self._path(name), errors="replace") as file:
                    text += file.read()
        return text

    def requests(self):
        """Requests that have ended: dicts of connection (the client's port), request (its line), http2, status,
        bytes, seconds."""
        if not os.path.exists(self._path("access.log")):
            return []
        with open(self._path("access.log")) as file:
            requests = [json.loads(line) for line in file if line.endswith("\n")]
        for request in requests:
            request["http2"] = request["request"].rpartition(" ")[2] in ("HTTP/2", "HTTP/2.0")
        return requests

    def open_connections(self):
        """How many clients are connected right now."""
        local = "0100007F:%04X" % self.port
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        return sum(1 for row in rows if row[1] == local and row[3] == "01")

    def _end_process(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends the proxy and removes its directory. May be called again."""
        self._end_process()
        shutil.rmtree(self.directory, ignore_errors=True)
