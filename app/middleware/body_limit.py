"""Bounds the body of every request but file uploads, which count their own bytes against a limit of their own."""

import re
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.contracts.problem import problem
from app.problems import send_problem

STREAMED_PATHS = re.compile(r"/v1/files|/v1/uploads/[^/]+/parts/[^/]+")


class BodyLimit:
    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or STREAMED_PATHS.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        detail = f"The body may hold {self.max_bytes} bytes."
        if _declared_length(scope) > self.max_bytes:
            await send_problem(problem("body_too_large", detail), scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise BodyTooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            # the framework turns whatever goes wrong while it reads a body into an answer of its own: drop that one
            if received <= self.max_bytes:
                await send(message)

        with suppress(BodyTooLarge):
            await self.app(scope, counted, unless_too_large)
        if received > self.max_bytes:
            await send_problem(problem("body_too_large", detail), scope, receive, send)


class BodyTooLarge(Exception):
    """More bytes have arrived than the service reads."""


def _declared_length(scope: Scope) -> int:
    value = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
    return int(value) if value.isdigit() else 0
