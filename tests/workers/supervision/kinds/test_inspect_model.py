"""What the process that inspects a model is given, and what it may say."""

import pytest
from sqlalchemy.orm import Session

from app.contracts.inspection import ModelInspection, TensorSpec
from app.settings import Settings
from tests.workers.supervision.conftest import SHA256, Perform, Sessions, error_of
from tests.workers.supervision.kinds.conftest import job, model
from workers.protocol.outcome import OUTCOME_FILE, Finished, ModelInspected
from workers.protocol.tasks import InspectModelTask
from workers.supervision.kinds.inspect_model import InspectModel
from workers.supervision.kinds.inspection import MAX_INSPECTION_BYTES

KIND = InspectModel()


@pytest.mark.parametrize(
    ("file_format", "path"), [("onnx", "upload.onnx"), ("archive", "upload.archive"), ("torch_export", "upload.pt2")]
)
def test_the_inspection_of_a_model_reads_the_upload(session: Session, file_format: str, path: str) -> None:
    settings = Settings(allow_torch_export=True, max_unpacked_bytes=5)
    row = model(session, file_format=file_format)
    brief = KIND.brief(session, job("inspect_model", model_id=row.id), settings)
    assert brief.task == InspectModelTask(model=path, format=file_format, allow_torch_export=True, max_unpacked_bytes=5)
    assert brief.digests == {path: SHA256}


@pytest.mark.parametrize(("file_format", "code"), [("archive", "sandbox_unavailable"), ("onnx", None)])
def test_what_may_hold_a_program_is_opened_in_a_sandbox_or_not_at_all(file_format: str, code: str | None) -> None:
    refused = KIND.refusal_without_sandbox(InspectModelTask(model="m", format=file_format))
    assert (refused and refused.code) == code


def test_an_inspection_beyond_any_real_models_rejects_the_model(sessions: Sessions, perform: Perform) -> None:
    name = TensorSpec(name="n" * MAX_INSPECTION_BYTES, dtype="float32", shape=("batch", 1))
    found = ModelInspection(
        inputs=(name,), outputs=(), opset=17, ir_version=9, producer="", op_counts={}, parameters=0,
        already_quantized=False,
    )  # fmt: skip
    outcome = Finished(ok=ModelInspected(inspection=found)).model_dump_json()
    before, after = outcome.split("n" * MAX_INSPECTION_BYTES)
    said = f"{before!r} + 'n' * {MAX_INSPECTION_BYTES} + {after!r}"
    ended = perform(f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({said})")
    assert (ended.status, ended.crashes, error_of(ended)["code"]) == ("failed", 0, "onnx_invalid")
    assert "What the model says of its inputs and outputs takes 2097" in error_of(ended)["detail"]
