"""From a request to a queued job: everything that can be known to fail is refused here, before any work."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.codes import ProblemCode
from app.contracts.fit import check_fit
from app.contracts.fit_labels import check_labels
from app.contracts.inspection import DatasetInspection, ModelInspection
from app.contracts.problem import Problem, ProblemDetail, ProblemFound, problem, quoted
from app.contracts.status import JobKind, ResourceStatus
from app.ids import new_id
from app.jobs.advice import find_advice
from app.jobs.duration import estimate_duration
from app.jobs.exclusions import exclusion_problem
from app.jobs.named import Named, NamedDataset, look_up
from app.jobs.news import news_of
from app.jobs.schemas import JobCreate, JobEstimate, JobValidate, ValidationRead
from app.observability import correlation
from app.quotas.service import require_queue_slot
from app.tables import Dataset, Job, Model
from app.targets.queues import QUEUE_OF_TARGET


async def enqueue(session: AsyncSession, job: Job) -> None:
    """Queue a job; it is announced to the workers when the transaction has been committed."""
    await require_queue_slot(session, job.tenant_id)
    correlation.stamp(job)
    session.add(job)
    news_of(session).queues.add(str(job.queue))
    await session.flush()


async def create(
    session: AsyncSession, wanted: JobCreate, *, tenant_id: str, max_attempts: int, memory_limit_bytes: int | None
) -> Job:
    """Queue a quantize job, or raise the first of its problems."""
    named = await look_up(session, wanted, tenant_id=tenant_id)
    problems = find_problems(wanted, named)
    if problems:
        raise ProblemFound(problems[0])
    advice = find_advice(wanted, named, memory_limit_bytes=memory_limit_bytes)
    job = Job(
        id=new_id("job"),
        tenant_id=tenant_id,
        kind=JobKind.QUANTIZE,
        queue=QUEUE_OF_TARGET[wanted.target],
        name=wanted.name or "",
        model_id=wanted.model_id,
        calibration_dataset_id=wanted.calibration_dataset_id,
        evaluation_dataset_id=wanted.evaluation_dataset_id,
        target=wanted.target,
        recipe=wanted.recipe.resolve().model_dump(mode="json"),
        objective=wanted.objective.model_dump(mode="json"),
        benchmark=wanted.benchmark.model_dump(mode="json"),
        advice=[notice.model_dump() for notice in advice],
        labels=wanted.labels,
        seed=wanted.seed,
        priority=wanted.priority,
        deadline_seconds=wanted.deadline_seconds,
        max_attempts=max_attempts,
    )
    job.name = wanted.name or f"{wanted.recipe.preset}-{job.id[-6:]}"
    await enqueue(session, job)
    return job


async def validate(
    session: AsyncSession, wanted: JobValidate, *, tenant_id: str, memory_limit_bytes: int | None
) -> ValidationRead:
    """What would stop a job, what its owner should know before it starts, and what it would take."""
    named = await look_up(session, wanted, tenant_id=tenant_id)
    problems = find_problems(wanted, named)
    return ValidationRead(
        ok=not problems,
        problems=problems,
        warnings=find_advice(wanted, named, memory_limit_bytes=memory_limit_bytes),
        resolved_recipe=wanted.recipe.resolve(),
        estimate=await _estimate(session, wanted, named, tenant_id=tenant_id),
    )


async def _estimate(session: AsyncSession, wanted: JobValidate, named: Named, *, tenant_id: str) -> JobEstimate | None:
    model = named.model_inspection
    if model is None:
        return None
    duration = await estimate_duration(session, wanted, named, tenant_id=tenant_id)
    return JobEstimate(
        peak_memory_bytes=model.estimate and model.estimate.peak_memory_bytes,
        quantized_bytes=model.estimate and model.estimate.quantized_bytes,
        seconds=duration and round(duration.seconds, 1),
        comparable_jobs=duration.jobs if duration else 0,
    )


def find_problems(wanted: JobValidate, named: Named) -> list[Problem]:
    """All that is wrong with a request, in the order in which a user would want to mend it."""
    found = [
        _target_problem(wanted),
        _resource_problem(named.model, "/model_id", "model", "model_not_ready", "model_rejected"),
        _dataset_problem(named.calibration, wanted.calibration_dataset_id, "/calibration_dataset_id"),
        _dataset_problem(named.evaluation, wanted.evaluation_dataset_id, "/evaluation_dataset_id"),
    ]
    if not any(found):
        found = _fit_problems(wanted, named)
    return [p for p in found if p is not None]


def _target_problem(wanted: JobValidate) -> Problem | None:
    if wanted.target in QUEUE_OF_TARGET:
        return None
    return problem(
        "target_unavailable",
        f"No worker builds for '{quoted(wanted.target)}'.",
        pointer="/target",
        hint="Available: " + ", ".join(sorted(QUEUE_OF_TARGET)),
    )


def _dataset_problem(found: NamedDataset | None, wanted_id: str | None, pointer: str) -> Problem | None:
    if wanted_id is None:
        return None
    row = None if found is None else found.row
    return _resource_problem(row, pointer, "data set", "dataset_not_ready", "dataset_rejected")


def _resource_problem(
    row: Model | Dataset | None, pointer: str, noun: str, not_ready: ProblemCode, rejected: ProblemCode
) -> Problem | None:
    if row is None:
        return problem("not_found", f"There is no such {noun}.", pointer=pointer)
    if row.status == ResourceStatus.INSPECTING:
        return problem(not_ready, f"The {noun} is still being inspected.", pointer=pointer)
    if row.status == ResourceStatus.REJECTED:
        why = (row.problem or {}).get("detail", "")
        return problem(rejected, f"The {noun} was rejected: {why}", pointer=pointer)
    return None


def _fit_problems(wanted: JobValidate, named: Named) -> list[Problem | None]:
    """Everything named is ready. Data that is not named yet is not judged."""
    model = named.model_inspection
    assert model is not None
    found: list[Problem | None] = []
    if model.already_quantized:
        found.append(problem("model_already_quantized", "The model holds quantize operators.", pointer="/model_id"))
    calibration = named.calibration and named.calibration.inspection
    evaluation = named.evaluation and named.evaluation.inspection
    if calibration is not None:
        found.append(_pointing(check_fit(model, calibration), "/calibration_dataset_id"))
    if evaluation is not None:
        found.append(_pointing(check_fit(model, evaluation), "/evaluation_dataset_id"))
    found += _label_problems(wanted, model, calibration, evaluation)
    found.append(exclusion_problem(wanted.recipe.resolve().op_types_to_exclude, model))
    return found


def _label_problems(
    wanted: JobValidate,
    model: ModelInspection,
    calibration: DatasetInspection | None,
    evaluation: DatasetInspection | None,
) -> list[Problem | None]:
    """Without evaluation data the calibration data is scored, but an accuracy goal needs data of its own."""
    found: list[Problem | None] = []
    scored = evaluation or calibration
    if scored is not None:
        pointer = "/calibration_dataset_id" if evaluation is None else "/evaluation_dataset_id"
        found.append(_pointing(check_labels(model, scored), pointer))
    if scored and wanted.objective.max_accuracy_drop is not None and not (evaluation and evaluation.has_labels):
        detail = "`max_accuracy_drop` needs an evaluation data set with labels."
        found.append(problem("labels_missing", detail, pointer="/objective/max_accuracy_drop"))
    return found


def _pointing(found: Problem | None, pointer: str) -> Problem | None:
    """The same problem, with the pointer to the data set that has it."""
    if found is None:
        return None
    details = found.errors or (ProblemDetail(detail=found.detail),)
    return found.model_copy(update={"errors": tuple(d.model_copy(update={"pointer": pointer}) for d in details)})
