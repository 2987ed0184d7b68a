"""How long a job takes is told from those that ended here. The rows are made up; the arithmetic is shown."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.contracts.inspection import ModelInspection
from app.contracts.recipes.request import RecipeRequest
from app.contracts.status import JobStatus
from tests.app.contracts.inspections import data, model
from tests.app.jobs.conftest import MakeJob, Ready

Finished = Callable[..., None]

# 100 samples calibrate and 50 evaluate: 150 pass
CALIBRATION = data(("x", "float32", (100, 4)))
EVALUATION = data(("x", "float32", (50, 4)))


def weighing(multiplications: int | None) -> ModelInspection:
    return model(
        ("x", "float32", ("n", 4)), outputs=[("y", "float32", ("n", 2))], multiplications_per_sample=multiplications
    )


def stages(**seconds: float | None) -> list[dict[str, Any]]:
    return [{"name": name, "status": "succeeded", "duration_s": took} for name, took in seconds.items()]


# 30 s grow with the data, the benchmark was to take 2 * 3 s and took 18, and 2 s are the same for all
PLAIN = stages(
    fetch=0.5, inspect=1.0, baseline=2.0, calibrate=20.0, quantize=3.0, evaluate=5.0, benchmark=18.0, package=0.5
)


@pytest.fixture
def finished(make_shown_job: MakeJob, ready: Ready, tenant: tuple[str, str]) -> Finished:
    def make(of: str, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "tenant_id": tenant[0],
            "model_id": of,
            "calibration_dataset_id": ready(CALIBRATION),
            "evaluation_dataset_id": ready(EVALUATION),
            "target": "onnxruntime-cpu",
            "recipe": RecipeRequest().resolve().model_dump(mode="json"),
            "objective": {},
            "benchmark": {},
            "attempt": 1,
            "stages": PLAIN,
        }
        make_shown_job(changes.pop("status", JobStatus.SUCCEEDED), **{**fields, **changes})

    return make


@pytest.fixture
def foreseen(http: httpx2.Client, ready: Ready) -> Any:
    """What the service tells of a job with the model."""

    def ask(of: str, **changes: Any) -> Any:
        named = {
            "model_id": of,
            "calibration_dataset_id": ready(CALIBRATION),
            "evaluation_dataset_id": ready(EVALUATION),
        }
        response = http.post("/v1/jobs/validate", json={**named, **changes})
        assert response.status_code == 200, response.text
        estimate = response.json()["estimate"]
        return estimate["seconds"], estimate["comparable_jobs"]

    return ask


def test_the_same_job_takes_the_same_time(ready: Ready, finished: Finished, foreseen: Any) -> None:
    of = ready(weighing(1000))
    assert foreseen(of) == (None, 0)
    finished(of)
    assert foreseen(of) == (30.0 + 18.0 + 2.0, 1)


def test_more_data_takes_longer_and_so_does_a_longer_benchmark(ready: Ready, finished: Finished, foreseen: Any) -> None:
    of = ready(weighing(None))
    finished(of)
    much = ready(data(("x", "float32", (250, 4))))
    # 300 samples for 150; 6 s asked for became 18
    assert foreseen(of, calibration_dataset_id=much) == (60.0 + 18.0 + 2.0, 1)
    assert foreseen(of, benchmark={"batch_sizes": [1], "duration_s": 1.0}) == (30.0 + 3.0 + 2.0, 1)
    # 50 of the 100 samples calibrate: 100 for 150
    assert foreseen(of, recipe={"calibration_samples": 50}) == (20.0 + 18.0 + 2.0, 1)
    # the calibration data evaluates as well: 200 for 150
    assert foreseen(of, evaluation_dataset_id=None) == (40.0 + 18.0 + 2.0, 1)


def test_another_model_is_measured_by_its_multiplications(ready: Ready, finished: Finished, foreseen: Any) -> None:
    finished(ready(weighing(1000)))
    finished(ready(weighing(None)))
    assert foreseen(ready(weighing(2500))) == (30.0 * 2.5 + 18.0 + 2.0, 1)
    assert foreseen(ready(weighing(None))) == (None, 0)


def test_the_same_model_is_believed_before_others(ready: Ready, finished: Finished, foreseen: Any) -> None:
    of = ready(weighing(1000))
    slow = stages(calibrate=300.0, benchmark=18.0)
    finished(of)
    for _ in range(3):
        finished(ready(weighing(1000)), stages=slow)
    assert foreseen(of) == (50.0, 1)
    # the middle one of three
    finished(of, stages=slow)
    finished(of, stages=stages(calibrate=30.0, benchmark=18.0, fetch=2.0))
    assert foreseen(of) == (50.0, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": JobStatus.FAILED},
        {"status": JobStatus.CANCELLED},
        {"attempt": 2},
        {"reused": [{"step": "statistics", "job_id": "job_1"}]},
        {"recipe": RecipeRequest(preset="int8-fast").resolve().model_dump(mode="json")},
        {"target": "abacus"},
    ],
)
def test_jobs_that_were_cut_short_or_did_something_else_are_no_measure(
    ready: Ready, finished: Finished, foreseen: Any, changes: dict[str, Any]
) -> None:
    of = ready(weighing(1000))
    finished(of, **changes)
    assert foreseen(of) == (None, 0)


def test_without_calibration_only_what_is_evaluated_counts(ready: Ready, finished: Finished, foreseen: Any) -> None:
    of = ready(weighing(1000))
    finished(of, recipe=RecipeRequest(preset="int8-dynamic").resolve().model_dump(mode="json"))
    # from before, when every recipe held all fields
    finished(of, recipe={**RecipeRequest().resolve().model_dump(), "preset": "int8-dynamic", "method": "dynamic"})
    much = ready(data(("x", "float32", (250, 4))))
    assert foreseen(of, recipe={"preset": "int8-dynamic"}, calibration_dataset_id=much) == (50.0, 2)
    assert foreseen(of, recipe={"preset": "int8-dynamic"}, evaluation_dataset_id=much) == (30.0 * 5 + 20.0, 2)
