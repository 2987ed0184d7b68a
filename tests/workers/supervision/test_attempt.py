"""However a job's process behaves, its row tells the truth. The database and the store are real, processes scripts."""

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.problem import problem
from app.ids import new_id
from app.jobs import lease
from app.settings import Settings
from app.storage import StoreUnavailable
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID, File, Job, JobEvent, Model
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.postgres import Database
from workers.pipeline.protocol import OUTCOME_FILE, Refused
from workers.supervision import job_process, limits
from workers.supervision.attempt import Attempt
from workers.supervision.shutdown import SHUTDOWN
from workers.supervision.transfers import Transfers

CONTENT = b"model" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REFUSED = Refused(problem=problem("onnx_parse_error", "Cut off.")).model_dump_json()
ENDS_WELL = f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"
"""With a refusal, which is an end like any other and needs no model."""

Sessions = sessionmaker[Session]
Perform = Callable[..., Job]


@pytest.fixture
def sessions(database: Database) -> Iterator[Sessions]:
    engine = create_engine(database.url)
    made = sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    yield made
    with made.begin() as session:
        for table in ("jobs", "models", "files"):
            session.execute(text(f"DELETE FROM {table}"))
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
        store: DirectoryStore = store,
        settings: dict[str, object] | None = None,
        **fields: object,
    ) -> Job:
        command = (sys.executable, "-c", f"import json, os, signal, sys, time\n{script}")
        monkeypatch.setattr(job_process, "COMMAND", command)
        job = _claimed(sessions, **fields)
        known: dict[str, object] = {"scratch_dir": tmp_path / "scratch", "lease_seconds": 3, **(settings or {})}
        thread = threading.Thread(target=lambda: meanwhile and meanwhile(job))
        thread.start()
        Attempt(job, Settings.model_validate(known), sessions, store).see_through()
        thread.join()
        assert list((tmp_path / "scratch" / "jobs").iterdir()) == []
        with sessions() as session:
            return session.get_one(Job, job.id)

    return run


def _claimed(sessions: Sessions, **fields: object) -> Job:
    with sessions.begin() as session:
        file = File(
            id=new_id("file"), tenant_id=DEFAULT_TENANT_ID, filename="m.onnx", purpose="model", format="onnx",
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


def _log(sessions: Sessions, job: Job) -> list[str]:
    with sessions() as session:
        of_job = select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.type == "log").order_by(JobEvent.seq)
        return [event.data["message"] for event in session.scalars(of_job)]


def _error(job: Job) -> dict[str, Any]:
    assert job.error is not None
    return job.error


CRASH = "sys.stderr.write('reading /srv/x/model.onnx\\n'); sys.stderr.flush(); os.kill(os.getpid(), signal.SIGSEGV)"


def test_a_crash_is_tried_again_and_the_third_quarantines_with_its_cause(sessions: Sessions, perform: Perform) -> None:
    first = perform(CRASH)
    assert (first.status, first.crashes, first.error) == ("queued", 1, None)
    last = perform(CRASH, crashes=2)
    assert (last.status, last.crashes, _error(last)["code"]) == ("failed", 3, "job_quarantined")
    assert "SIGSEGV" in _error(last)["detail"]
    assert _log(sessions, last) == ["reading …/model.onnx", "The job's process died: it was ended by SIGSEGV."]
    with sessions() as session:
        assert session.get_one(Model, last.model_id).status == "rejected"


def test_a_silent_process_has_stalled_and_counts_as_crashed(sessions: Sessions, perform: Perform) -> None:
    started = time.monotonic()
    after = perform("time.sleep(600)", settings={"stall_seconds": 0.001})  # 600 s x 0.001
    assert time.monotonic() - started < 5
    assert (after.status, after.crashes) == ("queued", 1)
    assert "no sign of life" in _log(sessions, after)[-1]


def test_signs_of_life_keep_a_process_from_being_stalled(perform: Perform) -> None:
    line = '{"event": "progress", "completed": 1, "total": 2, "unit": "x"}'
    script = f"for _ in range(15):\n    print('{line}', flush=True); time.sleep(0.1)\n{ENDS_WELL}"
    assert _error(perform(script, settings={"stall_seconds": 0.002}))["code"] == "onnx_parse_error"


def test_an_attempt_that_passes_its_deadline_fails_for_good(perform: Perform) -> None:
    after = perform("time.sleep(600)", deadline_seconds=1.0)
    assert (after.status, after.crashes, _error(after)["code"]) == ("failed", 0, "deadline_exceeded")


def test_a_job_out_of_memory_fails_for_good_with_peak_and_limit(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    script = "hog = os.urandom(1) * (120 * 1024**2)\ntime.sleep(600)"
    after = perform(script, settings={"job_rss_bytes": 64 * 1024**2})
    assert (after.status, after.crashes, _error(after)["code"]) == ("failed", 0, "out_of_memory")
    assert "limit of 64 MiB" in _error(after)["detail"]


def test_a_store_that_is_away_postpones_the_job_until_it_has_waited_enough(tmp_path: Path, perform: Perform) -> None:
    (tmp_path / "store").rename(tmp_path / "away")
    first = perform(ENDS_WELL)
    assert (first.status, first.attempt, first.postponements) == ("queued", 0, 1)
    # pauses of 5, 10, 20, 40 and 80 s: 155 in all
    again = perform(ENDS_WELL, postponements=5, settings={"postpone_seconds": 156})
    assert (again.status, again.postponements) == ("queued", 6)
    last = perform(ENDS_WELL, postponements=5, settings={"postpone_seconds": 155})
    assert (last.status, _error(last)["code"], _error(last)["retryable"]) == (
        "failed",
        "artifact_store_unavailable",
        True,
    )


def test_a_flood_of_events_becomes_few_writes(sessions: Sessions, perform: Perform) -> None:
    script = f"""for n in range(20000):
    print(json.dumps({{"event": "progress", "completed": n, "total": 20000, "unit": "x"}}))
    if n % 10 == 0: print(json.dumps({{"event": "log", "level": "info", "message": f"line {{n}}"}}))
    if n % 100 == 0: print(json.dumps({{"event": "warning", "code": "c", "detail": f"{{n}}\\0"}}))
    if n % 2: print(json.dumps({{"event": "stage", "stage": ["fetch", "inspect"][n % 4 // 2]}}))
sys.stdout.flush()
{ENDS_WELL}"""
    started = time.monotonic()
    after = perform(script)
    assert after.version < 10 + (time.monotonic() - started) / 0.25
    lines = _log(sessions, after)
    assert lines[:2] == ["line 0", "line 10"]
    assert len(lines) < 100 + 20 * (time.monotonic() - started) + 10
    assert any("more lines came too fast" in line for line in lines)
    assert len(after.warnings) == 101
    assert (after.status, _error(after)["code"]) == ("failed", "onnx_parse_error")


def test_numbers_that_no_reader_can_hold_are_no_events(perform: Perform) -> None:
    script = f"""for number in (-1, 2**53 + 1, 10**300):
    print(json.dumps({{"event": "progress", "completed": number, "total": 1, "unit": "x"}}), flush=True)
time.sleep(0.5)
{ENDS_WELL}"""
    assert perform(script).progress is None


def test_an_attempt_whose_lease_went_to_another_stops_and_writes_nothing(sessions: Sessions, perform: Perform) -> None:
    def take_over(job: Job) -> None:
        time.sleep(1)
        with sessions.begin() as session:
            session.execute(text("UPDATE jobs SET lease_token = 2, lease_owner = 'other'"))

    started = time.monotonic()
    after = perform("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)", meanwhile=take_over)
    assert time.monotonic() - started < 4
    assert (after.status, after.lease_owner, after.crashes) == ("running", "other", 0)


@contextmanager
def _shut_down_later(seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, SHUTDOWN.set)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        SHUTDOWN._byte.value = 0


def test_a_worker_that_is_told_to_stop_hears_last_words_and_gives_the_job_back(
    sessions: Sessions, perform: Perform
) -> None:
    """The process takes a second to finish what it is at, as one that writes a file would."""
    script = """def finish(*_):
    time.sleep(1)
    print('{"event": "log", "level": "info", "message": "finished what I was at"}', flush=True)
    sys.exit(1)
signal.signal(signal.SIGTERM, finish)
time.sleep(600)"""
    with _shut_down_later(1):
        started = time.monotonic()
        after = perform(script, attempt=2)
        assert time.monotonic() - started < 6
    assert (after.status, after.attempt, after.crashes) == ("queued", 1, 0)
    assert _log(sessions, after) == ["finished what I was at"]


def test_a_worker_that_is_told_to_stop_does_not_wait_for_a_stubborn_process(perform: Perform) -> None:
    with _shut_down_later(1):
        started = time.monotonic()
        after = perform("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)")
        assert time.monotonic() - started < 15
    assert (after.status, after.attempt) == ("queued", 0)


class _SlowStore(DirectoryStore):
    """Takes half a minute for a file, as a large one would."""

    @contextmanager
    def open(self, **where: Any) -> Iterator[Iterator[bytes]]:
        with super().open(**where) as chunks:
            yield self._slowly(b"".join(chunks))

    def _slowly(self, content: bytes) -> Iterator[bytes]:
        for position in range(0, len(content), 20):
            time.sleep(0.1)
            yield content[position : position + 20]


def test_a_cancellation_ends_a_download_in_the_middle(tmp_path: Path, sessions: Sessions, perform: Perform) -> None:
    def cancel(job: Job) -> None:
        time.sleep(0.5)
        with sessions.begin() as session:
            session.execute(lease.request_cancel(job.id, tenant_id=DEFAULT_TENANT_ID))

    started = time.monotonic()
    after = perform(ENDS_WELL, meanwhile=cancel, store=_SlowStore(tmp_path / "store"))
    assert time.monotonic() - started < 3  # two heartbeats of half a second, and what surrounds them
    assert after.status == "cancelled"


class _Stop(Exception):
    pass


def _stop_after(seconds: float) -> Callable[[], None]:
    deadline = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > deadline:
            raise _Stop

    return check


class _StuckStore(DirectoryStore):
    def put_file(self, path: Path, **where: Any) -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(1):
                time.sleep(0.05)


def test_an_upload_that_is_interrupted_stops_reading(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(b"x" * 10_000)
    transfers = Transfers(_StuckStore(tmp_path / "store"), _stop_after(0.5))
    with pytest.raises(_Stop):
        transfers.put_file(tmp_path / "result", tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)
    assert (tmp_path / "result").stat().st_size == 0
    time.sleep(0.5)
    assert not [t for t in threading.enumerate() if t.name == "beside"]


class _LateStore(DirectoryStore):
    failures = 2

    def put_file(self, path: Path, **where: Any) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreUnavailable("it is starting")
        super().put_file(path, **where)


def test_a_result_waits_for_a_store_that_is_away_for_a_while(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(CONTENT)
    store = _LateStore(tmp_path / "store")
    Transfers(store, lambda: None).put_patiently(tmp_path / "result", tenant_id=DEFAULT_TENANT_ID, sha256=SHA256)
    assert store.size(tenant_id=DEFAULT_TENANT_ID, sha256=SHA256) == len(CONTENT)
