"""One request, one transaction, committed before the answer leaves: no answer may promise what a commit refuses."""

import asyncio
from pathlib import Path

import httpx2
from sqlalchemy import text

from app.auth.keys import generate
from app.main import create_app
from app.serve.admin_key import admit
from app.settings import Settings
from app.transaction import Transaction
from tests.servers.postgres import Database


def test_a_commit_that_fails_is_no_success(database: Database, tmp_path: Path) -> None:
    key = generate()
    admit(database.owner_url, key, name="test")
    app = create_app(
        Settings.model_validate(
            {"database_url": database.url, "broker_url": "redis://127.0.0.1:9", "storage_url": tmp_path.as_uri()}
        )
    )

    @app.post("/v1/files/promise", status_code=201)
    async def promise(session: Transaction) -> str:
        await session.execute(text("CREATE TEMP TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        await session.execute(text("INSERT INTO once VALUES (1), (1)"))  # refused at commit, not before
        return "done"

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            response = await client.post("/v1/files/promise", headers={"Authorization": f"Bearer {key.text()}"})
        await app.state.sessions.kw["bind"].dispose()
        return response

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "once" not in answer.text
