"""Brings what a job needs into its scratch folder and writes down its task."""

import os
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipe import Recipe
from app.contracts.status import JobKind
from app.settings import Settings
from app.tables import Dataset, File, Job, Model
from workers.pipeline.protocol import TASK_FILE, InspectDatasetTask, InspectModelTask, QuantizeTask, Task
from workers.supervision.transfers import Transfers

MODEL, CALIBRATION, EVALUATION = "model.onnx", "calibration.npz", "evaluation.npz"


class Inputs:
    """The files that a job names, and the task made of them."""

    def __init__(self, session: Session, job: Job, settings: Settings) -> None:
        self.tenant_id = job.tenant_id
        self.files: dict[str, File] = {}
        if job.model_id:
            self.files[MODEL] = _file(session, Model, job.model_id)
        if job.calibration_dataset_id:
            self.files[CALIBRATION] = _file(session, Dataset, job.calibration_dataset_id)
        if job.evaluation_dataset_id:
            self.files[EVALUATION] = _file(session, Dataset, job.evaluation_dataset_id)
        name = session.scalar(select(Model.name).where(Model.id == job.model_id)) if job.model_id else None
        self.task = self._task(job, settings, name or "model")

    def bring(self, transfers: Transfers, scratch: Path) -> None:
        """Download every file, verified. The task is written last."""
        for name, file in self.files.items():
            transfers.download(scratch / name, tenant_id=self.tenant_id, sha256=file.sha256)
        (scratch / TASK_FILE).write_text(self.task.model_dump_json())

    def _task(self, job: Job, settings: Settings, model_name: str) -> Task:
        match JobKind(job.kind):
            case JobKind.INSPECT_MODEL:
                return InspectModelTask(model=MODEL)
            case JobKind.INSPECT_DATASET:
                return InspectDatasetTask(dataset=CALIBRATION, max_unpacked_bytes=settings.max_unpacked_bytes)
            case JobKind.VERIFY_UPLOAD:
                raise AssertionError("the supervisor does this itself: the job's process knows no store")
            case JobKind.QUANTIZE:
                return QuantizeTask(
                    model=MODEL,
                    calibration=CALIBRATION,
                    evaluation=EVALUATION if EVALUATION in self.files else None,
                    model_name=Path(model_name).stem,
                    target=job.target or "",
                    recipe=Recipe.model_validate(job.recipe),
                    objective=Objective.model_validate(job.objective),
                    benchmark=Benchmark.model_validate(job.benchmark),
                    seed=job.seed,
                    threads=settings.job_threads or len(os.sched_getaffinity(0)),
                    provenance={
                        "job_id": job.id,
                        **{f"{Path(name).stem}_sha256": file.sha256 for name, file in self.files.items()},
                    },
                )


def _file(session: Session, table: type[Model] | type[Dataset], resource_id: str) -> File:
    statement = select(File).join(table, table.file_id == File.id).where(table.id == resource_id)
    return session.scalars(statement).one()
