"""What the job's process is asked to do."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.contracts.formats import UploadedModelFormat
from app.contracts.model import Contract
from app.contracts.objective import Benchmark, Objective
from app.contracts.preparation import Preparation
from app.contracts.recipes.recipe import AnyRecipe

TASK_FILE = "task.json"
OUTPUT_FOLDER = "outputs"


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
    recipe: AnyRecipe
    objective: Objective
    benchmark: Benchmark
    seed: int = 0
    threads: int = Field(ge=1)
    provenance: dict[str, str] = Field(default_factory=dict)
    """Written into the metadata of every produced model as `lowbit.<key>`."""


Task = Annotated[InspectModelTask | InspectDatasetTask | QuantizeTask, Field(discriminator="kind")]
TASK: TypeAdapter[Task] = TypeAdapter(Task)
