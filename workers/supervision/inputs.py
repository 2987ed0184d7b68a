"""Brings what a job needs into its scratch folder and writes down its task."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from sqlalchemy.orm import Session

from app.contracts.formats import UploadedModelFormat
from app.contracts.objective import Benchmark, Objective
from app.contracts.recipe import Recipe
from app.contracts.status import JobKind
from app.settings import Settings
from app.tables import Job, Model
from workers.protocol.tasks import TASK_FILE, InspectDatasetTask, InspectModelTask, QuantizeTask, Task
from workers.supervision import canonical_model
from workers.supervision.named_data import NamedData, named_data, uploaded
from workers.supervision.transfers import Transfers

MODEL_FOLDER = "model"


@dataclass(frozen=True)
class Inputs:
    """The files that a job names, and the task made of them."""

    tenant_id: str
    task: Task
    digests: dict[str, str]
    """Of each file, by its path in the scratch folder."""

    @classmethod
    def of(cls, session: Session, job: Job, settings: Settings) -> Self:
        task, digests = _task(session, job, settings)
        return cls(job.tenant_id, task, digests)

    def bring(self, transfers: Transfers, scratch: Path) -> None:
        """Download every file, verified. The task is written last."""
        for path, sha256 in self.digests.items():
            (scratch / path).parent.mkdir(mode=0o700, exist_ok=True)
            transfers.download(scratch / path, tenant_id=self.tenant_id, sha256=sha256)
        (scratch / TASK_FILE).write_text(self.task.model_dump_json())

    def bytes_in(self, scratch: Path) -> int:
        """What was brought."""
        return sum((scratch / path).stat().st_size for path in self.digests)


def _task(session: Session, job: Job, settings: Settings) -> tuple[Task, dict[str, str]]:
    match JobKind(job.kind):
        case JobKind.INSPECT_MODEL:
            return _inspect_model(session, job, settings)
        case JobKind.INSPECT_DATASET:
            return _inspect_dataset(session, job, settings)
        case JobKind.VERIFY_UPLOAD:
            raise AssertionError("the supervisor does this itself: the job's process knows no store")
        case JobKind.QUANTIZE:
            return _quantize(session, job, settings)


def _inspect_model(session: Session, job: Job, settings: Settings) -> tuple[InspectModelTask, dict[str, str]]:
    file = uploaded(session, Model, job.model_id)
    path = file.path("upload")
    task = InspectModelTask(
        model=path,
        format=cast("UploadedModelFormat", file.format),
        allow_torch_export=settings.allow_torch_export,
        max_unpacked_bytes=settings.max_unpacked_bytes,
    )
    return task, {path: file.sha256}


def _inspect_dataset(session: Session, job: Job, settings: Settings) -> tuple[InspectDatasetTask, dict[str, str]]:
    data = named_data(session, job.calibration_dataset_id, as_name="dataset")
    task = InspectDatasetTask(
        dataset=data.path, max_unpacked_bytes=settings.max_unpacked_bytes, preparation=data.preparation
    )
    return task, {data.path: data.sha256}


def _quantize(session: Session, job: Job, settings: Settings) -> tuple[QuantizeTask, dict[str, str]]:
    model = session.get_one(Model, job.model_id)
    model_files = canonical_model.files_of(session, job)
    calibration = named_data(session, job.calibration_dataset_id, as_name="calibration", model=model)
    evaluation = None
    if job.evaluation_dataset_id is not None:
        evaluation = named_data(session, job.evaluation_dataset_id, as_name="evaluation", model=model)
    task = QuantizeTask(
        model=f"{MODEL_FOLDER}/{canonical_model.MODEL_FILE}",
        model_classes=(model.inspection or {}).get("classes"),
        calibration=calibration.path,
        calibration_preparation=calibration.preparation,
        evaluation=evaluation and evaluation.path,
        evaluation_preparation=evaluation and evaluation.preparation,
        model_name=Path(model.name).stem.removesuffix(".tar"),
        target=job.target or "",
        recipe=Recipe.model_validate(job.recipe),
        objective=Objective.model_validate(job.objective),
        benchmark=Benchmark.model_validate(job.benchmark),
        seed=job.seed,
        threads=settings.job_threads or len(os.sched_getaffinity(0)),
        provenance=_provenance(job, model_files, calibration, evaluation),
    )
    data = [named for named in (calibration, evaluation) if named is not None]
    files = {f"{MODEL_FOLDER}/{name}": sha256 for name, sha256 in model_files.items()}
    return task, {**files, **{named.path: named.sha256 for named in data}}


def _provenance(
    job: Job, model_files: dict[str, str], calibration: NamedData, evaluation: NamedData | None
) -> dict[str, str]:
    digests = {"model": canonical_model.digest_of(model_files), "calibration": calibration.digest}
    if evaluation is not None:
        digests["evaluation"] = evaluation.digest
    return {"job_id": job.id, **{f"{name}_sha256": digest for name, digest in digests.items()}}
