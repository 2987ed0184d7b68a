"""What is told of a model whose inspection was given up."""

import pytest
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.ids import new_id
from app.jobs.subjects import rejection_after
from app.tables import DEFAULT_TENANT_ID, File, Model
from tests.app.jobs.conftest import MakeJob


@pytest.mark.parametrize(
    ("ends", "code"),
    [({"crashes": 3, "losses": 1}, "inspection_crashed"), ({"crashes": 1, "losses": 3}, "worker_lost")],
)
def test_a_file_is_blamed_for_dead_processes_and_not_for_silent_workers(
    sessions: sessionmaker[Session], make_job: MakeJob, ends: dict[str, int], code: str
) -> None:
    owned = {"tenant_id": DEFAULT_TENANT_ID}
    file = File(id=new_id("file"), filename="f", purpose="model", format="onnx", bytes=1, sha256="0" * 64, **owned)
    model = Model(id=new_id("mdl"), name="n", file_id=file.id, format="onnx", status="inspecting", **owned)
    with sessions.begin() as session:
        session.add(file)
        session.flush()
        session.add(model)
    job = make_job(JobStatus.FAILED, kind="inspect_model", queue="inspect", model_id=model.id, **ends)
    rejection = rejection_after(job)
    assert rejection is not None
    with sessions.begin() as session:
        session.execute(rejection)
        found = session.get_one(Model, model.id)
        assert found.problem is not None
        assert (found.status, found.problem["code"]) == ("rejected", code)
