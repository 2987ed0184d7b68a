"""However a job's process behaves, its row tells the truth. The database and the store are real, processes scripts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.jobs import lease
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID, Job, JobEvent, Model
from tests.workers.supervision.conftest import CONTENT, ENDS_WELL, Perform, Sessions, error_of
from workers.supervision.process import limits
from workers.supervision.shutdown import SHUTDOWN

SOON_SECONDS = 120.0
"""Of the ten minutes that the process would go on."""


def _log(sessions: Sessions, job: Job) -> list[str]:
    with sessions() as session:
        of_job = select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.type == "log").order_by(JobEvent.seq)
        return [event.data["message"] for event in session.scalars(of_job)]


CRASH = "sys.stderr.write('reading /srv/x/model.onnx\\n'); sys.stderr.flush(); os.kill(os.getpid(), signal.SIGSEGV)"


def test_a_crash_is_tried_again_and_the_third_quarantines_with_its_cause(sessions: Sessions, perform: Perform) -> None:
    first = perform(CRASH)
    assert (first.status, first.crashes, first.error) == ("queued", 1, None)
    last = perform(CRASH, crashes=2)
    assert (last.status, last.crashes, error_of(last)["code"]) == ("failed", 3, "job_quarantined")
    assert "SIGSEGV" in error_of(last)["detail"]
    assert _log(sessions, last) == ["reading …/model.onnx", "The job's process died: it was ended by SIGSEGV."]
    with sessions() as session:
        assert session.get_one(Model, last.model_id).status == "rejected"


def test_a_silent_process_has_stalled_and_counts_as_crashed(sessions: Sessions, perform: Perform) -> None:
    started = time.monotonic()
    after = perform("time.sleep(600)", settings={"stall_seconds": 0.001})  # 600 s x 0.001
    assert time.monotonic() - started < SOON_SECONDS
    assert (after.status, after.crashes) == ("queued", 1)
    assert "no sign of life" in _log(sessions, after)[-1]


@pytest.mark.pace  # a sign comes twelve times in the silence that is allowed
def test_signs_of_life_keep_a_process_from_being_stalled(perform: Perform) -> None:
    line = '{"event": "progress", "completed": 1, "total": 2, "unit": "x"}'
    script = f"for _ in range(15):\n    print('{line}', flush=True); time.sleep(0.1)\n{ENDS_WELL}"
    assert error_of(perform(script, settings={"stall_seconds": 0.002}))["code"] == "onnx_parse_error"


def test_an_attempt_that_passes_its_deadline_fails_for_good(perform: Perform) -> None:
    after = perform("time.sleep(600)", deadline_seconds=1.0)
    assert (after.status, after.crashes, error_of(after)["code"]) == ("failed", 0, "deadline_exceeded")


def test_a_job_out_of_memory_fails_for_good_with_peak_and_limit(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    script = "hog = os.urandom(1) * (120 * 1024**2)\ntime.sleep(600)"
    after = perform(script, settings={"job_rss_bytes": 64 * 1024**2})
    assert (after.status, after.crashes, error_of(after)["code"]) == ("failed", 0, "out_of_memory")
    assert "limit of 64 MiB" in error_of(after)["detail"]


def test_a_store_that_is_away_postpones_the_job_until_it_has_waited_enough(tmp_path: Path, perform: Perform) -> None:
    (tmp_path / "store").rename(tmp_path / "away")
    first = perform(ENDS_WELL)
    assert (first.status, first.attempt, first.postponements) == ("queued", 0, 1)
    # pauses of 5, 10, 20, 40 and 80 s: 155 in all
    again = perform(ENDS_WELL, postponements=5, settings={"postpone_seconds": 156})
    assert (again.status, again.postponements) == ("queued", 6)
    last = perform(ENDS_WELL, postponements=5, settings={"postpone_seconds": 155})
    assert (last.status, error_of(last)["code"], error_of(last)["retryable"]) == (
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
    assert (after.status, error_of(after)["code"]) == ("failed", "onnx_parse_error")


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
    assert time.monotonic() - started < SOON_SECONDS
    assert (after.status, after.lease_owner, after.crashes) == ("running", "other", 0)


READY = "open('ready', 'w').close()\ntime.sleep(600)"


@pytest.fixture
def shut_down(tmp_path: Path) -> Iterator[Callable[[Job], None]]:
    """Tells the worker to stop as soon as the job's process is ready for it."""

    def once_ready(_: Job) -> None:
        deadline = time.monotonic() + SOON_SECONDS
        while not list((tmp_path / "scratch").rglob("ready")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        SHUTDOWN.set()

    yield once_ready
    SHUTDOWN._byte.value = 0


def test_a_worker_that_is_told_to_stop_hears_last_words_and_gives_the_job_back(
    sessions: Sessions, perform: Perform, shut_down: Callable[[Job], None]
) -> None:
    """The process takes a second to finish what it is at, as one that writes a file would."""
    script = f"""def finish(*_):
    time.sleep(1)
    print('{{"event": "log", "level": "info", "message": "finished what I was at"}}', flush=True)
    sys.exit(1)
signal.signal(signal.SIGTERM, finish)
{READY}"""
    started = time.monotonic()
    after = perform(script, meanwhile=shut_down, attempt=2)
    assert time.monotonic() - started < SOON_SECONDS
    assert (after.status, after.attempt, after.crashes) == ("queued", 1, 0)
    assert _log(sessions, after) == ["finished what I was at"]


def test_a_worker_that_is_told_to_stop_does_not_wait_for_a_stubborn_process(
    perform: Perform, shut_down: Callable[[Job], None]
) -> None:
    started = time.monotonic()
    after = perform(f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{READY}", meanwhile=shut_down)
    assert time.monotonic() - started < SOON_SECONDS
    assert (after.status, after.attempt) == ("queued", 0)


class _SlowStore(DirectoryStore):
    """Takes eight minutes for a file, as a large one would."""

    given_bytes = 0

    @contextmanager
    def open(self, **where: Any) -> Iterator[Iterator[bytes]]:
        with super().open(**where) as chunks:
            yield self._slowly(b"".join(chunks))

    def _slowly(self, content: bytes) -> Iterator[bytes]:
        for byte in content:
            time.sleep(0.1)
            self.given_bytes += 1
            yield bytes([byte])


def test_a_cancellation_ends_a_download_in_the_middle(tmp_path: Path, sessions: Sessions, perform: Perform) -> None:
    def cancel(job: Job) -> None:
        time.sleep(0.5)
        with sessions.begin() as session:
            session.execute(lease.request_cancel(job.id, tenant_id=DEFAULT_TENANT_ID))

    slow = _SlowStore(tmp_path / "store")
    after = perform(ENDS_WELL, meanwhile=cancel, store=slow)
    assert slow.given_bytes < len(CONTENT)
    assert after.status == "cancelled"
