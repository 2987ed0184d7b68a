"""An application on a real database, spoken to in this process."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI

from app.auth.keys import generate
from app.main import create_app
from app.serve.admin_key import admit
from app.settings import Settings
from tests.servers.postgres import Database

T = TypeVar("T")
Conversation = Callable[[FastAPI, httpx2.AsyncClient], Coroutine[Any, Any, T]]


def converse(database: Database, conversation: Conversation[T], **settings: object) -> T:
    """Run a conversation with a client that has the admin's key."""
    key = generate()
    admit(database.owner_url, key, name="test")
    given = {"database_url": database.url, "broker_url": "redis://127.0.0.1:9", "storage_url": "file:///nowhere"}
    app = create_app(Settings.model_validate({**given, **settings}))

    async def run() -> T:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {key.text()}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            try:
                return await conversation(app, client)
            finally:
                await app.state.sessions.kw["bind"].dispose()

    return asyncio.run(run())
