"""The steps of a quantize job whose results are kept, and the key under which each result is found again.

Results lie in SCRATCH/steps, as <name>.safetensors. Those that the supervisor put there before the start are used
instead of being computed again; of the others an event tells when they are complete.

A key is a digest of all that influences the result: the step's name, the version of the code, the parameters that it
reads and no others, the digests of its inputs, and the target. So an attempt that follows a crash skips what is done,
and two jobs share what they have in common. The result of an earlier step is an input of the later ones:

    calibrate -> sensitivity -> search -> quantize      sensitivity and search: only where ranges are measured

`quantize` stands for all before it: with its result none of theirs is needed. Evaluation and benchmark are no steps:
they say how fast the delivered files are on this machine now. The float model's own answers are none either: comparing
needs every output value of it, which costs more to keep than to compute.

Nothing heavy is imported here: the supervisor asks which results to bring before it starts the job's process. A result
carries its key, and the process compares it with its own.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, Literal, NamedTuple

from app.contracts.recipe import Recipe
from workers.protocol.tasks import QuantizeTask

STEP_FOLDER = "steps"

StepName = Literal["calibrate", "sensitivity", "search", "quantize"]

VERSIONS: Mapping[StepName, int] = {"calibrate": 2, "sensitivity": 1, "search": 1, "quantize": 2}
"""Of the code of each step, within one release. Raise it when the step would give another result for the same inputs,
or writes it in another form; the steps that follow need no raise of their own."""

_INFLUENTIAL = ("lowbit-server", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "torch")
"""Distributions whose release may change the last bit of a result."""


class StepKey(NamedTuple):
    name: StepName
    key: str


def steps_of(task: QuantizeTask) -> tuple[StepKey, ...]:
    """All steps of a task, in their order. None when the task does not say what its inputs are."""
    inputs = {name: task.provenance.get(f"{name}_sha256") for name in ("model", "calibration")}
    if None in inputs.values():
        return ()
    if task.recipe.method != "static":
        return (_step("quantize", task, _recipe(task.recipe), {"model": inputs["model"]}),)
    found = [_step("calibrate", task, _gathered(task.recipe), inputs)]
    if task.recipe.calibration_method == "measured":
        found.append(_step("sensitivity", task, {}, {"calibrate": found[-1].key}))
        smoothed = {"smoothquant_alpha": task.recipe.smoothquant_alpha}
        found.append(_step("search", task, smoothed, {"sensitivity": found[-1].key}))
    return (*found, _step("quantize", task, _recipe(task.recipe), {found[-1].name: found[-1].key}))


def _gathered(recipe: Recipe) -> dict[str, Any]:
    """What shapes the statistics: which graph is observed, with how much of the data, and what is gathered of it.

    How ranges and integers follow from the statistics shapes nothing: a job with other percentiles shares them.
    """
    return {
        "equalize": recipe.equalize,
        "op_types_to_exclude": sorted(set(recipe.op_types_to_exclude)),
        "nodes_to_exclude": sorted(set(recipe.nodes_to_exclude)),
        "calibration_samples": recipe.calibration_samples,
        "held_out": recipe.calibration_method == "measured",
        "averages": recipe.calibration_method == "moving_average",
        "channels": recipe.smoothquant_alpha != "off",
        "moments": recipe.rounding == "gptq",
    }


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """A preset is only a name for the rest."""
    return recipe.model_dump(mode="json", exclude={"preset"})


def _step(
    name: StepName, task: QuantizeTask, parameters: Mapping[str, Any], inputs: Mapping[str, str | None]
) -> StepKey:
    influence = {
        "step": name,
        "version": VERSIONS[name],
        "releases": _releases(),
        "parameters": parameters,
        "inputs": inputs,
        "target": task.target,
        # the number of threads changes in which order kernels add up: in the last bit the results differ
        "threads": task.threads,
    }
    canonical = json.dumps(influence, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return StepKey(name, hashlib.sha256(canonical.encode()).hexdigest())


@cache
def _releases() -> Mapping[str, str | None]:
    return {name: _release(name) for name in _INFLUENTIAL}


def _release(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def step_file_name(name: StepName) -> str:
    return f"{name}.safetensors"
