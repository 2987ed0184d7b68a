"""The outermost layer: gives a request its id, logs and counts it, and turns what nobody caught into a 500."""

import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.contracts.problem import problem
from app.ids import new_id
from app.observability import correlation, tracing
from app.observability.instruments import NO_ROUTE, Instruments
from app.problems import send_problem

log = structlog.get_logger("lowbit.request")

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A client may bring its own request id, if it is harmless in a log line and a header."""


class RequestLog:
    def __init__(self, app: ASGIApp, *, instruments: Instruments) -> None:
        self.app = app
        self.instruments = instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        traceparent = tracing.current_traceparent() or _given_traceparent(scope)
        correlation.begin(request_id, traceparent)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**correlation.log_fields(request_id=request_id, traceparent=traceparent))
        answer = _Answer(request_id, send, self.instruments)
        started = time.monotonic()
        try:
            if "\x00" in scope["path"]:  # no address of ours has one, and the database could not look for it
                await send_problem(problem("not_found", "There is nothing here."), scope, receive, answer.send)
                return
            await self.app(scope, receive, answer.send)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if answer.status:  # the answer has begun; cutting it short is all that is left
                raise
            found = problem("internal", "The service met a condition that it does not handle.")
            await send_problem(found, scope, receive, answer.send)
        finally:
            answer.ended()
            self._note(scope, answer, seconds=time.monotonic() - started)

    def _note(self, scope: Scope, answer: "_Answer", *, seconds: float) -> None:
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=answer.status,
            duration_ms=round(seconds * 1000, 1),
        )
        self.instruments.count_request(
            method=scope["method"],
            route=getattr(scope.get("route"), "path", NO_ROUTE),
            status=answer.status,
            seconds=None if answer.is_event_stream else seconds,
        )


class _Answer:
    """The answer on its way out: gets our headers, and is remembered by its status and its kind."""

    def __init__(self, request_id: str, send: Send, instruments: Instruments) -> None:
        self.status = 0
        self.is_event_stream = False
        self._request_id = request_id
        self._send = send
        self._instruments = instruments

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            if not self.is_event_stream and _is_event_stream(headers):
                self.is_event_stream = True
                self._instruments.event_streams.inc()
            message["headers"] = [
                *headers,
                (b"x-request-id", self._request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        await self._send(message)

    def ended(self) -> None:
        if self.is_event_stream:
            self._instruments.event_streams.dec()


def _is_event_stream(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return new_id("req")


def _given_traceparent(scope: Scope) -> str | None:
    given = [bytes(value).decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
    return correlation.valid_traceparent(given[0]) if len(given) == 1 else None
