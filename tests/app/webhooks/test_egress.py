"""Against a real TLS server. The rules of URLs and addresses have tests of their own."""

import asyncio
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from app.contracts.problem import ProblemFound
from app.settings import Settings
from app.webhooks import egress
from app.webhooks.egress import Egress, Undeliverable
from tests.servers.webhook_receiver import Receiver, running_receiver, status


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with running_receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    listening.received.clear()
    listening.answers.clear()
    return listening


def _egress(ca_file: Path | None = None, *, allow_private: bool) -> Egress:
    return Egress.of(Settings(webhook_ca_file=ca_file, webhook_allow_private=allow_private))


def _post(way: Egress, url: str) -> int:
    return asyncio.run(way.post(url, b'{"a":1}', {"webhook-id": "whd_1"}))


def test_the_request_arrives_with_the_names_of_the_host(receiver: Receiver) -> None:
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url("/hook?x=1")) == 204
    (got,) = receiver.received
    assert (got.path, got.body, got.server_name) == ("/hook?x=1", b'{"a":1}', "localhost")
    assert got.headers["host"] == f"localhost:{receiver.port}"
    assert got.headers["webhook-id"] == "whd_1"
    assert got.headers["content-type"] == "application/json"


def test_a_certificate_of_another_name_is_refused(receiver: Receiver) -> None:
    with pytest.raises(Undeliverable, match="certificate"):
        _post(_egress(receiver.ca_file, allow_private=True), receiver.url(host="127.0.0.1"))
    assert receiver.received == []


def test_a_certificate_of_an_unknown_authority_is_refused(receiver: Receiver) -> None:
    with pytest.raises(Undeliverable, match="certificate"):
        _post(_egress(allow_private=True), receiver.url())
    assert receiver.received == []


def test_redirects_are_reported_and_not_followed(receiver: Receiver) -> None:
    receiver.answers.append(status(302, Location=receiver.url("/elsewhere")))
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url()) == 302
    assert [got.path for got in receiver.received] == ["/hook"]


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url()) == 204


def test_a_name_of_a_private_address_is_refused_at_the_time_of_sending(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name passed when the webhook was made; now one of its addresses is ours."""
    monkeypatch.setattr(egress, "parse", egress.parse_anywhere)
    monkeypatch.setattr(socket, "getaddrinfo", _resolving_to("8.8.8.8", "127.0.0.1"))
    way = _egress(receiver.ca_file, allow_private=False)
    with pytest.raises(Undeliverable, match="public"):
        _post(way, receiver.url())
    with pytest.raises(ProblemFound, match="url_not_allowed"):
        asyncio.run(way.check(receiver.url()))
    assert receiver.received == []


def test_the_name_is_resolved_once_for_a_request(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", _resolving_to("127.0.0.1", log=asked))
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url()) == 204
    assert asked == ["localhost"]


def test_the_next_address_is_tried_when_one_takes_no_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolving_to("127.0.0.2", "127.0.0.1"))  # the first one is not bound
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url()) == 204


def test_a_name_that_does_not_resolve_tells_nothing_more(receiver: Receiver) -> None:
    with pytest.raises(ProblemFound, match="not to public addresses only"):
        asyncio.run(_egress(allow_private=False).check("https://no-such-host.invalid/"))


@pytest.mark.pace
def test_an_endless_answer_is_cut_off_and_its_status_counts(receiver: Receiver) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:  # ends when the other side closes the connection
            handler.wfile.write(bytes(65536))

    receiver.answers.append(endless)
    started = time.monotonic()
    assert _post(_egress(receiver.ca_file, allow_private=True), receiver.url()) == 200
    assert time.monotonic() - started < egress.TOTAL_SECONDS / 2


def test_a_server_that_does_not_answer_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "TOTAL_SECONDS", 0.3)
    receiver.answers.append(lambda _: time.sleep(1))
    with pytest.raises(Undeliverable, match="No answer"):
        _post(_egress(receiver.ca_file, allow_private=True), receiver.url())


def test_a_closed_port_is_no_connection(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Undeliverable, match="No connection"):
        _post(_egress(receiver.ca_file, allow_private=True), f"https://localhost:{port}/")


def _resolving_to(*addresses: str, log: list[object] | None = None) -> object:
    """A resolver for these tests, in the form that `getaddrinfo` has."""

    def resolve(host: object, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        if log is not None:
            log.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve
