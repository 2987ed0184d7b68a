"""Refuses requests for other host names: a page elsewhere could point its own name at our address (DNS rebinding)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.contracts.problem import problem, quoted
from app.problems import send_problem

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostCheck:
    def __init__(self, app: ASGIApp, *, allowed: frozenset[str]) -> None:
        self.app = app
        self.allowed = LOOPBACK_NAMES | {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = _host(scope)
            if named not in self.allowed:
                found = problem("host_not_allowed", f"This service does not answer for the host '{quoted(named)}'.")
                await send_problem(found, scope, receive, send)
                return
        await self.app(scope, receive, send)


def _host(scope: Scope) -> str:
    """The Host header without its port; `[::1]:8000` keeps its brackets."""
    raw = next((bytes(v).decode("latin-1") for k, v in scope["headers"] if k == b"host"), "")
    name, colon, port = raw.rpartition(":")
    return (name if colon and port.isdigit() else raw).lower()
