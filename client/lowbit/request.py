"""The body of a job, from what a person says: a preset's name, a largest accuracy drop."""

from collections.abc import Mapping
from typing import Any, TypedDict

from lowbit.resources import JobRequest, Objective

DEFAULT_TARGET = "onnxruntime-cpu"
DEFAULT_RECIPE = "int8-balanced"


class JobOptions(TypedDict, total=False):
    """All that may be said about a job besides its model and data. What is left out is the service's default."""

    name: str
    target: str
    recipe: str | Mapping[str, Any]
    """A preset's name, or a preset with changes: {"preset": "int8-balanced", "per_channel": False}."""
    max_accuracy_drop: float
    """Largest admissible loss of top-1 accuracy, as a fraction: 0.01 is one point."""
    minimize: str
    """What the best candidate has least of: latency_ms_p50 or size_bytes."""
    benchmark: Mapping[str, Any]
    labels: Mapping[str, str]
    seed: int


def job_request(
    model_id: str, calibration_id: str, evaluation_id: str | None = None, options: JobOptions | None = None
) -> JobRequest:
    """The model, the data, and what was said. The rest is left out: the service has its own defaults."""
    options = options or {}
    request: JobRequest = {
        "model_id": model_id,
        "calibration_dataset_id": calibration_id,
        "target": options.get("target", DEFAULT_TARGET),
        "recipe": _recipe(options.get("recipe", DEFAULT_RECIPE)),
    }
    if evaluation_id is not None:
        request["evaluation_dataset_id"] = evaluation_id
    if "name" in options:
        request["name"] = options["name"]
    if "benchmark" in options:
        request["benchmark"] = dict(options["benchmark"])
    if "labels" in options:
        request["labels"] = dict(options["labels"])
    if "seed" in options:
        request["seed"] = options["seed"]
    if objective := _objective(options):
        request["objective"] = objective
    return request


def _recipe(recipe: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"preset": recipe} if isinstance(recipe, str) else dict(recipe)


def _objective(options: JobOptions) -> Objective:
    objective: Objective = {}
    if "max_accuracy_drop" in options:
        objective["max_accuracy_drop"] = options["max_accuracy_drop"]
    if "minimize" in options:
        objective["minimize"] = options["minimize"]
    return objective
