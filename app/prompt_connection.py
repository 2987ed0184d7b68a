"""Connections to Postgres that wait for no answer longer than they were told to.

A server that is frozen, or beyond a network that swallows packets, neither answers nor closes: `statement_timeout` is
its own to keep, and TCP takes many minutes. Here the client watches the clock. A connection whose answer is overdue is
closed, since nobody knows what it would say next, and the error is the one of a lost connection, so the pool replaces
it. Whether the overdue statement took effect is unknown, as with every lost connection.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import Engine, event

POLL_SECONDS = 0.1
"""How often psycopg looks up from waiting; an answer is taken at once."""
CONNECT_SECONDS = 3

SILENCE_NOTICED: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's: a server that vanished without a word would hold a TCP connection, and its request, for ever."""


class PromptConnection(Connection[Any]):
    patience_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = POLL_SECONDS, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, self.patience_seconds if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise


class PromptAsyncConnection(AsyncConnection[Any]):
    patience_seconds: float | None = None

    async def wait(self, gen: PQGen[RV], interval: float = POLL_SECONDS, timeout: float | None = None) -> RV:  # noqa: ASYNC109  psycopg's own signature
        try:
            return await super().wait(gen, interval, self.patience_seconds if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise


def wait_at_most(engine: Engine, patience_seconds: float) -> None:
    """Let every connection that the engine makes from now on be prompt."""

    @event.listens_for(engine, "do_connect")
    def _(_dialect: object, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]) -> PromptConnection:
        connection = PromptConnection.connect(*arguments, **options)
        connection.patience_seconds = patience_seconds
        return connection


def prompt_async_connect(patience_seconds: float) -> Callable[..., Awaitable[PromptAsyncConnection]]:
    """For `async_creator_fn` among the `connect_args` of an asynchronous engine."""

    async def connect(*arguments: Any, **options: Any) -> PromptAsyncConnection:  # noqa: ANN401  what psycopg takes
        connection = await PromptAsyncConnection.connect(*arguments, **options)
        connection.patience_seconds = patience_seconds
        return connection

    return connect
