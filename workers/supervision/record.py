"""Writes how an attempt ended: one short transaction, guarded by the lease, after all bytes are in the store."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.contracts.problem import Problem
from app.contracts.result import JobResult, QuantizeOutcome, VariantMetrics, VariantOutcome
from app.ids import new_id
from app.jobs import lease as statements
from app.jobs import subjects
from app.jobs.lease import Lease
from app.storage import ObjectStore
from app.tables import Artifact, Job, Variant
from workers.pipeline.protocol import OUTPUT_FOLDER, DatasetInspected, ModelInspected
from workers.supervision.heartbeat import LeaseLost
from workers.supervision.plain_file import opened_plain
from workers.supervision.stages import StageRecord


class OutputNotPlain(Exception):
    """The job's process named an output that is not a plain file of its output folder."""


class OutcomeInconsistent(Exception):
    """The job's process left an outcome whose parts do not fit together."""


def inspected(session: Session, job: Job, found: ModelInspected | DatasetInspected, record: StageRecord) -> None:
    warnings = [notice.model_dump() for notice in found.warnings]
    _guarded(session, statements.succeed(lease_of(job), result={}, stages=record.finished(), warnings=warnings))
    session.execute(subjects.ready(job, inspection=found.inspection.model_dump(mode="json"), warnings=warnings))


def refused(session: Session, job: Job, why: Problem, record: StageRecord) -> None:
    """The job failed for good; an inspected file is rejected."""
    error = why.model_copy(update={"stage": record.current}).model_dump(mode="json", exclude_none=True)
    _guarded(session, statements.fail(lease_of(job), error=error, stages=record.shown(failed=True)))
    if job.kind in subjects.INSPECTIONS:
        session.execute(subjects.rejected(job, why))


def crashed(session: Session, job: Job, cause: Problem, record: StageRecord) -> None:
    stages = record.shown(failed=True)
    after = session.scalar(statements.crashed(lease_of(job), last_cause=cause, stages=stages))
    if after is None:
        raise LeaseLost
    rejection = subjects.rejection_after(after)
    if rejection is not None:
        session.execute(rejection)


def quantized(
    session: Session, job: Job, outcome: QuantizeOutcome, artifacts: list[Artifact], record: StageRecord
) -> None:
    """The result, its variants and its artifacts appear together, or not at all."""
    variants = {v.key: _variant(job, v, best=v.key == outcome.best) for v in reversed(outcome.variants)}
    result = _result(outcome, {key: row.id for key, row in variants.items()})
    warnings = [notice.model_dump() for notice in outcome.warnings]
    ended = statements.succeed(
        lease_of(job), result=result.model_dump(mode="json"), stages=record.finished(), warnings=warnings
    )
    _guarded(session, ended)
    session.add_all(variants.values())
    session.flush()
    for artifact, file in zip(artifacts, outcome.files, strict=True):
        artifact.variant_id = variants[file.variant_key].id if file.variant_key else None
    session.add_all(artifacts)


def stored(
    job: Job, outcome: QuantizeOutcome, scratch: Path, store: ObjectStore, check: Callable[[], None]
) -> list[Artifact]:
    """Put every output into the store; the rows to be, in the order of `outcome.files`."""
    artifacts = []
    for file in outcome.files:
        check()
        with _opened(scratch / OUTPUT_FOLDER, file.path) as descriptor:
            # hashed and stored through the descriptor: the name might change hands in between
            path = Path(f"/proc/self/fd/{descriptor}")
            digest = _sha256(path)
            store.put_file(path, tenant_id=job.tenant_id, sha256=digest)
            size = os.fstat(descriptor).st_size
        artifacts.append(
            Artifact(
                id=new_id("art"),
                tenant_id=job.tenant_id,
                job_id=job.id,
                kind=file.kind,
                filename=file.path,
                media_type=file.media_type,
                bytes=size,
                sha256=digest,
            )
        )
    return artifacts


def require_consistent(outcome: QuantizeOutcome) -> None:
    """The process is not trusted with references either. Raises OutcomeInconsistent."""
    keys = [variant.key for variant in outcome.variants]
    named = {outcome.best, *outcome.pareto, *(file.variant_key for file in outcome.files if file.variant_key)}
    baselines = sum(variant.role == "baseline" for variant in outcome.variants)
    if len(set(keys)) != len(keys) or not named <= set(keys) or baselines != 1:
        raise OutcomeInconsistent


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


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    """A descriptor of an output; a link, say, would publish a file of ours. Raises OutputNotPlain."""
    if not name or (folder / name).parent != folder:
        raise OutputNotPlain(name)
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened_plain(folder / name))
        except (OSError, ValueError) as error:
            raise OutputNotPlain(name) from error
        yield descriptor


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
