"""A server that neither answers nor closes: queries end in time, and the next one works when the server does."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app.database import make_engine
from app.prompt_connection import wait_at_most
from tests.servers.postgres import Database

pytestmark = pytest.mark.pace  # how soon a query is given up

PATIENCE_SECONDS = 0.5


@contextmanager
def _frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_workers_query_on_a_frozen_server_ends_in_time_and_the_pool_recovers(database: Database) -> None:
    engine = create_engine(database.url, pool_size=1)
    wait_at_most(engine, PATIENCE_SECONDS)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        assert isinstance(pid, int)
        with _frozen(pid):
            started = time.monotonic()
            with pytest.raises(OperationalError) as caught:
                connection.scalar(text("SELECT 1"))
            assert time.monotonic() - started < PATIENCE_SECONDS + 1
            assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_the_apis_query_on_a_frozen_server_ends_in_time_and_the_pool_recovers(database: Database) -> None:
    async def talk() -> None:
        engine = make_engine(database.url, query_seconds=PATIENCE_SECONDS)
        async with engine.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            assert isinstance(pid, int)
            with _frozen(pid):
                started = time.monotonic()
                with pytest.raises(OperationalError) as caught:
                    await connection.scalar(text("SELECT 1"))
                assert time.monotonic() - started < PATIENCE_SECONDS + 2
                assert caught.value.connection_invalidated
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()

    asyncio.run(talk())


def test_a_long_statement_is_given_up_by_the_server_first(database: Database) -> None:
    async def talk() -> None:
        engine = make_engine(database.url, query_seconds=PATIENCE_SECONDS)
        async with engine.connect() as connection:
            with pytest.raises(OperationalError, match="statement timeout"):
                await connection.execute(text("SELECT pg_sleep(5)"))
        await engine.dispose()

    asyncio.run(talk())


def test_an_address_that_swallows_everything_is_given_up() -> None:
    """What a firewall that drops packets looks like: connected, and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://u:p@127.0.0.1:{silent.getsockname()[1]}/d"

        async def talk() -> None:
            engine = make_engine(url)
            with pytest.raises(OperationalError):
                await engine.connect()
            await engine.dispose()

        started = time.monotonic()
        asyncio.run(talk())
        assert time.monotonic() - started < 6
