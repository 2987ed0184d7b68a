"""Quantization of a model: its result, its variants and its artifacts appear together, or not at all."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.stored import stored_recipe
from app.contracts.result import JobResult, QuantizeOutcome, VariantMetrics, VariantOutcome
from app.contracts.status import QUANTIZE_STAGES
from app.ids import new_id
from app.jobs import events
from app.jobs import lease as statements
from app.references import hold_stored
from app.settings import Settings
from app.tables import Artifact, Job, Model, Variant
from workers.protocol.canonical_files import MODEL_FILE
from workers.protocol.outcome import Quantized
from workers.protocol.tasks import OUTPUT_FOLDER, QuantizeTask
from workers.supervision import canonical_model
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.brief import Brief
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.kind import Kind
from workers.supervision.named_data import NamedData, named_data
from workers.supervision.output_files import store_output
from workers.supervision.record import guarded, shown_warnings
from workers.supervision.transfers import Transfers

MODEL_FOLDER = "model"


class Quantize(Kind[QuantizeTask, Quantized]):
    stages = QUANTIZE_STAGES
    result = Quantized
    takes_gpu = True
    keeps_steps = True

    def brief(self, session: Session, job: Job, settings: Settings) -> Brief[QuantizeTask]:
        model = session.get_one(Model, job.model_id)
        model_files = canonical_model.files_of(session, job)
        calibration = named_data(session, job.calibration_dataset_id, as_name="calibration", model=model)
        evaluation = None
        if job.evaluation_dataset_id is not None:
            evaluation = named_data(session, job.evaluation_dataset_id, as_name="evaluation", model=model)
        task = QuantizeTask(
            model=f"{MODEL_FOLDER}/{MODEL_FILE}",
            model_classes=(model.inspection or {}).get("classes"),
            calibration=calibration.path,
            calibration_preparation=calibration.preparation,
            evaluation=evaluation and evaluation.path,
            evaluation_preparation=evaluation and evaluation.preparation,
            model_name=Path(model.name).stem.removesuffix(".tar"),
            target=job.target or "",
            recipe=stored_recipe(job.recipe or {}),
            objective=Objective.model_validate(job.objective),
            benchmark=Benchmark.model_validate(job.benchmark),
            seed=job.seed,
            threads=settings.job_threads or len(os.sched_getaffinity(0)),
            provenance=_provenance(job, model_files, calibration, evaluation),
        )
        data = [named for named in (calibration, evaluation) if named is not None]
        files = {f"{MODEL_FOLDER}/{name}": sha256 for name, sha256 in model_files.items()}
        return Brief(task, {**files, **{named.path: named.sha256 for named in data}})

    def refusal_without_sandbox(self, task: QuantizeTask) -> None:  # noqa: ARG002  it reads canonical files, and data
        return None

    def room_bytes(self, brought_bytes: int) -> None:  # noqa: ARG002  activations may be of any size
        return None

    def keep(self, held: HeldJob, done: Quantized, scratch: Path, transfers: Transfers) -> Callable[[Session], None]:
        require_consistent(done.outcome)
        artifacts = stored(held.job, done.outcome, scratch, transfers)

        def publish(session: Session) -> None:
            digests = [artifact.sha256 for artifact in artifacts]
            hold_stored(session, transfers.store, tenant_id=held.job.tenant_id, digests=digests)
            quantized(session, held, done.outcome, artifacts)

        return publish


def _provenance(
    job: Job, model_files: dict[str, str], calibration: NamedData, evaluation: NamedData | None
) -> dict[str, str]:
    digests = {"model": canonical_model.digest_of(model_files), "calibration": calibration.digest}
    if evaluation is not None:
        digests["evaluation"] = evaluation.digest
    return {"job_id": job.id, **{f"{name}_sha256": digest for name, digest in digests.items()}}


def require_consistent(outcome: QuantizeOutcome) -> None:
    """The process is not trusted with references either. Raises OutputUnusable."""
    keys = [variant.key for variant in outcome.variants]
    named = {outcome.best, *outcome.pareto, *(file.variant_key for file in outcome.files if file.variant_key)}
    baselines = sum(variant.role == "baseline" for variant in outcome.variants)
    # a portable file belongs to its own variant and to the one in the runtime's form; what else is repeated would be
    # read and stored again and again
    often = Counter(file.path for file in outcome.files)
    files = Counter((file.path, file.variant_key) for file in outcome.files)
    repeated = len(set(keys)) != len(keys) or max(files.values(), default=0) > 1 or max(often.values(), default=0) > 2
    if repeated or not named <= set(keys) or baselines != 1:
        raise OutputUnusable("its outcome contradicts itself")


def stored(job: Job, outcome: QuantizeOutcome, scratch: Path, transfers: Transfers) -> list[Artifact]:
    """Put every output into the store; the rows to be, in the order of `outcome.files`."""
    artifacts = []
    for file in outcome.files:
        kept = store_output(scratch / OUTPUT_FOLDER, file.path, tenant_id=job.tenant_id, transfers=transfers)
        artifacts.append(
            Artifact(
                id=new_id("art"),
                tenant_id=job.tenant_id,
                job_id=job.id,
                kind=file.kind,
                filename=file.path,
                media_type=file.media_type,
                bytes=kept.bytes,
                sha256=kept.sha256,
            )
        )
    return artifacts


def quantized(session: Session, held: HeldJob, outcome: QuantizeOutcome, artifacts: list[Artifact]) -> None:
    """The result, its variants and its artifacts appear together, or not at all; their events come before the end."""
    job = held.job
    variants = {v.key: _variant(job, v, best=v.key == outcome.best) for v in reversed(outcome.variants)}
    for artifact, file in zip(artifacts, outcome.files, strict=True):
        artifact.variant_id = variants[file.variant_key].id if file.variant_key else None
    found = [*map(events.variant_found, variants.values()), *map(events.artifact_stored, artifacts)]
    guarded(session, events.append(held.lease, found))
    result = _result(outcome, {key: row.id for key, row in variants.items()})
    ended = statements.succeed(
        held.lease,
        result=result.model_dump(mode="json"),
        stages=held.record.finished(),
        warnings=shown_warnings(outcome.warnings),
    )
    guarded(session, ended)
    session.add_all(variants.values())
    session.flush()
    session.add_all(artifacts)


def _variant(job: Job, found: VariantOutcome, *, best: bool) -> Variant:
    return Variant(
        id=new_id("var"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        key=found.key,
        role=found.role,
        label=found.label,
        calibration_method=found.calibration_method,
        percentile=found.percentile,
        metrics=found.metrics.model_dump(mode="json"),
        admissible=found.admissible,
        best=best,
        layers=[layer.model_dump(mode="json") for layer in found.layers],
    )


def _result(outcome: QuantizeOutcome, ids: dict[str, str]) -> JobResult:
    by_key = {v.key: v for v in outcome.variants}
    baseline = next(v for v in outcome.variants if v.role == "baseline")
    return JobResult(
        outcome=outcome.outcome,
        verdict=outcome.verdict,
        best_variant_id=ids[outcome.best],
        baseline=_metrics(baseline, ids),
        best=_metrics(by_key[outcome.best], ids),
        pareto=tuple(ids[key] for key in outcome.pareto),
        layers_quantized=sum(layer.quantized for layer in outcome.layers),
        layers_float=sum(not layer.quantized for layer in outcome.layers),
        environment=outcome.environment,
    )


def _metrics(variant: VariantOutcome, ids: dict[str, str]) -> VariantMetrics:
    return VariantMetrics(variant_id=ids[variant.key], label=variant.label, **dict(variant.metrics))
