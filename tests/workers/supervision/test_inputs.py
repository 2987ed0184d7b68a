"""What the job's process is given: files whose names tell their formats, and a task that says what they are."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.contracts.objective import Benchmark, Objective
from app.contracts.preparation import ImagePreparation, TextPreparation
from app.contracts.recipe import PRESETS
from app.ids import new_id
from app.settings import Settings
from app.tables import DEFAULT_TENANT_ID, Dataset, File, Job, Model, ModelFile
from tests.workers.supervision.conftest import CONTENT, SHA256, Sessions
from workers.protocol.step_keys import step_keys
from workers.protocol.tasks import TASK, TASK_FILE, InspectDatasetTask, InspectModelTask, QuantizeTask
from workers.supervision.inputs import Inputs
from workers.supervision.transfers import Transfers

TEXT = TextPreparation(text="review", label="stars")
IMAGE = ImagePreparation(height=8, width=8)
DATA_SHA256 = "d" * 64


@pytest.fixture
def session(sessions: Sessions) -> Any:
    """Nothing that is written here is committed."""
    with sessions() as opened:
        yield opened


def _add(session: Session, *rows: Any) -> None:
    for row in rows:
        row.tenant_id = DEFAULT_TENANT_ID
        session.add(row)
        session.flush()


def _file(session: Session, file_format: str, sha256: str) -> str:
    purpose = "model" if file_format in {"onnx", "archive", "torch_export"} else "dataset"
    file = File(id=new_id("file"), filename="f", purpose=purpose, format=file_format, bytes=1, sha256=sha256)
    _add(session, file)
    return file.id


def model(session: Session, *, file_format: str = "onnx", name: str = "m.onnx", **fields: Any) -> Model:
    file_id = _file(session, file_format, SHA256)
    row = Model(id=new_id("mdl"), name=name, file_id=file_id, format=file_format, **fields)
    _add(session, row)
    return row


def dataset(session: Session, file_format: str, **fields: Any) -> Dataset:
    file_id = _file(session, file_format, DATA_SHA256)
    row = Dataset(id=new_id("ds"), name="d", file_id=file_id, format=file_format, **fields)
    _add(session, row)
    return row


def job(kind: str, **fields: Any) -> Job:
    return Job(id=new_id("job"), tenant_id=DEFAULT_TENANT_ID, kind=kind, **fields)


def quantize(session: Session, of: Model, data: Dataset, evaluation: Dataset | None = None) -> Inputs:
    wanted = job(
        "quantize",
        model_id=of.id,
        calibration_dataset_id=data.id,
        evaluation_dataset_id=evaluation.id if evaluation else None,
        target="onnxruntime-cpu",
        recipe=PRESETS["int8-fast"].model_dump(mode="json"),
        objective=Objective().model_dump(mode="json"),
        benchmark=Benchmark().model_dump(mode="json"),
        seed=0,
    )
    return Inputs.of(session, wanted, Settings())


def task_of(inputs: Inputs) -> QuantizeTask:
    assert isinstance(inputs.task, QuantizeTask)
    return inputs.task


@pytest.mark.parametrize(
    ("file_format", "path"), [("onnx", "upload.onnx"), ("archive", "upload.archive"), ("torch_export", "upload.pt2")]
)
def test_the_inspection_of_a_model_reads_the_upload(session: Session, file_format: str, path: str) -> None:
    settings = Settings(allow_torch_export=True, max_unpacked_bytes=5)
    row = model(session, file_format=file_format)
    inputs = Inputs.of(session, job("inspect_model", model_id=row.id), settings)
    assert inputs.task == InspectModelTask(
        model=path, format=file_format, allow_torch_export=True, max_unpacked_bytes=5
    )
    assert inputs.digests == {path: SHA256}


@pytest.mark.parametrize(("file_format", "path"), [("npz", "dataset.npz"), ("images", "dataset.zip")])
def test_the_inspection_of_a_data_set_is_told_the_preparation(session: Session, file_format: str, path: str) -> None:
    row = dataset(session, file_format, preparation=IMAGE.model_dump(mode="json"))
    inputs = Inputs.of(session, job("inspect_dataset", calibration_dataset_id=row.id), Settings(max_unpacked_bytes=7))
    assert inputs.task == InspectDatasetTask(dataset=path, max_unpacked_bytes=7, preparation=IMAGE)
    assert inputs.digests == {path: DATA_SHA256}


def test_a_job_reads_the_canonical_files_in_a_folder_of_their_own(session: Session) -> None:
    row = model(session, file_format="archive", name="bert.tar.gz")
    for name, sha256 in (("model.onnx", "1" * 64), ("tokenizer.json", "2" * 64)):
        _add(session, ModelFile(model_id=row.id, name=name, bytes=1, sha256=sha256))
    data = dataset(session, "jsonl", inspection={"preparation": TEXT.model_dump(mode="json")})
    other = dataset(session, "csv", preparation=TEXT.model_dump(mode="json"))
    inputs = quantize(session, row, data, other)
    assert inputs.digests == {
        "model/model.onnx": "1" * 64,
        "model/tokenizer.json": "2" * 64,
        "calibration.jsonl": DATA_SHA256,
        "evaluation.csv": DATA_SHA256,
    }
    task = task_of(inputs)
    assert (task.model, task.model_name) == ("model/model.onnx", "bert")
    assert (task.calibration, task.calibration_preparation) == ("calibration.jsonl", TEXT)
    assert (task.evaluation, task.evaluation_preparation) == ("evaluation.csv", TEXT)
    # both are the same bytes, prepared alike
    assert task.provenance["evaluation_sha256"] == task.provenance["calibration_sha256"] != DATA_SHA256


def test_a_job_on_a_model_of_before_reads_its_upload(session: Session) -> None:
    inputs = quantize(session, model(session), dataset(session, "npz"))
    assert inputs.digests == {"model/model.onnx": SHA256, "calibration.npz": DATA_SHA256}
    task = task_of(inputs)
    assert task.provenance | {"job_id": ""} == {
        "job_id": "",
        "model_sha256": SHA256,
        "calibration_sha256": DATA_SHA256,
    }
    assert (task.calibration_preparation, task.evaluation, task.evaluation_preparation) == (None, None, None)


def test_images_without_a_preparation_get_the_models(session: Session) -> None:
    row = model(session, inspection={"image_preparation": IMAGE.model_dump(mode="json")})
    assert task_of(quantize(session, row, dataset(session, "images"))).calibration_preparation == IMAGE
    assert task_of(quantize(session, row, dataset(session, "npz"))).calibration_preparation is None
    own = IMAGE.model_copy(update={"height": 9})
    declared = dataset(session, "images", preparation=own.model_dump(mode="json"))
    assert task_of(quantize(session, row, declared)).calibration_preparation == own


def test_one_file_in_two_preparations_shares_no_step(session: Session) -> None:
    row = model(session)
    keys = set()
    for preparation in (TEXT, TEXT.model_copy(update={"max_length": 7}), None):
        declared = preparation.model_dump(mode="json") if preparation else None
        data = dataset(session, "jsonl", preparation=declared)
        keys |= {
            step.key for step in step_keys(task_of(quantize(session, row, data))).whole if step.name == "calibrate"
        }
    assert len(keys) == 3


def test_what_is_brought_lies_where_the_task_says(session: Session, tmp_path: Path, store: Any) -> None:
    row = model(session)
    _add(session, ModelFile(model_id=row.id, name="model.onnx", bytes=len(CONTENT), sha256=SHA256))
    data = dataset(session, "csv")
    (tmp_path / "scratch").mkdir()
    inputs = quantize(session, row, data)
    inputs.digests["calibration.csv"] = SHA256  # the one object that there is
    inputs.bring(Transfers(store, lambda: None), tmp_path / "scratch")
    assert TASK.validate_json((tmp_path / "scratch" / TASK_FILE).read_bytes()) == inputs.task
    task = task_of(inputs)
    assert {(tmp_path / "scratch" / path).read_bytes() for path in (task.model, task.calibration)} == {CONTENT}
