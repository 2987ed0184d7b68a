"""A tenant that has one of everything, put into the database by hand."""

from typing import Any

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.orm import Session

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.request import RecipeRequest
from app.ids import new_id
from app.tables import (
    Artifact,
    AuditEntry,
    Base,
    Dataset,
    File,
    IdempotencyKey,
    Job,
    JobStep,
    Model,
    ModelFile,
    Upload,
    Variant,
    Webhook,
    WebhookDelivery,
)
from app.tenancy import seen_by
from tests.servers.postgres import Database

FILE_BYTES, MODEL_BYTES, ARTIFACT_BYTES, STEP_BYTES, UPLOAD_BYTES = 10_000, 2_000, 300, 40, 5
STORED_BYTES = 12_345


def give_one_of_everything(database: Database, tenant_id: str) -> dict[str, str]:
    """The ids by what the API's addresses call them."""
    file = File(id=new_id("file"), filename="m.onnx", purpose="model", format="onnx", bytes=FILE_BYTES, sha256="0" * 64)
    made: dict[str, str] = {"file_id": file.id}
    engine = create_engine(database.url, poolclass=NullPool)
    with Session(engine, info=seen_by(tenant_id)) as session, session.begin():
        _add(session, tenant_id, file)
        model = Model(id=new_id("mdl"), name="m", file_id=file.id, format="onnx", status="ready", inspection={})
        dataset = Dataset(id=new_id("ds"), name="d", file_id=file.id, format="npz", status="ready", inspection={})
        _add(session, tenant_id, model, dataset)
        _add(session, tenant_id, ModelFile(model_id=model.id, name="model.onnx", bytes=MODEL_BYTES, sha256="3" * 64))
        job = _job(model.id, dataset.id)
        _add(session, tenant_id, job)
        variant = Variant(
            id=new_id("var"),
            job_id=job.id,
            key="k",
            role="candidate",
            label="k",
            metrics={},
            admissible=True,
            best=True,
        )
        _add(session, tenant_id, variant)
        artifact = Artifact(
            id=new_id("art"),
            job_id=job.id,
            variant_id=variant.id,
            kind="model",
            filename="q.onnx",
            media_type="application/octet-stream",
            bytes=ARTIFACT_BYTES,
            sha256="1" * 64,
        )
        upload = Upload(
            id=new_id("upl"),
            filename="m.onnx",
            purpose="model",
            bytes=UPLOAD_BYTES,
            part_bytes=UPLOAD_BYTES,
            staging_handle="h",
            expires_at=text("clock_timestamp() + interval '1 hour'"),
        )
        webhook = Webhook(id=new_id("whk"), url="https://example.com/", secret=b"s" * 32, event_types=["job.succeeded"])
        _add(session, tenant_id, artifact, upload, webhook)
        _add(
            session,
            tenant_id,
            WebhookDelivery(
                id=new_id("whd"), webhook_id=webhook.id, job_id=job.id, event_type="job.failed", status="given_up"
            ),
            JobStep(key=f"step {job.id}", name="fetch", sha256="2" * 64, bytes=STEP_BYTES, job_id=job.id),
            IdempotencyKey(operation="POST /", key=job.id, request_sha256=b"", status_code=201, headers={}, body={}),
            AuditEntry(action="test", detail={}),
        )
        made |= {"model_id": model.id, "dataset_id": dataset.id, "job_id": job.id, "variant_id": variant.id}
        made |= {"artifact_id": artifact.id, "upload_id": upload.id, "webhook_id": webhook.id}
    engine.dispose()
    return made


def _add(session: Session, tenant_id: str, *rows: Any) -> None:
    for row in rows:
        assert isinstance(row, Base)
        row.tenant_id = tenant_id
        session.add(row)
    session.flush()


def _job(model_id: str, dataset_id: str) -> Job:
    return Job(
        id=new_id("job"),
        kind="quantize",
        queue="nobody",  # no worker looks there
        name="j",
        model_id=model_id,
        calibration_dataset_id=dataset_id,
        target="onnxruntime-cpu",
        recipe=RecipeRequest().resolve().model_dump(mode="json"),
        objective=Objective().model_dump(mode="json"),
        benchmark=Benchmark().model_dump(mode="json"),
        max_attempts=3,
    )
