"""The API in a process of its own on real Postgres, jobs to change behind its back, and a reader of streams."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.auth.keys import generate
from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.request import RecipeRequest
from app.ids import new_id
from app.jobs import lease
from app.tables import ApiKey, Dataset, File, Job, Model, Tenant
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.postgres import Database

Sessions = sessionmaker[Session]
PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="session")
def sessions(database: Database) -> Iterator[Sessions]:
    engine = create_engine(database.url, pool_size=5)
    yield sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    engine.dispose()


@dataclass
class Tenancy:
    """A tenant with a key, a model and data, so that jobs of it can be inserted."""

    sessions: Sessions
    tenant_id: str
    key: str
    model_id: str
    dataset_id: str

    def job(self, **fields: object) -> Job:
        """A job that waits, as the API would have made it."""
        values: dict[str, object] = {
            "id": new_id("job"),
            "tenant_id": self.tenant_id,
            "kind": "quantize",
            "queue": "events",
            "name": "test",
            "max_attempts": 3,
            "model_id": self.model_id,
            "calibration_dataset_id": self.dataset_id,
            "target": "onnxruntime-cpu",
            "recipe": RecipeRequest().resolve().model_dump(mode="json"),
            "objective": Objective().model_dump(mode="json"),
            "benchmark": Benchmark().model_dump(mode="json"),
        }
        job = Job(**{**values, **fields})
        with self.sessions.begin() as session:
            session.add(job)
        return job


@pytest.fixture(scope="session")
def make_tenant(sessions: Sessions) -> Callable[[], Tenancy]:
    def make() -> Tenancy:
        tenant_id, key, file_id = new_id("tnt"), generate(), new_id("file")
        model_id, dataset_id = new_id("mdl"), new_id("ds")
        with sessions.begin() as session:
            session.add(Tenant(id=tenant_id, name=tenant_id))
            session.flush()
            session.add(
                ApiKey(id=key.id, tenant_id=tenant_id, name="test", secret_sha256=key.secret_sha256(), scopes=["*"])
            )
            session.add(
                File(id=file_id, tenant_id=tenant_id, filename="f", purpose="model", format="onnx", bytes=1, sha256="0")
            )
            session.flush()
            for table, row_id in ((Model, model_id), (Dataset, dataset_id)):
                session.add(
                    table(id=row_id, tenant_id=tenant_id, file_id=file_id, name="m", format="onnx", status="ready")
                )
        return Tenancy(sessions, tenant_id, key.text(), model_id, dataset_id)

    return make


@pytest.fixture
def tenant(make_tenant: Callable[[], Tenancy]) -> Tenancy:
    return make_tenant()


@dataclass
class Work:
    """What a worker does to a job, statement by statement."""

    sessions: Sessions
    job: Job
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lease(self) -> lease.Lease:
        return lease.Lease(self.job.id, self.job.lease_token)

    def run(self, statement: Any) -> Any:
        with self.sessions.begin() as session:
            return session.scalar(statement.execution_options(synchronize_session=False))

    def claim(self) -> None:
        with self.sessions.begin() as session:
            session.execute(
                text(
                    "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_token = lease_token + 1, "
                    "lease_owner = 'me', lease_expires_at = clock_timestamp() + interval '1 minute', "
                    "started_at = clock_timestamp(), version = version + 1 WHERE id = :id"
                ),
                {"id": self.job.id},
            )
        with self.sessions() as session:
            self.job = session.get_one(Job, self.job.id)

    def report(self, stage: str, completed: int | None = None, *, warnings: tuple[str, ...] = ()) -> None:
        progress = {"fraction": (completed or 0) / 1000, "completed": completed, "total": 1000, "unit": "batches"}
        self.run(
            lease.report(
                self.lease,
                lease_seconds=60,
                stage=stage,
                stages=[],
                progress=None if completed is None else progress,
                warnings=[{"code": "odd", "detail": detail} for detail in warnings],
            )
        )

    def succeed(self) -> None:
        self.run(lease.succeed(self.lease, result=None, stages=[], warnings=[]))


@dataclass
class Api:
    url: str
    process: subprocess.Popen[bytes]

    def client(self, key: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_SECONDS)


@contextmanager
def running_api(database: Database, folder: Path, **environment: str) -> Iterator[Api]:
    listener = socket.create_server(("127.0.0.1", 0))
    given = {
        "LOWBIT_DATABASE_URL": database.url.replace("postgresql+psycopg://", "postgresql://"),
        "LOWBIT_BROKER_URL": "redis://127.0.0.1:9",
        "LOWBIT_STORAGE_URL": folder.as_uri(),
        "LOWBIT_REAP_SECONDS": "3600",
    }
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.serve.api", "--fd", str(listener.fileno())],
            env={**os.environ, **given, **environment},
            pass_fds=[listener.fileno()],
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert httpx2.get(f"{url}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
        yield Api(url, process)
    finally:
        listener.close()
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def api(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(database, tmp_path_factory.mktemp("api")) as running:
        yield running


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    event: str
    data: Any
    id: str | None
    at: float


class Stream:
    """Reads a stream in a thread; `until` waits for what it should bring."""

    def __init__(self, api: Api, key: str, path: str, last_event_id: str | None = None) -> None:
        self.events: list[Told] = []
        self.ended = threading.Event()
        self.status = 0
        self._news = threading.Condition()
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        self._client = api.client(key)
        self._thread = threading.Thread(target=self._read, args=(path, headers), daemon=True)
        self._thread.start()

    def until(self, holds: Callable[[list[Told]], bool], seconds: float = PATIENCE_SECONDS) -> list[Told]:
        with self._news:
            assert self._news.wait_for(lambda: holds(self.events), seconds), self.events
            return list(self.events)

    def until_ended(self) -> list[Told]:
        assert self.ended.wait(PATIENCE_SECONDS), self.events
        return self.events

    def stored(self) -> list[Told]:
        """Without the snapshot, and without progress, which has no id."""
        return [told for told in self.events if told.id is not None and told.event != "snapshot"]

    def _read(self, path: str, headers: dict[str, str]) -> None:
        try:
            with self._client, self._client.stream("GET", path, headers=headers) as response:
                self.status = response.status_code
                fields: dict[str, str] = {}
                for line in response.iter_lines():
                    if line:
                        name, _, value = line.partition(": ")
                        fields[name] = value
                    elif "event" in fields:
                        self._add(fields)
                        fields = {}
                    else:
                        fields = {}
        finally:
            self.ended.set()

    def _add(self, fields: dict[str, str]) -> None:
        with self._news:
            told = Told(fields["event"], json.loads(fields["data"]), fields.get("id"), time.monotonic())
            self.events.append(told)
            self._news.notify_all()
