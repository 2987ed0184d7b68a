"""What the supervisor and the job's process say to each other.

The supervisor writes SCRATCH/task.json and starts `python -m workers.pipeline SCRATCH`. The process writes one event
a line on stdout, and at its end SCRATCH/outcome.json; output files are in SCRATCH/outputs. Exit status 0 means that
there is an outcome, good or bad; anything else is a crash. Only pydantic and the contracts are imported here.

Results of steps (`workers.pipeline.steps`) lie in SCRATCH/steps, as <name>.safetensors. Those that the supervisor put
there before the start are used instead of being computed again; of the others an event tells when they are complete.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.contracts.formats import UploadedModelFormat
from app.contracts.inspection import DatasetInspection, ModelInspection, Notice
from app.contracts.model import Contract, Many
from app.contracts.objective import Benchmark, Objective
from app.contracts.preparation import Preparation
from app.contracts.problem import Problem
from app.contracts.recipe import Recipe
from app.contracts.result import QuantizeOutcome
from app.contracts.status import Stage

TASK_FILE = "task.json"
OUTCOME_FILE = "outcome.json"
OUTPUT_FOLDER = "outputs"
STEP_FOLDER = "steps"

MAX_EVENT_BYTES = 8 * 1024

StepName = Literal["calibrate", "sensitivity", "search", "quantize"]


def step_file_name(name: StepName) -> str:
    return f"{name}.safetensors"


class InspectModelTask(Contract):
    kind: Literal["inspect_model"] = "inspect_model"
    model: str
    """Path relative to the scratch folder, as all paths of a task."""
    format: UploadedModelFormat = "onnx"
    allow_torch_export: bool = False
    max_unpacked_bytes: int = 64 << 30


class InspectDatasetTask(Contract):
    kind: Literal["inspect_dataset"] = "inspect_dataset"
    dataset: str
    """Its suffix tells the format (`app.contracts.formats.EXTENSIONS`)."""
    max_unpacked_bytes: int
    preparation: Preparation | None = None


class QuantizeTask(Contract):
    kind: Literal["quantize"] = "quantize"
    model: str
    """The canonical ONNX file; its external data and the tokenizer's files lie in the same folder."""
    model_classes: tuple[str, ...] | None = None
    """As the model's inspection found them: they put the names of labels in order where the data set does not."""
    calibration: str
    """As `InspectDatasetTask.dataset`."""
    calibration_preparation: Preparation | None = None
    evaluation: str | None = None
    evaluation_preparation: Preparation | None = None
    model_name: str
    """The user's name of the model; output files are called after it."""
    target: str
    recipe: Recipe
    objective: Objective
    benchmark: Benchmark
    seed: int = 0
    threads: int = Field(ge=1)
    provenance: dict[str, str] = Field(default_factory=dict)
    """Written into the metadata of every produced model as `lowbit.<key>`."""


Task = Annotated[InspectModelTask | InspectDatasetTask | QuantizeTask, Field(discriminator="kind")]
TASK: TypeAdapter[Task] = TypeAdapter(Task)


Count = Annotated[int, Field(ge=0, le=2**53)]
"""What every reader of JSON can hold exactly."""


class StageEvent(Contract):
    event: Literal["stage"] = "stage"
    stage: Stage


class ProgressEvent(Contract):
    event: Literal["progress"] = "progress"
    completed: Count
    total: Count
    unit: str = Field(max_length=32)


class WarningEvent(Contract):
    event: Literal["warning"] = "warning"
    code: str
    detail: str


class LogEvent(Contract):
    event: Literal["log"] = "log"
    level: Literal["info", "warning", "error"]
    message: str


class StepEvent(Contract):
    """A step is done, and its result complete: it may be kept for others."""

    event: Literal["step"] = "step"
    name: StepName
    file: str
    """Name in the folder of steps."""


class ReusedEvent(Contract):
    """A step was skipped: its result was there, and sound."""

    event: Literal["reused"] = "reused"
    name: StepName


AnyEvent = StageEvent | ProgressEvent | WarningEvent | LogEvent | StepEvent | ReusedEvent
Event = Annotated[AnyEvent, Field(discriminator="event")]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class ModelInspected(Contract):
    kind: Literal["model_inspected"] = "model_inspected"
    inspection: ModelInspection
    files: Many[str] = ()
    """Names, in SCRATCH/outputs, of the canonical model: `model.onnx`, perhaps `model.onnx.data`, and the tokenizer's
    files. Jobs read these and never the upload."""
    warnings: Many[Notice] = ()


class DatasetInspected(Contract):
    kind: Literal["dataset_inspected"] = "dataset_inspected"
    inspection: DatasetInspection
    warnings: Many[Notice] = ()


class Quantized(Contract):
    kind: Literal["quantized"] = "quantized"
    outcome: QuantizeOutcome


Result = Annotated[ModelInspected | DatasetInspected | Quantized, Field(discriminator="kind")]


class Finished(Contract):
    """The task was done."""

    ok: Result


class Refused(Contract):
    """The user's input, or the machine's limits, stopped the task."""

    problem: Problem


Outcome = Finished | Refused
OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
