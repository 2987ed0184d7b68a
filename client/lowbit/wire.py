"""HTTP as the rest of the client sees it: a path goes in, a response or one of our errors comes out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx2

from lowbit.discovery import Connection
from lowbit.errors import NoConnection, ProblemError, error_for
from lowbit.problem import Problem
from lowbit.resources import Page
from lowbit.retry import pause_for, pauses, retry_after

RETRIED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.ReadError,
    httpx2.WriteError,
    httpx2.RemoteProtocolError,
)

IDEMPOTENCY_KEY = "Idempotency-Key"

PASSING = (409, 503)
"""With Retry-After: a part of the service is away, or the first try is still under way there."""

KEEPALIVE_SECONDS = 2.0
"""Below the 5 s after which uvicorn closes an idle connection, so that no POST is written into a closing one."""


@dataclass(frozen=True)
class Call:
    """One request. `body` is sent as JSON; `content` as it is."""

    method: str
    path: str
    """Of the service; or a whole URL, as of an object store, which never gets the key."""
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content: Iterator[bytes] | None = None
    wait_seconds: float = 0.0
    """How long the service may hold the answer back on request."""
    silence_seconds: float | None = None
    """How long a stream may stay silent, in place of the client's timeout."""


class Wire:
    """A pool of connections to one service."""

    def __init__(
        self, connection: Connection, *, timeout_seconds: float, transport: httpx2.BaseTransport | None = None
    ) -> None:
        self.url = connection.url
        self._timeout_seconds = timeout_seconds
        headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
        self._http = httpx2.Client(
            headers=headers,
            limits=httpx2.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
            # a proxy of the environment cannot reach this machine's own loopback
            trust_env=not _is_plain_loopback(connection.url),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> object:
        return self.json(Call("GET", path, params=params))

    def post(self, path: str, body: object) -> object:
        """Send it under a key of its own, so that it takes effect once however often it has to be sent."""
        return self.json(Call("POST", path, body=body, headers={IDEMPOTENCY_KEY: uuid4().hex}))

    def patch(self, path: str, body: object) -> object:
        return self.json(Call("PATCH", path, body=body))

    def delete(self, path: str) -> None:
        with self.open(Call("DELETE", path)):
            pass

    def pages(self, path: str) -> Iterator[object]:
        """Every item of a list, page after page."""
        params: dict[str, str | int] = {"limit": 100}
        while True:
            page = cast(Page[object], self.json(Call("GET", path, params=params)))
            yield from page["data"]
            if not page.get("has_more"):
                return
            params["after"] = page["last_id"] or ""

    def json(self, call: Call) -> object:
        with self.open(call) as response:
            return self.read_json(response)

    def read_json(self, response: httpx2.Response) -> object:
        response.read()
        try:
            return cast(object, response.json())
        except ValueError as error:
            raise NoConnection(f"{self.url} answered, but not as a Lowbit service does: no JSON.") from error

    @contextmanager
    def open(self, call: Call) -> Iterator[httpx2.Response]:
        """The response, its body not read yet. Statuses from 400 are raised."""
        try:
            response = self._send_patiently(call)
            try:
                if response.status_code >= 400:
                    raise problem_error(response)
                yield response
            finally:
                response.close()
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _send_patiently(self, call: Call) -> httpx2.Response:
        """What takes effect at most once is tried again briefly; everything else is sent once."""
        for planned in pauses() if call.method == "GET" or IDEMPOTENCY_KEY in call.headers else ():
            try:
                response = self._send(call)
            except RETRIED:
                time.sleep(planned)
                continue
            passing = response.status_code in PASSING
            pause = pause_for(planned, response.headers.get("Retry-After")) if passing else None
            if pause is None:
                return response
            response.close()
            time.sleep(pause)
        return self._send(call)

    def _send(self, call: Call) -> httpx2.Response:
        request = self._http.build_request(
            call.method,
            self.url + call.path if call.path.startswith("/") else call.path,
            params=dict(call.params) or None,
            headers=dict(call.headers),
            json=call.body,
            content=call.content,
            timeout=httpx2.Timeout(self._timeout_seconds, read=self._patience(call)),
        )
        if not call.path.startswith("/"):
            request.headers.pop("Authorization", None)
        # content may lie in an object store, to which the service redirects
        return self._http.send(request, stream=True, follow_redirects=call.method == "GET")

    def _patience(self, call: Call) -> float:
        return self._timeout_seconds + call.wait_seconds if call.silence_seconds is None else call.silence_seconds

    def _unreachable(self, error: Exception) -> NoConnection:
        if isinstance(error, httpx2.TimeoutException):
            return NoConnection(f"{self.url} did not answer within {self._timeout_seconds:g} s.")
        if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
            return NoConnection(f"{self.url!r} is not the address of a service; it looks like http://127.0.0.1:8000.")
        reason = str(error) or type(error).__name__
        return NoConnection(
            f"{self.url} cannot be reached: {reason}. Does the service run? Start it with `lowbit serve`."
        )


def problem_error(response: httpx2.Response) -> ProblemError:
    """The error that a response with a status from 400 stands for, even when a proxy wrote it."""
    response.read()
    status = response.status_code
    try:
        raw = response.json()
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raw = {"title": f"HTTP {status} {response.reason_phrase}".strip(), "detail": response.text[:200].strip()}
    raw.setdefault("request_id", response.headers.get("X-Request-Id"))
    return error_for(
        Problem.parse(raw, status=status), retry_after_seconds=retry_after(response.headers.get("Retry-After"))
    )


def address(*parts: str) -> str:
    """The path of a resource. Parts are quoted: an id typed by a person cannot reach another path."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _is_plain_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
