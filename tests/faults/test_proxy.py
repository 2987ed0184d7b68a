"""The proxy does what its faults say: else the tests that rely on it would pass for nothing."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import HEALTHY, Faults, Proxy, running_proxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with running_proxy(f"127.0.0.1:{server.server_address[1]}") as running:
            yield running
        server.shutdown()


@pytest.fixture
def connection(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connected:
        yield connected
    proxy.faults = HEALTHY


def _echoed(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    received = b""
    while len(received) < len(data):
        received += connection.recv(65536)
    return received


def test_bytes_pass_unchanged(connection: socket.socket) -> None:
    data = bytes(range(256)) * 4096  # 1 MiB, many chunks
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    received = b""
    while len(received) < len(data):
        received += connection.recv(65536)
    assert received == data


def test_latency_delays_both_ways(proxy: Proxy, connection: socket.socket) -> None:
    proxy.faults = Faults(latency_seconds=0.2)
    started = time.monotonic()
    assert _echoed(connection, b"hello") == b"hello"
    assert time.monotonic() - started >= 0.4  # 0.2 s there and 0.2 s back


def test_a_black_hole_keeps_the_connection_and_gives_back_what_it_swallowed_when_it_ends(
    proxy: Proxy, connection: socket.socket
) -> None:
    proxy.faults = Faults(is_black_hole=True)
    connection.settimeout(0.3)
    connection.sendall(b"hello")
    with pytest.raises(TimeoutError):
        connection.recv(1)
    proxy.faults = HEALTHY
    connection.settimeout(5)
    assert connection.recv(5) == b"hello"


def test_a_reset_is_seen_by_open_and_by_new_connections(proxy: Proxy, connection: socket.socket) -> None:
    assert _echoed(connection, b"hello") == b"hello"
    proxy.faults = Faults(resets=True)
    assert _is_cut(connection)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        assert _is_cut(another)


def test_slices_arrive_whole(proxy: Proxy, connection: socket.socket) -> None:
    proxy.faults = Faults(slice_bytes=3)
    assert _echoed(connection, b"0123456789") == b"0123456789"


def test_the_limit_cuts_the_answer_that_goes_beyond_it(proxy: Proxy, connection: socket.socket) -> None:
    proxy.faults = Faults(answer_limit_bytes=4)
    assert _echoed(connection, b"0123") == b"0123"
    connection.sendall(b"4")
    assert _is_cut(connection)


def test_requests_have_a_limit_of_their_own(proxy: Proxy, connection: socket.socket) -> None:
    proxy.faults = Faults(request_limit_bytes=4)
    assert _echoed(connection, b"0123") == b"0123"
    connection.sendall(b"4")
    assert _is_cut(connection)
    assert proxy.answer_bytes == 4  # what went beyond the limit did not arrive


def test_a_bit_is_flipped_as_often_as_asked(proxy: Proxy, connection: socket.socket) -> None:
    proxy.faults = Faults(spoiled=b"classifier", spoiled_times=1)
    # 'r' is 0x72; with its last bit flipped it is 0x73, 's'
    assert _echoed(connection, b"the classifier") == b"the classifies"
    assert _echoed(connection, b"the classifier") == b"the classifier"
    assert proxy.spoilt == 1


def _is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
