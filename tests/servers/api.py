"""The API alone for tests: the real application behind a real socket, in a thread, without workers.

It starts in a second, so tests of keys, quotas and the like need no whole `lowbit serve`.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import structlog
import uvicorn

from app.auth.keys import generate
from app.main import create_app
from app.serve.admin_key import admit
from app.settings import Settings
from tests.servers.postgres import Database

START_SECONDS = 180.0


@dataclass(frozen=True)
class Api:
    url: str
    key: str
    """The admin's."""
    app: Any

    def client(self, key: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        # loading certificates takes longer than most tests, and none is needed here
        return httpx2.Client(base_url=self.url, headers=headers, timeout=90.0, verify=False)

    def tenant(self, name: str, *, scopes: tuple[str, ...] = ("*",), **limits: Any) -> tuple[str, str]:
        """Make a tenant with one key: its id and the key."""
        with self.client() as admin:
            made = admin.post("/v1/admin/tenants", json={"name": name, **limits})
            assert made.status_code == 201, made.text
            return made.json()["id"], self.key_of(made.json()["id"], scopes=scopes)

    def key_of(self, tenant_id: str, *, scopes: tuple[str, ...] = ("*",), **more: Any) -> str:
        with self.client() as admin:
            wanted = {"name": "test", "scopes": list(scopes), **more}
            made = admin.post(f"/v1/admin/tenants/{tenant_id}/keys", json=wanted)
            assert made.status_code == 201, made.text
            key: str = made.json()["key"]
            return key


@contextmanager
def running_api(database: Database, broker_url: str, folder: Path, **settings: object) -> Iterator[Api]:
    """Serve the application. `settings` are the ones that differ from the defaults."""
    key = generate()
    admit(database.owner_url, key, name=f"admin {key.id}")  # each name has one key, and there may be several of these
    places = {"database_url": database.url, "broker_url": broker_url, "storage_url": (folder / "objects").as_uri()}
    app = create_app(Settings.model_validate({**places, "scratch_dir": folder / "scratch", **settings}))
    # plain lines on stderr: by default they go to stdout, among what a test reads there, with tracebacks of many pages
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{_port(server, thread)}", key.text(), app)
    finally:
        server.should_exit = True
        thread.join()


def _port(server: uvicorn.Server, thread: threading.Thread) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        assert thread.is_alive(), "the API ended early"
        assert time.monotonic() < deadline, "the API did not start"
        time.sleep(0.02)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
