"""How long a job may take, told from jobs of the same preset that ended here: no other machine is this one.

    seconds = median(worked / work) * work + median(benchmarked / asked) * asked + median(rest)

where, of each finished job, `worked` is the time of the stages whose work grows with the data, `work` its samples times
the model's multiplications for one, `asked` the seconds that its benchmark was to take, and `rest` everything else.
Jobs with the same model come first; only where there are none, others are asked.
"""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.contracts.objective import Benchmark
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.stored import stored_recipe
from app.contracts.status import JobKind, JobStatus, Stage
from app.jobs.named import Named
from app.jobs.schemas import JobValidate
from app.tables import Dataset, Job, Model

MOST_JOBS = 20
"""The newest are like the next one: the same machine, the same release."""

_GROWING = frozenset({Stage.BASELINE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.EVALUATE})


class Duration(NamedTuple):
    seconds: float
    jobs: int
    """How many it follows from."""


class _Finished(NamedTuple):
    model_id: str
    samples: int
    multiplications: float | None
    """Of the model, for one sample."""
    worked: float
    benchmarked: float
    asked: float
    rest: float


async def estimate_duration(
    session: AsyncSession, wanted: JobValidate, named: Named, *, tenant_id: str
) -> Duration | None:
    """None without data, without such jobs, or where nothing tells what their models have in common with this one."""
    model, calibration = named.model_inspection, named.calibration and named.calibration.inspection
    if model is None or calibration is None:
        return None
    recipe = wanted.recipe.resolve()
    rows = (await session.execute(_finished(wanted, recipe, tenant_id=tenant_id))).all()
    evaluation = (named.evaluation and named.evaluation.inspection) or calibration
    samples = _samples(recipe, calibration.num_samples, evaluation.num_samples)
    jobs = [_read(row) for row in rows]
    same = [job for job in jobs if job.model_id == wanted.model_id]
    if same:
        rates = [job.worked / job.samples for job in same]
        return _duration(same, median(rates) * samples, wanted.benchmark)
    others = [job for job in jobs if job.multiplications]
    if model.multiplications_per_sample is None or not others:
        return None
    rates = [job.worked / (job.samples * job.multiplications) for job in others if job.multiplications]
    return _duration(others, median(rates) * samples * model.multiplications_per_sample, wanted.benchmark)


def _finished(wanted: JobValidate, recipe: AnyRecipe, *, tenant_id: str) -> Select[Job, float | None, int, int | None]:
    """Jobs that were worked through from their beginning to their end, in one go."""
    calibration, evaluation = aliased(Dataset), aliased(Dataset)
    found = (
        select(
            Job,
            Model.inspection["multiplications_per_sample"].as_float(),
            calibration.inspection["num_samples"].as_integer(),
            evaluation.inspection["num_samples"].as_integer(),
        )
        .join(Model, Model.id == Job.model_id)
        .join(calibration, calibration.id == Job.calibration_dataset_id)
        .outerjoin(evaluation, evaluation.id == Job.evaluation_dataset_id)
    )
    return (
        found.where(Job.tenant_id == tenant_id, Job.kind == JobKind.QUANTIZE, Job.status == JobStatus.SUCCEEDED)
        .where(Job.target == wanted.target, Job.recipe["preset"].as_string() == recipe.preset)
        .where(Job.attempt == 1, Job.reused == [])
        .order_by(Job.id.desc())
        .limit(MOST_JOBS)
    )


def _read(row: Row[Job, float | None, int, int | None]) -> _Finished:
    job, multiplications, calibrated, evaluated = row
    seconds = {stage["name"]: float(stage["duration_s"] or 0.0) for stage in job.stages}
    worked = sum(seconds.get(stage, 0.0) for stage in _GROWING)
    benchmarked = seconds.get(Stage.BENCHMARK, 0.0)
    recipe = stored_recipe(job.recipe or {})
    return _Finished(
        model_id=job.model_id or "",
        samples=_samples(recipe, calibrated, calibrated if evaluated is None else evaluated),
        multiplications=multiplications,
        worked=worked,
        benchmarked=benchmarked,
        asked=_asked(Benchmark.model_validate(job.benchmark)),
        rest=sum(seconds.values()) - worked - benchmarked,
    )


def _samples(recipe: AnyRecipe, calibrated: int, evaluated: int) -> int:
    """That pass through the model; each of them as often as the preset wants."""
    if recipe.method != "static":
        return evaluated
    return min(calibrated, recipe.calibration_samples or calibrated) + evaluated


def _asked(benchmark: Benchmark) -> float:
    return benchmark.duration_s * len(benchmark.batch_sizes)


def _duration(jobs: Sequence[_Finished], worked: float, benchmark: Benchmark) -> Duration:
    benchmarked = median(job.benchmarked / job.asked for job in jobs) * _asked(benchmark)
    return Duration(worked + benchmarked + median(job.rest for job in jobs), len(jobs))
