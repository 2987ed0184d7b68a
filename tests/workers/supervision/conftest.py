"""Attempts at inspections whose process runs a script. The database and the store are real."""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.problem import problem
from app.ids import new_id
from app.settings import Settings
from app.storage import ObjectStore
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID, File, Job, Model
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.postgres import Database
from workers.protocol.outcome import OUTCOME_FILE, Refused
from workers.sandbox.gpu import Gpu
from workers.supervision import heartbeat
from workers.supervision.attempt import Attempt
from workers.supervision.process import job_process

CONTENT = b"model" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REFUSED = Refused(problem=problem("onnx_parse_error", "Cut off.")).model_dump_json()
ENDS_WELL = f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"
"""With a refusal, which is an end like any other and needs no model."""

LEASE_SECONDS = 600.0
"""No machine stands still for so long: a test that wants a lease to run out asks for a short one."""
BEAT_SECONDS = 0.5

Sessions = sessionmaker[Session]
Perform = Callable[..., Job]


@pytest.fixture
def sessions(quiet_database: Database) -> Iterator[Sessions]:
    engine = create_engine(quiet_database.url)
    made = sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    quiet_database.empty()
    yield made
    quiet_database.empty()
    engine.dispose()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    made = DirectoryStore(tmp_path / "store")
    (tmp_path / "model").write_bytes(CONTENT)
    made.put_file(tmp_path / "model", tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)
    return made


@pytest.fixture
def perform(tmp_path: Path, sessions: Sessions, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """One attempt at an inspection whose process runs a script; returns the job's row afterwards."""

    def run(
        script: str,
        *,
        meanwhile: Callable[[Job], object] | None = None,
        store: ObjectStore = store,
        through: Sessions = sessions,
        settings: dict[str, object] | None = None,
        file_format: str = "onnx",
        gpu: Gpu | None = None,
        **fields: object,
    ) -> Job:
        """`through` is how the attempt reaches the database."""
        command = (sys.executable, "-c", f"import json, os, signal, sys, time\n{script}")
        monkeypatch.setattr(job_process, "COMMAND", command)
        job = _claimed(sessions, file_format, **fields)
        known = Settings.model_validate(
            {"scratch_dir": tmp_path / "scratch", "lease_seconds": LEASE_SECONDS, **(settings or {})}
        )
        monkeypatch.setattr(heartbeat, "BEATS_PER_LEASE", known.lease_seconds / BEAT_SECONDS)
        thread = threading.Thread(target=lambda: meanwhile and meanwhile(job))
        thread.start()
        Attempt(job, known, through, store, gpu).see_through()
        thread.join()
        assert list((tmp_path / "scratch" / "jobs").iterdir()) == []
        with sessions() as session:
            return session.get_one(Job, job.id)

    return run


def error_of(job: Job) -> dict[str, Any]:
    assert job.error is not None
    return job.error


def _claimed(sessions: Sessions, file_format: str, **fields: object) -> Job:
    with sessions.begin() as session:
        file = File(
            id=new_id("file"), tenant_id=DEFAULT_TENANT_ID, filename="m.onnx", purpose="model", format=file_format,
            bytes=len(CONTENT), sha256=SHA256,
        )  # fmt: skip
        session.add(file)
        session.flush()
        model = Model(id=new_id("mdl"), tenant_id=DEFAULT_TENANT_ID, name="m", file_id=file.id, format="onnx")
        session.add(model)
        session.flush()
        job = Job(
            id=new_id("job"), tenant_id=DEFAULT_TENANT_ID, kind="inspect_model", queue="inspect", name="t",
            model_id=model.id, max_attempts=3, status="running", attempt=1, lease_token=1, lease_owner="me",
            lease_expires_at=session.scalar(text("SELECT clock_timestamp() + interval '3 seconds'")),
        )  # fmt: skip
        for name, value in fields.items():
            setattr(job, name, value)
        session.add(job)
    return job
