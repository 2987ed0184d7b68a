"""What a user may ask for, and the presets: named recipes."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic_core import PydanticCustomError, ValidationError

from app.contracts.model import Contract

Method = Literal["static", "dynamic", "float16"]
CalibrationMethod = Literal["min_max", "moving_average", "percentile", "entropy", "mse", "measured"]
Equalize = Literal["on", "off", "auto"]
Rounding = Literal["nearest", "gptq"]
PresetName = Literal["int8-fast", "int8-balanced", "int8-accurate", "int8-dynamic", "float16"]
Percentile = Annotated[float, Field(ge=90.0, le=100.0)]


def _one_error(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  as it came from a client
    """One sentence at the field's own place, where a union would tell of each of its members."""
    try:
        if not isinstance(value, bool):  # which would pass for 0 or 1
            return validate(value)
    except ValidationError:
        pass
    raise PydanticCustomError("alpha", "Input should be a number from 0 to 1, 'auto' or 'off'")


Alpha = Annotated[Annotated[float, Field(ge=0.0, le=1.0)] | Literal["auto", "off"], WrapValidator(_one_error)]


class Recipe(Contract):
    """A complete recipe: every field filled. All candidates of a job come from one recipe and one calibration pass."""

    preset: PresetName
    method: Method = Field(
        default="static",
        description="static: ranges from calibration. dynamic: ranges at run time. float16: a cast, no integers.",
    )
    weights_dtype: Literal["int8"] = "int8"
    activations_dtype: Literal["uint8"] = "uint8"
    calibration_method: CalibrationMethod = Field(
        default="min_max",
        description="How ranges follow from the statistics. `percentile`: one candidate for each of `percentiles`. "
        "`measured`: for each tensor that matters, the range with the least error at the model's output.",
    )
    percentiles: tuple[Percentile, ...] = Field(
        default=(100.0,),
        description="Candidates for `percentile`: the share of values, in percent, that a range keeps. 100 is min-max.",
    )
    calibration_samples: int | None = Field(
        default=None, ge=1, description="Use at most this many samples, the first ones; null uses all."
    )
    per_channel: bool = Field(default=True, description="One weight scale for each output channel.")
    reduce_range: bool = Field(
        default=True,
        description="Limit neighbouring weights, so that CPUs without VNNI cannot saturate their 16-bit sums.",
    )
    equalize: Equalize = Field(
        default="off",
        description="Even out channel ranges across layers before quantizing; `auto` does it where they differ much.",
    )
    smoothquant_alpha: Alpha = Field(
        default="off",
        description="Move outlier channels of activations into the weights; `auto` chooses alpha for each tensor.",
    )
    rounding: Rounding = Field(
        default="nearest", description="gptq: round weights so that the layer's output suffers least."
    )
    bias_correction: bool = Field(default=False, description="Take the mean error of each channel out of its bias.")
    runtime_form: bool = Field(
        default=False, description="Also try the form with the runtime's own operators, beside the portable QDQ file."
    )
    op_types_to_exclude: tuple[str, ...] = ()
    nodes_to_exclude: tuple[str, ...] = ()


class RecipeRequest(Contract):
    """A preset and what to change in it. A field left out, or null, keeps the preset's value."""

    preset: PresetName = "int8-balanced"
    method: Method | None = None
    weights_dtype: Literal["int8"] | None = None
    activations_dtype: Literal["uint8"] | None = None
    calibration_method: CalibrationMethod | None = None
    percentiles: Annotated[tuple[Percentile, ...], Field(min_length=1, max_length=8)] | None = None
    calibration_samples: Annotated[int, Field(ge=1)] | None = None
    per_channel: bool | None = None
    reduce_range: bool | None = None
    equalize: Equalize | None = None
    smoothquant_alpha: Alpha | None = None
    rounding: Rounding | None = None
    bias_correction: bool | None = None
    runtime_form: bool | None = None
    op_types_to_exclude: Annotated[tuple[str, ...], Field(max_length=256)] | None = None
    nodes_to_exclude: Annotated[tuple[str, ...], Field(max_length=4096)] | None = None

    @field_validator("percentiles")
    @classmethod
    def _each_once(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("each percentile may be named once")
        return value

    @field_validator("percentiles")
    @classmethod
    def _read_by_the_method(cls, value: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        """A change that would change nothing. The preset's own values pass: they stand in every resolved recipe."""
        preset = PRESETS.get(info.data.get("preset"))  # type: ignore[arg-type]  # missing if it was refused itself
        if value is None or preset is None or value == preset.percentiles:
            return value
        method = info.data.get("calibration_method") or preset.calibration_method
        if method != "percentile":
            hint = 'Set `calibration_method` to "percentile", or leave `percentiles` out.'
            raise PydanticCustomError(
                "percentiles_unread",
                "No range follows from percentiles with `{method}`",
                {"method": method, "hint": hint},
            )
        return value

    def resolve(self) -> Recipe:
        """Fill every field that was left out from the preset."""
        overrides = self.model_dump(exclude_none=True, exclude={"preset"})
        return PRESETS[self.preset].model_copy(update=overrides)


PRESETS: dict[PresetName, Recipe] = {
    # one candidate, nothing to choose between
    "int8-fast": Recipe(preset="int8-fast"),
    # four ranges from one pass; the evaluation data decides
    "int8-balanced": Recipe(
        preset="int8-balanced", calibration_method="percentile", percentiles=(99.9, 99.99, 99.999, 100.0)
    ),
    # everything that costs calibration time but no time at inference, or less than it gives
    "int8-accurate": Recipe(
        preset="int8-accurate",
        calibration_method="measured",
        equalize="auto",
        smoothquant_alpha="auto",
        rounding="gptq",
        bias_correction=True,
        runtime_form=True,
    ),
    "int8-dynamic": Recipe(preset="int8-dynamic", method="dynamic"),
    "float16": Recipe(preset="float16", method="float16"),
}

PRESET_SUMMARIES: dict[PresetName, str] = {
    "int8-fast": "Static int8 with min-max ranges: one candidate, the shortest job.",
    "int8-balanced": "Static int8; four candidate ranges from one calibration pass, the best on your data is kept.",
    "int8-accurate": "Static int8 with smoothing, equalization, GPTQ rounding and bias correction: the best quality.",
    "int8-dynamic": "Weights in int8, ranges of activations found at run time: needs no representative data.",
    "float16": "A cast to float16: half the size, hardly any loss; not faster on CPUs.",
}
