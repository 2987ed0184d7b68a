"""The outermost layer: gives a request its id, writes one log line for it, and turns what nobody caught into a 500."""

import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.contracts.problem import problem
from app.ids import new_id
from app.problems import send_problem

log = structlog.get_logger("lowbit.request")

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A client may bring its own request id, if it is harmless in a log line and a header."""


class RequestLog:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.monotonic(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            if "\x00" in scope["path"]:  # no address of ours has one, and the database could not look for it
                await send_problem(problem("not_found", "There is nothing here."), scope, receive, send_with_id)
                return
            await self.app(scope, receive, send_with_id)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if status:  # the answer has begun; cutting it short is all that is left
                raise
            found = problem("internal", "The service met a condition that it does not handle.")
            await send_problem(found, scope, receive, send_with_id)
        finally:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((time.monotonic() - started) * 1000, 1),
            )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return new_id("req")
