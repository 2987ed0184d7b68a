"""Writes how an attempt ended: one short transaction, guarded by the lease, after all bytes are in the store."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.contracts.inspection import Notice
from app.contracts.problem import Problem
from app.contracts.result import JobResult, QuantizeOutcome, VariantMetrics, VariantOutcome
from app.ids import new_id
from app.jobs import events, subjects
from app.jobs import lease as statements
from app.jobs.events import log_line
from app.jobs.lease import Lease
from app.jobs.retry_class import RULES
from app.tables import Artifact, Job, Variant
from workers.protocol.outcome import DatasetInspected, ModelInspected
from workers.protocol.tasks import OUTPUT_FOLDER
from workers.supervision.abnormal_end import AbnormalEnd, OutputUnusable
from workers.supervision.held_job import HeldJob
from workers.supervision.interruption import LeaseLost
from workers.supervision.job_log import MAX_EVENTS
from workers.supervision.output_files import store_output
from workers.supervision.stages import MAX_WARNINGS, StageRecord, storable
from workers.supervision.transfers import Transfers


def inspected(session: Session, job: Job, found: ModelInspected | DatasetInspected, record: StageRecord) -> None:
    warnings = _shown_warnings(found.warnings)
    _guarded(session, statements.succeed(lease_of(job), result={}, stages=record.finished(), warnings=warnings))
    session.execute(subjects.ready(job, inspection=found.inspection.model_dump(mode="json"), warnings=warnings))


def refused(session: Session, job: Job, why: Problem, record: StageRecord) -> None:
    """The job failed for good; an inspected file is rejected."""
    error = why.model_copy(update={"stage": record.current}).model_dump(mode="json", exclude_none=True)
    _guarded(session, statements.fail(lease_of(job), error=error, stages=record.shown(failed=True)))
    if job.kind in subjects.INSPECTIONS:
        session.execute(subjects.rejected(job, why))


def ended_abnormally(session: Session, held: HeldJob, end: AbnormalEnd) -> None:
    """The job runs again, is given up or fails, as its class of retry says. Its log tells how the process ended."""
    job, stage = held.job, held.record.current
    lines = [log_line("error", text, stage=stage) for text in [*end.log_tail, str(end)]]
    session.execute(events.append_log(held.lease, lines, max_events=MAX_EVENTS))
    if RULES[end.retry_class].counter is None:
        refused(session, job, end.problem, held.record)
        return
    stages = held.record.shown(failed=True)
    last_cause = end.problem
    after = session.scalar(
        statements.ended_abnormally(held.lease, end.retry_class, last_cause=last_cause, stages=stages)
    )
    if after is None:
        raise LeaseLost
    rejection = subjects.rejection_after(after)
    if rejection is not None:
        session.execute(rejection)


def quantized(session: Session, held: HeldJob, outcome: QuantizeOutcome, artifacts: list[Artifact]) -> None:
    """The result, its variants and its artifacts appear together, or not at all; their events come before the end."""
    job = held.job
    variants = {v.key: _variant(job, v, best=v.key == outcome.best) for v in reversed(outcome.variants)}
    for artifact, file in zip(artifacts, outcome.files, strict=True):
        artifact.variant_id = variants[file.variant_key].id if file.variant_key else None
    found = [*map(events.variant_found, variants.values()), *map(events.artifact_stored, artifacts)]
    _guarded(session, events.append(held.lease, found))
    result = _result(outcome, {key: row.id for key, row in variants.items()})
    ended = statements.succeed(
        held.lease,
        result=result.model_dump(mode="json"),
        stages=held.record.finished(),
        warnings=_shown_warnings(outcome.warnings),
    )
    _guarded(session, ended)
    session.add_all(variants.values())
    session.flush()
    session.add_all(artifacts)


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


def _shown_warnings(found: Sequence[Notice]) -> list[dict[str, Any]]:
    return [{"code": storable(w.code), "detail": storable(w.detail)} for w in found[:MAX_WARNINGS]]


def lease_of(job: Job) -> Lease:
    return Lease(job.id, job.lease_token)


def _guarded(session: Session, statement: Any) -> None:  # noqa: ANN401  any statement of `app.jobs.lease`
    if session.scalar(statement) is None:
        raise LeaseLost


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
