"""What an inspection made of an upload is kept with the verdict, in one transaction, or not at all."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select, text

from app.contracts.inspection import ModelInspection
from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID, Job, Model, ModelFile
from tests.workers.supervision.conftest import SHA256, Perform, Sessions
from workers.protocol.outcome import OUTCOME_FILE, Finished, ModelInspected
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.canonical_model import digest_of, files_of, store_model
from workers.supervision.output_files import StoredFile
from workers.supervision.transfers import Transfers

INSPECTION = ModelInspection(
    inputs=(), outputs=(), opset=17, ir_version=8, producer="", op_counts={}, parameters=0, already_quantized=False
)


def inspected(*files: str) -> ModelInspected:
    return ModelInspected(inspection=INSPECTION, files=files)


def script(found: ModelInspected, **contents: str) -> str:
    """Leaves files and an outcome that names some."""
    outcome = Finished(ok=found).model_dump_json()
    return f"""import pathlib
outputs = pathlib.Path(sys.argv[1], 'outputs')
outputs.mkdir(exist_ok=True)
for name, content in {contents!r}.items():
    (outputs / name).write_text(content)
pathlib.Path(sys.argv[1], {OUTCOME_FILE!r}).write_text({outcome!r})"""


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def status_of(sessions: Sessions, job: Job) -> str:
    with sessions() as session:
        return session.get_one(Model, job.model_id).status


def rows(sessions: Sessions) -> dict[str, StoredFile]:
    with sessions() as session:
        return {row.name: StoredFile(row.bytes, row.sha256) for row in session.scalars(select(ModelFile))}


def test_the_files_of_a_model_are_kept_when_it_is_ready(
    sessions: Sessions, perform: Perform, store: DirectoryStore
) -> None:
    made = {"model.onnx": "graph", "tokenizer.json": "{}", "notes.txt": "not named"}
    job = perform(script(inspected("model.onnx", "tokenizer.json"), **made))
    assert (job.status, status_of(sessions, job)) == ("succeeded", "ready")
    assert rows(sessions) == {
        "model.onnx": StoredFile(5, sha256("graph")),
        "tokenizer.json": StoredFile(2, sha256("{}")),
    }
    assert store.size(tenant_id=DEFAULT_TENANT_ID, sha256=sha256("graph")) == 5
    assert store.size(tenant_id=DEFAULT_TENANT_ID, sha256=sha256("not named")) is None
    with sessions.begin() as session:
        assert files_of(session, job) == {"model.onnx": sha256("graph"), "tokenizer.json": sha256("{}")}
        session.execute(text("DELETE FROM jobs"))
        session.execute(text("DELETE FROM models"))
    assert rows(sessions) == {}  # what nothing refers to is garbage


def test_a_model_without_files_of_its_own_is_its_upload(sessions: Sessions, perform: Perform) -> None:
    job = perform(script(inspected()))
    assert (job.status, status_of(sessions, job), rows(sessions)) == ("succeeded", "ready", {})
    with sessions() as session:
        assert files_of(session, job) == {"model.onnx": SHA256}


@pytest.mark.parametrize(
    "names",
    [
        ("tokenizer.json",),
        ("model.onnx", "notes.txt"),
        ("model.onnx", "model.onnx"),
        ("model.onnx", "../outputs/tokenizer.json"),
        ("model.onnx", "tokenizer_facts.json"),  # which is not there
    ],
)
def test_a_process_that_names_anything_else_has_crashed(
    sessions: Sessions, perform: Perform, names: tuple[str, ...]
) -> None:
    job = perform(script(inspected(*names), **{"model.onnx": "m", "notes.txt": "n", "tokenizer.json": "{}"}))
    assert (job.status, job.crashes) == ("queued", 1)
    assert (status_of(sessions, job), rows(sessions)) == ("inspecting", {})


def test_an_upload_that_jobs_cannot_read_needs_another_form(tmp_path: Path, store: DirectoryStore) -> None:
    transfers = Transfers(store, lambda: None)
    with pytest.raises(OutputUnusable):
        store_model(Job(), inspected(), "archive", tmp_path, transfers)
    assert store_model(Job(), inspected(), "onnx", tmp_path, transfers) == {}


def test_an_attempt_that_lost_its_lease_keeps_no_files(sessions: Sessions, perform: Perform) -> None:
    def lose(job: Job) -> None:
        with sessions.begin() as session:
            session.execute(text("UPDATE jobs SET lease_token = 2, lease_owner = 'other'"))

    waiting = "\ntime.sleep(0.5)\n"
    job = perform(waiting + script(inspected("model.onnx"), **{"model.onnx": "graph"}), meanwhile=lose)
    assert (job.status, job.lease_owner) == ("running", "other")
    assert (status_of(sessions, job), rows(sessions)) == ("inspecting", {})


class _Forgetful(DirectoryStore):
    """A collector was there in between."""

    def size(self, *, tenant_id: str, sha256: str) -> int | None:
        return None if sha256 != SHA256 else super().size(tenant_id=tenant_id, sha256=sha256)


def test_a_model_whose_files_were_collected_meanwhile_is_inspected_again(
    tmp_path: Path, sessions: Sessions, perform: Perform
) -> None:
    store = _Forgetful(tmp_path / "store")
    job = perform(script(inspected("model.onnx"), **{"model.onnx": "graph"}), store=store)
    assert (job.status, job.postponements) == ("queued", 1)
    assert (status_of(sessions, job), rows(sessions)) == ("inspecting", {})


def test_the_digest_of_a_model_is_that_of_its_only_file_or_depends_on_names_and_contents() -> None:
    assert digest_of({"model.onnx": "a" * 64}) == "a" * 64
    both = {"model.onnx": "a" * 64, "tokenizer.json": "b" * 64}
    listed = f'[["model.onnx","{"a" * 64}"],["tokenizer.json","{"b" * 64}"]]'
    assert digest_of(both) == sha256(listed)
    assert digest_of(dict(reversed(both.items()))) == digest_of(both)
    assert digest_of({"model.onnx": "b" * 64, "tokenizer.json": "a" * 64}) != digest_of(both)
    assert digest_of({"model.onnx": "a" * 64, "model.onnx.data": "b" * 64}) != digest_of(both)
