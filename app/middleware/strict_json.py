"""Refuses JSON that two readers could understand differently: a name twice in an object, NaN, nesting without an end.

The framework's own reader takes the last of two names and is silent. Whatever the route, nothing else reads a body.
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.contracts.problem import problem, quoted
from app.contracts.strict_json import NamedTwice, NotStrictJson, parse_json
from app.problems import send_problem

_JSON = re.compile(rb"\s*application/([^;,\s]+\+)?json\s*(;.*)?", re.IGNORECASE)
"""What the framework takes for JSON."""


class StrictJson:
    """Within the limit of a body's size, so that a body is held here whole."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_json(scope):
            await self.app(scope, receive, send)
            return
        messages = await _all_of(receive)
        is_whole = messages[-1]["type"] == "http.request"  # and the client has not gone away
        wrong = _what_is_wrong(b"".join(m.get("body", b"") for m in messages)) if is_whole else None
        if wrong is not None:
            found = problem("malformed_json", f"The body cannot be read: {wrong}.")
            await send_problem(found, scope, receive, send)
            return

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        await self.app(scope, again, send)


def _is_json(scope: Scope) -> bool:
    return any(name == b"content-type" and _JSON.fullmatch(value) for name, value in scope["headers"])


async def _all_of(receive: Receive) -> list[Message]:
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _what_is_wrong(body: bytes) -> str | None:
    if not body:
        return None
    try:
        parse_json(body)
    except NamedTwice as twice:
        return f"it names {quoted(twice.name)} twice"
    except NotStrictJson as error:
        return str(error)
    return None
