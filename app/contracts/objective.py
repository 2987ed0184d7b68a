"""The goal of a job and how speed is measured."""

from typing import Annotated, Literal

from pydantic import Field

from app.contracts.model import Contract


class Objective(Contract):
    """Which candidate is best. Without `max_accuracy_drop` every candidate is admissible."""

    metric: Literal["accuracy"] = "accuracy"
    max_accuracy_drop: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        default=None, description="Largest admissible loss of top-1 accuracy, as a fraction: 0.01 is one point."
    )
    minimize: Literal["latency_ms_p50", "size_bytes"] = "latency_ms_p50"


class Benchmark(Contract):
    """How latency is measured: float and quantized models take turns within one run."""

    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1, max_length=4)] = (1, 8)
    duration_s: float = Field(default=3.0, gt=0.0, le=60.0, description="Time spent on each batch size.")
