"""What the job's process leaves at its end."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.contracts.inspection import DatasetInspection, ModelInspection, Notice
from app.contracts.model import Contract, Many
from app.contracts.problem import Problem
from app.contracts.result import QuantizeOutcome

OUTCOME_FILE = "outcome.json"


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
