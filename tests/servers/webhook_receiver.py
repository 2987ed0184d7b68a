"""Somebody's server that takes webhooks: HTTPS on loopback, with a certificate of a private authority."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import trustme

Answer = Callable[[BaseHTTPRequestHandler], None]


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes
    server_name: str | None
    """The name of the TLS handshake (SNI)."""


@dataclass
class Receiver:
    port: int
    ca_file: Path
    answers: list[Answer] = field(default_factory=list)
    """What to do with the next requests; when there is no more, 204."""
    received: list[Received] = field(default_factory=list)

    def url(self, path: str = "/hook", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@contextmanager
def running_receiver(folder: Path) -> Iterator[Receiver]:
    """Listen on 127.0.0.1; the certificate is for `localhost` only."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    names: dict[object, str | None] = {}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    tls.sni_callback = lambda connection, name, _: names.__setitem__(connection, name)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body, names.get(self.connection)))
            answer = receiver.answers.pop(0) if receiver.answers else status(204)
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A handshake that the client breaks off is what some tests are about."""

        def finish_request(self, request: object, client_address: object) -> None:
            # in the connection's own thread: a handshake in the accepting one would block it
            with tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1], ca_file)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
