"""The steps of a quantize job whose results are kept, and the key under which each result is found again.

A kept step is computed from one frozen value, its argument, and the argument's JSON is its key, with the step's name,
the version of the code and the releases that it runs with. So an attempt that follows a crash skips what is done, and
two jobs share what they have in common. The argument of an earlier step is part of the later ones':

    calibrate -> sensitivity -> search      sensitivity and search: only where ranges are measured
    candidate ... candidate -> quantize

Each candidate is a step of its own: a part of what the recipe asks for, named by the process that thought of it, kept
under a key that follows from the name and from the argument of `quantize`. That one, the last, says that all parts are
there, and stands for everything before it. Evaluation and benchmark are no steps: they say how fast the delivered files
are on this machine now. The float model's own answers are none either: comparing needs every output value of it, which
costs more to keep than to compute.

Results lie in SCRATCH/steps, as <name>.safetensors or <name>.<part>.safetensors. Those that the supervisor put there
before the start are used instead of being computed again; of the others an event tells when they are complete. Nothing
heavy is imported here: the supervisor asks which results to bring before it starts the job's process. A result carries
its key, and the process compares it with its own.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from app.contracts.model import Contract
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.static import Alpha, StaticRecipe
from workers.protocol.gathering import Gathering, gathering
from workers.protocol.tasks import QuantizeTask

STEP_FOLDER = "steps"

StepName = Literal["calibrate", "sensitivity", "search", "candidate", "quantize"]

PartName = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,64}$")]

VERSIONS: Mapping[StepName, int] = {"calibrate": 4, "sensitivity": 2, "search": 2, "candidate": 2, "quantize": 3}
"""Of the code of each step, within one release, in the order of the steps. Raise it when the step would give another
result for the same argument, or writes it in another form; the steps that follow need no raise of their own."""

_INFLUENTIAL = ("lowbit-server", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "torch")
"""Distributions whose release may change the last bit of a result."""


class Ground(Contract):
    """What a recipe is applied to. None: the step does not read it, or the task does not say."""

    target: str
    model_sha256: str | None
    calibration_sha256: str | None = None
    threads: int | None = None
    """In which order kernels add up: in the last bit the results differ."""
    seed: int | None = None


class Asked(Contract):
    """The argument of a step."""

    step: ClassVar[StepName]
    ground: Ground


class Calibration(Asked):
    step: ClassVar[StepName] = "calibrate"
    gathering: Gathering


class Sensitivity(Calibration):
    """Reads the statistics, and nothing more of the recipe."""

    step: ClassVar[StepName] = "sensitivity"


class RangeSearch(Sensitivity):
    """Tensors that are smoothed are not searched."""

    step: ClassVar[StepName] = "search"
    smoothquant_alpha: Alpha


class Production(Asked):
    """All candidates of a recipe."""

    step: ClassVar[StepName] = "quantize"
    recipe: AnyRecipe


class StepKey(NamedTuple):
    name: StepName
    key: str


class StepKeys(NamedTuple):
    """What the supervisor may bring, and put away."""

    whole: tuple[StepKey, ...]
    """In their order, the last one standing for all others."""
    candidates: str
    """The family of the parts."""


def ground_of(task: QuantizeTask) -> Ground:
    """Methods that need no statistics read the model alone."""
    digests = {name: task.provenance.get(f"{name}_sha256") for name in ("model", "calibration")}
    if task.recipe.method != "static":
        return Ground(target=task.target, model_sha256=digests["model"])
    return Ground(
        target=task.target,
        model_sha256=digests["model"],
        calibration_sha256=digests["calibration"],
        threads=task.threads,
        seed=task.seed,
    )


def calibration_of(ground: Ground, recipe: StaticRecipe) -> Calibration:
    return Calibration(ground=ground, gathering=gathering(recipe))


def sensitivity_of(ground: Ground, recipe: StaticRecipe) -> Sensitivity:
    return Sensitivity(ground=ground, gathering=gathering(recipe))


def range_search_of(ground: Ground, recipe: StaticRecipe) -> RangeSearch:
    return RangeSearch(ground=ground, gathering=gathering(recipe), smoothquant_alpha=recipe.smoothquant_alpha)


def production_of(ground: Ground, recipe: AnyRecipe) -> Production:
    return Production(ground=ground, recipe=recipe)


def step_keys(task: QuantizeTask) -> StepKeys | None:
    """None when the task does not say what its inputs are."""
    if {"model_sha256", "calibration_sha256"} - {name for name, digest in _digests(task).items() if digest}:
        return None
    ground, recipe = ground_of(task), task.recipe
    steps: list[Asked] = []
    if recipe.method == "static":
        steps.append(calibration_of(ground, recipe))
        if recipe.calibration_method == "measured":
            steps += [sensitivity_of(ground, recipe), range_search_of(ground, recipe)]
    last = production_of(ground, recipe)
    whole = tuple(StepKey(asked.step, key_of(asked)) for asked in (*steps, last))
    return StepKeys(whole, family_key(last))


def key_of(asked: Asked) -> str:
    return _digest(asked.step, asked)


def family_key(production: Production) -> str:
    """Of the candidates that are made for it."""
    return _digest("candidate", production)


def part_key(family: str, part: str) -> str:
    return hashlib.sha256(f"{family}/{part}".encode()).hexdigest()


def step_file_name(name: StepName, part: str | None = None) -> str:
    return f"{name}.safetensors" if part is None else f"{name}.{part}.safetensors"


def _digests(task: QuantizeTask) -> dict[str, str | None]:
    return {f"{name}_sha256": task.provenance.get(f"{name}_sha256") for name in ("model", "calibration")}


def _digest(step: StepName, asked: Asked) -> str:
    order = list(VERSIONS)
    influence = {
        "step": step,
        "versions": [VERSIONS[name] for name in order[: order.index(step) + 1]],
        "releases": _releases(),
        # a preset is only a name for the rest of a recipe
        "asked": asked.model_dump(mode="json", exclude={"recipe": {"preset"}}),
    }
    canonical = json.dumps(influence, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _releases() -> Mapping[str, str | None]:
    return {name: _release(name) for name in _INFLUENTIAL}


def _release(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
