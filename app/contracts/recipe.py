"""What a user may ask for, and the presets: named recipes."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from app.contracts.model import Contract

CalibrationMethod = Literal["min_max", "percentile"]
PresetName = Literal["int8-fast", "int8-balanced"]
Percentile = Annotated[float, Field(ge=90.0, le=100.0)]


class Recipe(Contract):
    """A complete recipe: every field filled. All candidates of a job come from one recipe and one calibration pass."""

    preset: PresetName
    weights_dtype: Literal["int8"] = "int8"
    activations_dtype: Literal["uint8"] = "uint8"
    calibration_method: CalibrationMethod
    percentiles: tuple[Percentile, ...] = Field(
        description="Candidates for `percentile`: the share of values, in percent, that a range keeps. 100 is min-max."
    )
    calibration_samples: int | None = Field(
        default=None, ge=1, description="Use at most this many samples, the first ones; null uses all."
    )
    per_channel: bool = Field(default=True, description="One weight scale for each output channel.")
    reduce_range: bool = Field(
        default=True,
        description="Use 7 of the weights' 8 bits, so that CPUs without VNNI cannot saturate their 16-bit sums.",
    )
    op_types_to_exclude: tuple[str, ...] = ()
    nodes_to_exclude: tuple[str, ...] = ()


class RecipeRequest(Contract):
    """A preset and what to change in it. A field left out keeps the preset's value."""

    preset: PresetName = "int8-balanced"
    weights_dtype: Literal["int8"] | None = None
    activations_dtype: Literal["uint8"] | None = None
    calibration_method: CalibrationMethod | None = None
    percentiles: Annotated[tuple[Percentile, ...], Field(min_length=1, max_length=8)] | None = None
    calibration_samples: Annotated[int, Field(ge=1)] | None = None
    per_channel: bool | None = None
    reduce_range: bool | None = None
    op_types_to_exclude: Annotated[tuple[str, ...], Field(max_length=256)] | None = None
    nodes_to_exclude: Annotated[tuple[str, ...], Field(max_length=4096)] | None = None

    @field_validator("percentiles")
    @classmethod
    def _each_once(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("each percentile may be named once")
        return value

    def resolve(self) -> Recipe:
        """Fill every field that was left out from the preset."""
        overrides = self.model_dump(exclude_none=True, exclude={"preset"})
        return PRESETS[self.preset].model_copy(update=overrides)


PRESETS: dict[PresetName, Recipe] = {
    # one candidate, nothing to choose between
    "int8-fast": Recipe(preset="int8-fast", calibration_method="min_max", percentiles=(100.0,)),
    # four ranges from one pass; the evaluation data decides
    "int8-balanced": Recipe(
        preset="int8-balanced", calibration_method="percentile", percentiles=(99.9, 99.99, 99.999, 100.0)
    ),
}

PRESET_SUMMARIES: dict[PresetName, str] = {
    "int8-fast": "Static int8 with min-max ranges: one candidate, the shortest job.",
    "int8-balanced": "Static int8; four candidate ranges from one calibration pass, the best on your data is kept.",
}
