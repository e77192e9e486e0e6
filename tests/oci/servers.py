"""Servers for tests, on loopback alone: Debian's docker-registry, nginx before it, a token server, and one of our own.

Every one is given a socket or says itself which port it has bound, so no test can talk to somebody else's server.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests import patience
from tests.judges import need, run

SECONDS = 30
"""In which a server must come up."""


# a registry of our own


class Asked(NamedTuple):
    """A request to a server."""

    command: str
    path: str
    headers: Any


class Request(http.server.BaseHTTPRequestHandler):
    """One request to `Server`; its rules answer."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.log.append(Asked(self.command, self.path, self.headers))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for rule in server.rules:
                if rule(self):
                    return
            server.serve(self)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def answer(self, status: int, body: bytes = b"", **headers: str) -> bool:
        """Send a whole answer. `headers` are spelled with underscores."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(body))} | named).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def reset(self) -> bool:
        """Break the connection, as a cable does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.close_connection = True
        self.wfile = self.rfile = open(os.devnull, "r+b")  # type: ignore[assignment]
        return True

    def log_message(self, format: str, *args: object) -> None:
        pass


Rule = Callable[[Request], bool]


class Server(http.server.ThreadingHTTPServer):
    """A registry that holds `manifests` and `blobs` by name, and misbehaves by `rules`: the first that returns True."""

    daemon_threads = True

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.address_family = family  # type: ignore[assignment]
        super().__init__(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), Request)
        self.rules: list[Rule] = []
        self.log: list[Asked] = []
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}

    @property
    def host(self) -> str:
        name, port = self.server_address[:2]
        return f"[::1]:{port}" if ":" in str(name) else f"127.0.0.1:{port}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.log]

    def serve(self, request: Request) -> None:
        kind, name = ([*urlsplit(request.path).path.split("/")[-2:], ""])[:2]
        if kind == "manifests" and name in self.manifests:
            data, media_type = self.manifests[name]
            request.answer(200, data, Content_Type=media_type)
        elif kind == "blobs" and name in self.blobs:
            start = int((request.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
            data = self.blobs[name]
            if start:
                stated = f"bytes {start}-{len(data) - 1}/{len(data)}"
                request.answer(206, data[start:], Content_Range=stated)
            else:
                request.answer(200, data)
        else:
            request.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')

    def hold(self, layout: Path) -> None:
        """Take everything of the OCI layout at `layout`."""
        index = json.loads((layout / "index.json").read_text())
        for file in (layout / "blobs" / "sha256").iterdir():
            data = file.read_bytes()
            self.blobs[f"sha256:{file.name}"] = data
            with contextlib.suppress(ValueError, AttributeError):
                if media_type := json.loads(data).get("mediaType"):
                    self.manifests[f"sha256:{file.name}"] = data, media_type
        for entry in index["manifests"]:
            self.manifests[entry["annotations"]["org.opencontainers.image.ref.name"]] = self.manifests[entry["digest"]]


@contextlib.contextmanager
def server(
    layout: Path | None = None, family: int = socket.AF_INET, context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A running Server with what `layout` holds, behind TLS if a `context` is given."""
    with Server(family) as found:
        if context:
            found.socket = context.wrap_socket(found.socket, server_side=True)
        if layout:
            found.hold(layout)
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


# Debian's


@contextlib.contextmanager
def docker_registry(folder: Path, **settings: Any) -> Iterator[str]:
    """Debian's docker-registry with `settings` (sections of its configuration); gives HOST:PORT."""
    program = need("docker-registry")
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        **settings,
    }
    configuration["http"] = {"addr": "127.0.0.1:0", **settings.get("http", {})}
    (folder / "registry.yml").write_text(json.dumps(configuration))
    log = folder / "registry.log"
    with open(log, "wb") as out:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=out, stderr=out)
    try:
        yield "127.0.0.1:" + said(process, log, r"listening on 127\.0\.0\.1:(\d+)")
    finally:
        end(process)


@contextlib.contextmanager
def nginx(folder: Path, upstream: str, password_file: Path) -> Iterator[str]:
    """nginx before a registry, asking for a password."""
    settings = (
        f"client_max_body_size 0; location / {{ auth_basic registry; auth_basic_user_file {password_file};"
        f" proxy_set_header Host $http_host; proxy_pass http://{upstream}; }}"
    )
    with nginx_with(folder, settings) as address:
        yield address


@contextlib.contextmanager
def nginx_with(folder: Path, settings: str) -> Iterator[str]:
    """nginx with one server, whose directives are `settings`; the socket is bound here and handed down."""
    program = need("nginx", package="nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; {'user root; ' if os.getuid() == 0 else ''}pid {folder}/pid; error_log stderr notice;"
            f" worker_processes 1; events {{}}"
            f" http {{ access_log off; {paths} server {{ listen {address}; {settings} }} }}"
        )
        log = folder / "nginx.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")],
                env={**os.environ, "NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
                stdout=out,
                stderr=out,
            )
        try:
            said(process, log, "(start worker process) ")
            yield address
        finally:
            end(process)


def said(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Wait until the server says in its log that it serves."""
    limit = patience.seconds(SECONDS)
    for _ in range(round(limit * 100)):
        if found := re.search(pattern, log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    raise AssertionError(f"no server after {limit:.0f} s: {log.read_text()}")


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# certificates and tokens, by openssl


def certificate(folder: Path, name: str, issuer: Path | None = None) -> Path:
    """A key and certificate for `name` (NAME.key, NAME.crt), signed by `issuer`'s (a path without suffix) or itself."""
    openssl, stem = need("openssl"), folder / name
    folder.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{stem}.key", "-subj", f"/CN={name}")
    if issuer is None:
        run(openssl, "req", "-x509", *key, "-out", f"{stem}.crt", "-days", "30")
        return stem
    run(openssl, "req", *key, "-out", f"{stem}.csr")
    (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ("-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "30")
    run(
        openssl,
        "x509",
        "-req",
        "-in",
        f"{stem}.csr",
        *signed,
        "-extfile",
        folder / f"{name}.ext",
        "-out",
        f"{stem}.crt",
    )
    return stem


def token_rule(signer: Path, host: str, users: dict[str, str], refresh_token: str = "") -> Rule:
    """Answers `/token` as a token server for docker-registry does: a JWT for those who say their password."""

    def rule(request: Request) -> bool:
        parts = urlsplit(request.path)
        if parts.path != "/token":
            return False
        query = parse_qs(request.body.decode() if request.command == "POST" else parts.query)
        word = request.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(word).decode().partition(":")
        by_password = bool(user) and users.get(user) == password
        by_token = request.command == "POST" and query.get("refresh_token") == [refresh_token]
        if not (by_password or by_token):
            return request.answer(401, b"wrong password")
        token = _jwt(signer, host, user, [scope.split(":") for text in query["scope"] for scope in text.split()])
        return request.answer(200, json.dumps({"token": token}).encode())

    return rule


def _jwt(signer: Path, issuer: str, user: str, scopes: list[list[str]]) -> str:
    def word(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    pem = Path(f"{signer}.crt").read_text()
    chain = ["".join(pem.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0].split())]
    claims = {"iss": issuer, "sub": user, "aud": "registry", "iat": 1, "nbf": 1, "exp": 4_000_000_000, "jti": "1"}
    access = [{"type": kind, "name": name, "actions": actions.split(",")} for kind, name, actions in scopes]
    text = word(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": chain}).encode())
    text += "." + word(json.dumps({**claims, "access": access}).encode())
    command = [need("openssl"), "dgst", "-sha256", "-sign", f"{signer}.key"]
    return text + "." + word(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout)
