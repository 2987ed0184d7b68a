"""Results of steps reach the next attempt, and other jobs of the tenant: verified, or not at all."""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from app.ids import new_id
from app.jobs.lease import give_back
from app.settings import Settings
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID, Job, JobStep
from app.tenancy import EVERY_TENANT, seen_by
from tests.servers.postgres import Database
from tests.workers.pipeline.jobs import attention, sentences
from workers.pipeline.__main__ import attempt
from workers.protocol.events import EVENT, ReusedEvent, StepEvent
from workers.protocol.outcome import Finished
from workers.protocol.reporter import Reporter
from workers.protocol.step_keys import step_file_name
from workers.protocol.tasks import QuantizeTask
from workers.supervision import steps as module
from workers.supervision.held_job import HeldJob
from workers.supervision.interruption import LeaseLost
from workers.supervision.steps import Steps

MakeSteps = Callable[..., Steps]


@pytest.fixture
def sessions(quiet_database: Database) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(quiet_database.url)
    made = sessionmaker(engine, expire_on_commit=False, info=seen_by(EVERY_TENANT))
    yield made
    with made.begin() as session:
        for table in ("job_steps", "jobs"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM tenants WHERE id = 'tnt_other'"))
    engine.dispose()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def make_steps(tmp_path: Path, sessions: sessionmaker[Session], store: DirectoryStore) -> MakeSteps:
    """The steps of a new job that holds its lease, with an empty scratch folder."""

    def make(*, tenant_id: str = DEFAULT_TENANT_ID, **recipe: Any) -> Steps:
        job = Job(
            id=new_id("job"), tenant_id=tenant_id, kind="quantize", queue="cpu", name="t", max_attempts=3,
            status="running", attempt=1, lease_token=1, lease_owner="me",
        )  # fmt: skip
        with sessions.begin() as session:
            job.lease_expires_at = session.scalar(text("SELECT clock_timestamp() + interval '1 minute'"))
            session.add(job)
        scratch = tmp_path / job.id
        scratch.mkdir()
        own = sessionmaker(sessions.kw["bind"], expire_on_commit=False, info=seen_by(tenant_id))
        held = HeldJob(job, Settings(), own, ())
        return Steps(held, store, scratch, task(job.id, **recipe))

    return make


def task(job_id: str, **recipe: Any) -> QuantizeTask:
    return QuantizeTask(
        model="model.onnx", calibration="data.npz", evaluation="data.npz", model_name="m", target="onnxruntime-cpu",
        recipe=PRESETS["int8-fast"].model_copy(update=recipe), objective=Objective(),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1,
        provenance={"job_id": job_id, "model_sha256": "a" * 64, "calibration_sha256": "b" * 64},
    )  # fmt: skip


def finish(steps: Steps, name: Any, content: bytes = b"result", *, part: str | None = None) -> None:
    """What the process does when it has finished a step."""
    folder, file = steps.scratch / "steps", step_file_name(name, part)
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    steps.take(StepEvent(name=name, part=part, file=file))


def brought(steps: Steps) -> dict[str, bytes]:
    files = steps.bring()
    found = {p.name: p.read_bytes() for p in (steps.scratch / "steps").iterdir()}
    assert sorted(files) == sorted(found)
    return {name.removesuffix(".safetensors"): content for name, content in found.items()}


def rows(sessions: sessionmaker[Session]) -> list[JobStep]:
    with sessions() as session:
        return list(session.scalars(select(JobStep)))


def shown(sessions: sessionmaker[Session], steps: Steps) -> Any:
    with sessions() as session:
        return session.scalar(select(Job.reused).where(Job.id == steps.held.job.id))


def test_a_finished_step_is_there_for_the_next_job(make_steps: MakeSteps, sessions: sessionmaker[Session]) -> None:
    first, second = make_steps(), make_steps(percentiles=(99.0,), calibration_method="percentile")
    assert brought(first) == {}
    finish(first, "calibrate", b"statistics")
    (row,) = rows(sessions)
    assert (row.name, row.bytes, row.job_id) == ("calibrate", 10, first.held.job.id)
    assert row.sha256 == hashlib.sha256(b"statistics").hexdigest()
    assert brought(second) == {"calibrate": b"statistics"}
    (used,) = rows(sessions)
    assert used.last_used_at > row.last_used_at
    assert used.created_at == row.created_at


def test_candidates_stand_for_all_that_came_before_them(make_steps: MakeSteps) -> None:
    first = make_steps()
    finish(first, "calibrate", b"statistics")
    finish(first, "candidate", b"one model", part="one")
    finish(first, "candidate", b"two models", part="two")
    finish(first, "quantize", b"both")
    models = {"candidate.one": b"one model", "candidate.two": b"two models"}
    assert brought(make_steps()) == {**models, "quantize": b"both"}
    assert brought(make_steps(bias_correction=True)) == {"calibrate": b"statistics"}
    assert brought(make_steps(rounding="gptq")) == {}


def test_what_the_process_skipped_is_shown_with_the_job_that_did_it(
    make_steps: MakeSteps, sessions: sessionmaker[Session]
) -> None:
    first, second = make_steps(), make_steps()
    finish(first, "calibrate")
    second.bring()
    second.take(ReusedEvent(name="calibrate"))
    second.take(ReusedEvent(name="quantize"))  # it cannot have had that from us
    second.take(ReusedEvent(name="candidate", part="one"))  # nor that
    assert shown(sessions, second) == [{"step": "calibrate", "job_id": first.held.job.id}]
    with sessions.begin() as session:
        session.execute(give_back(second.held.lease))
    assert shown(sessions, second) == []  # the next attempt shows its own


def test_a_result_that_was_lost_or_damaged_is_not_there_and_the_next_one_takes_its_place(
    make_steps: MakeSteps, store: DirectoryStore, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    finish(make_steps(), "calibrate", b"lost")
    store.delete(tenant_id=DEFAULT_TENANT_ID, sha256=hashlib.sha256(b"lost").hexdigest())
    assert brought(make_steps()) == {}
    second = make_steps()
    finish(second, "calibrate", b"damaged")
    (path,) = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
    path.write_bytes(b"Damaged")
    assert brought(make_steps()) == {}
    assert [row.job_id for row in rows(sessions)] == [second.held.job.id]


def test_candidates_that_were_lost_leave_the_statistics(make_steps: MakeSteps, store: DirectoryStore) -> None:
    first = make_steps()
    finish(first, "calibrate", b"statistics")
    finish(first, "candidate", b"lost", part="one")
    finish(first, "quantize", b"one")
    store.delete(tenant_id=DEFAULT_TENANT_ID, sha256=hashlib.sha256(b"lost").hexdigest())
    assert brought(make_steps()) == {"calibrate": b"statistics", "quantize": b"one"}


def test_a_job_that_died_leaves_the_candidates_that_it_had(
    make_steps: MakeSteps, sessions: sessionmaker[Session]
) -> None:
    first, second = make_steps(), make_steps()
    finish(first, "calibrate", b"statistics")
    for part in ("one", "two"):
        finish(first, "candidate", part.encode(), part=part)
    found = {"calibrate": b"statistics", "candidate.one": b"one", "candidate.two": b"two"}
    assert brought(second) == found
    for part in ("one", "two"):
        second.take(ReusedEvent(name="candidate", part=part))
    assert shown(sessions, second) == [{"step": "candidate", "job_id": first.held.job.id}]
    assert brought(make_steps(bias_correction=True)) == {"calibrate": b"statistics"}  # they are of another recipe


def test_candidates_are_not_shown_beside_the_step_that_stands_for_them(
    make_steps: MakeSteps, sessions: sessionmaker[Session]
) -> None:
    first, second = make_steps(), make_steps()
    finish(first, "candidate", part="one")
    finish(first, "quantize", b"one")
    second.bring()
    second.take(ReusedEvent(name="candidate", part="one"))
    second.take(ReusedEvent(name="quantize"))
    assert shown(sessions, second) == [{"step": "quantize", "job_id": first.held.job.id}]


def test_there_is_an_end_to_the_candidates_that_a_process_may_name(
    make_steps: MakeSteps, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 2)
    steps = make_steps()
    for part in ("one", "two", "three", "two"):
        finish(steps, "candidate", part.encode(), part=part)
    assert sorted(row.part or "" for row in rows(sessions)) == ["one", "two"]


@pytest.mark.parametrize("part", ["", "../x", "a/b", "A", "x" * 65])
def test_a_part_has_a_plain_name(part: str) -> None:
    with pytest.raises(ValidationError):
        StepEvent(name="candidate", part=part, file="candidate.safetensors")


def test_another_tenant_shares_nothing(make_steps: MakeSteps, sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.execute(text("INSERT INTO tenants (id, name) VALUES ('tnt_other', 'other')"))
    finish(make_steps(), "calibrate")
    assert brought(make_steps(tenant_id="tnt_other")) == {}


def test_without_the_lease_nothing_is_written(make_steps: MakeSteps, sessions: sessionmaker[Session]) -> None:
    finish(make_steps(), "calibrate", b"good")
    late = make_steps()
    late.bring()
    with sessions.begin() as session:
        session.execute(update(Job).where(Job.id == late.held.job.id).values(lease_token=2))
    with pytest.raises(LeaseLost):
        finish(late, "quantize", b"late")
    with pytest.raises(LeaseLost):
        late.take(ReusedEvent(name="calibrate"))
    assert [row.name for row in rows(sessions)] == ["calibrate"]


def test_what_is_not_a_file_of_the_steps_is_not_kept(
    make_steps: MakeSteps, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = make_steps()
    folder = steps.scratch / "steps"
    steps.take(StepEvent(name="calibrate", file="calibrate.safetensors"))  # there is none
    folder.mkdir()
    (steps.scratch / "secret").write_text("ours")
    (folder / "calibrate.safetensors").symlink_to(steps.scratch / "secret")
    steps.take(StepEvent(name="calibrate", file="calibrate.safetensors"))
    steps.take(StepEvent(name="calibrate", file="../secret"))
    steps.take(StepEvent(name="search", file="search.safetensors"))  # no step of this job
    steps.take(StepEvent(name="calibrate", part="one", file="calibrate.one.safetensors"))  # which has no parts
    (folder / "calibrate.safetensors").unlink()
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 3)
    finish(steps, "calibrate", b"four")
    assert rows(sessions) == []


def test_a_job_that_does_not_say_what_it_works_on_keeps_nothing(
    make_steps: MakeSteps, sessions: sessionmaker[Session]
) -> None:
    steps = make_steps()
    nameless = Steps(steps.held, steps.store, steps.scratch, steps.task.model_copy(update={"provenance": {}}))
    assert nameless.bring() == ()
    finish(nameless, "calibrate")
    assert rows(sessions) == []


def outputs(steps: Steps) -> dict[str, bytes]:
    """Do the job's work, as its process does, and take what it says."""
    np.savez(steps.scratch / "data.npz", **sentences(20))
    (steps.scratch / "model.onnx").write_bytes(attention().SerializeToString())
    steps.bring()
    voice = io.StringIO()
    assert isinstance(attempt(steps.task, steps.scratch, Reporter(voice)), Finished)
    for event in map(EVENT.validate_json, voice.getvalue().splitlines()):
        if isinstance(event, StepEvent | ReusedEvent):
            steps.take(event)
    return {p.name: p.read_bytes() for p in (steps.scratch / "outputs").glob("*.onnx")}


def test_a_whole_job_takes_over_what_another_has_done(make_steps: MakeSteps, sessions: sessionmaker[Session]) -> None:
    first, second = make_steps(bias_correction=True), make_steps()
    outputs(first)
    with_help = outputs(second)
    assert shown(sessions, second) == [{"step": "calibrate", "job_id": first.held.job.id}]
    with sessions.begin() as session:
        session.execute(text("DELETE FROM job_steps"))
    second.scratch.rename(second.scratch.with_name("before"))
    second.scratch.mkdir()
    assert outputs(second) == with_help
