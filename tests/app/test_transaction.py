"""One request, one transaction, committed before the answer leaves: no answer may promise what a commit refuses."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.keys import Key, generate
from app.main import create_app
from app.serve.admin_key import admit
from app.settings import Settings
from app.transaction import AroundCommit, Transaction
from tests.servers.postgres import Database


@pytest.fixture
def app(database: Database, tmp_path: Path) -> FastAPI:
    """With an endpoint whose commit fails if it is asked to."""
    made = create_app(
        Settings.model_validate(
            {"database_url": database.url, "broker_url": "redis://127.0.0.1:9", "storage_url": tmp_path.as_uri()}
        )
    )

    @made.post("/v1/files/promise", status_code=201)
    async def promise(session: Transaction, times: int) -> str:
        await session.execute(text("CREATE TEMP TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        for _ in range(times):  # a second row is refused at the commit, not before
            await session.execute(text("INSERT INTO once VALUES (1)"))
        return "done"

    return made


@pytest.fixture
def key(database: Database) -> Key:
    made = generate()
    admit(database.owner_url, made, name="test")
    return made


def answer(app: FastAPI, key: Key, *, times: int) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Authorization": f"Bearer {key.text()}"}
            response = await client.post("/v1/files/promise", params={"times": times}, headers=headers)
        await app.state.sessions.kw["bind"].dispose()
        return response

    return asyncio.run(ask())


def test_a_commit_that_fails_is_no_success(app: FastAPI, key: Key) -> None:
    answered = answer(app, key, times=2)
    assert answered.status_code == 500
    assert answered.json()["code"] == "internal"
    assert "once" not in answered.text


@pytest.mark.parametrize(("times", "told"), [(1, ["added", "told"]), (2, ["added"])])
def test_a_change_is_told_once_it_is_committed_and_never_before(
    app: FastAPI, key: Key, times: int, told: list[str]
) -> None:
    seen: list[str] = []

    def add(session: AsyncSession, request: Request, response: Response) -> None:
        assert session.in_transaction()
        seen.append("added")

    app.state.around_commit = AroundCommit(before=(add,), after=(lambda _: seen.append("told"),))
    assert answer(app, key, times=times).is_success == (told[-1] == "told")
    assert seen == told
