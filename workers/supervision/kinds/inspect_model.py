"""The inspection of a model: what it is, and the files that jobs read instead of the upload."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contracts.formats import UploadedModelFormat
from app.contracts.problem import Problem, problem
from app.references import hold_stored
from app.settings import Settings
from app.tables import Job, Model
from workers.protocol.outcome import ModelInspected
from workers.protocol.tasks import InspectModelTask
from workers.supervision import canonical_model
from workers.supervision.brief import Brief
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.inspection import STAGES, inspected, inspection_room_bytes, require_short
from workers.supervision.kinds.kind import Kind
from workers.supervision.named_data import uploaded
from workers.supervision.transfers import Transfers


class InspectModel(Kind[InspectModelTask, ModelInspected]):
    stages = STAGES
    result = ModelInspected
    takes_gpu = False
    keeps_steps = False

    def brief(self, session: Session, job: Job, settings: Settings) -> Brief[InspectModelTask]:
        file = uploaded(session, Model, job.model_id)
        path = file.path("upload")
        task = InspectModelTask(
            model=path,
            format=cast("UploadedModelFormat", file.format),
            allow_torch_export=settings.allow_torch_export,
            max_unpacked_bytes=settings.max_unpacked_bytes,
        )
        return Brief(task, {path: file.sha256})

    def refusal_without_sandbox(self, task: InspectModelTask) -> Problem | None:
        """A program, or an archive with whatever is in it, is opened in a sandbox or not at all."""
        if task.format == "onnx":
            return None
        return problem(
            "sandbox_unavailable",
            "No sandbox holds on the worker that took the job. A single .onnx file would be opened without one.",
        )

    def room_bytes(self, brought_bytes: int) -> int:
        return inspection_room_bytes(brought_bytes)

    def keep(
        self, held: HeldJob, done: ModelInspected, scratch: Path, transfers: Transfers
    ) -> Callable[[Session], None]:
        """The model is ready, and its files are its own, in one transaction."""
        require_short(
            done.inspection,
            code="onnx_invalid",
            what_takes="What the model says of its inputs and outputs takes",
            hint="Export it with fewer inputs and outputs, or with shorter names.",
        )
        job = held.job
        stored = canonical_model.store_model(job, done, _uploaded_format(held), scratch, transfers)

        def make_ready(session: Session) -> None:
            digests = [file.sha256 for file in stored.values()]
            hold_stored(session, transfers.store, tenant_id=job.tenant_id, digests=digests)
            inspected(session, held, done)
            if stored:
                session.execute(canonical_model.record_model(job, stored))

        return make_ready


def _uploaded_format(held: HeldJob) -> str:
    wanted = select(Model.format).where(Model.id == held.job.model_id)
    return held.write(lambda session: session.scalars(wanted).one())
