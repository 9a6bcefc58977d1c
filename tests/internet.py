"""An internet of our own on loopback: a proxy that answers for hosts itself, over TLS.

The programs that are tested reach it as they would reach any proxy, by `HTTPS_PROXY`, and trust its certificates by
`REQUESTS_CA_BUNDLE`: not a line of them knows that they are tested.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme


@dataclass
class Request:
    """What a client asked."""

    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """What a host answers: a JSON value, or bytes as they are.

    cut_after: the connection breaks after so many bytes. seconds: before the answer. drip: after each byte.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    seconds: float = 0.0
    drip: float = 0.0


class Internet:
    """Hosts by name, each a function from a `Request` to an `Answer`; and every request that was made."""

    def __init__(self, folder: Path) -> None:
        self.hosts: dict[str, Callable[[Request], Answer]] = {}
        self.requests: list[Request] = []
        self.handshakes_to_break = 0
        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.certificate = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
        self._server.daemon_threads = True
        self._server.internet = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to know to get here."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        return {"HTTPS_PROXY": address, "https_proxy": address, "REQUESTS_CA_BUNDLE": str(self.certificate),
                "NO_PROXY": "", "no_proxy": ""}  # fmt: skip

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def context(self, host: str) -> ssl.SSLContext:
        """The certificate of a host."""
        if host not in self._contexts:
            self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(self._contexts[host])
        return self._contexts[host]


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_CONNECT(self) -> None:  # noqa: N802  the name that http.server looks for
        internet: Internet = self.server.internet
        self.host = self.path.partition(":")[0]
        if self.host not in internet.hosts:
            self.send_error(502, "no such host")
            self.close_connection = True
            return
        self.send_response(200)
        self.end_headers()
        if internet.handshakes_to_break:
            internet.handshakes_to_break -= 1
            self.close_connection = True
            return
        try:
            self.connection = internet.context(self.host).wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self) -> None:  # noqa: N802
        internet: Internet = self.server.internet
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        request = Request(self.host, parts.path, query, dict(self.headers))
        internet.requests.append(request)
        answer = internet.hosts[self.host](request)
        time.sleep(answer.seconds)
        is_bytes = isinstance(answer.body, bytes)
        content = answer.body if is_bytes else json.dumps(answer.body).encode()
        self.send_response_only(answer.status)  # nothing of http.server's own, like a second Date
        for name, value in {"Content-Type": "application/json; charset=utf-8", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if answer.drip:
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                time.sleep(answer.drip)
            return
        self.wfile.write(content[: answer.cut_after])
        if answer.cut_after is not None:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Nothing on the screen."""

    def handle(self) -> None:
        """Answer, and make nothing of clients that go."""
        try:
            super().handle()
        except OSError:
            pass
        finally:
            # The socket under TLS is not the one that the server knows, so it is closed here.
            self.connection.close()
