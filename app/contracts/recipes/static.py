"""Static int8: the ranges of activations come from calibration."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError, ValidationError

from app.contracts.model import Contract
from app.contracts.recipes.exclusions import NodeNames, OperatorTypes
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.pair_limit import ON_THIS_PROCESSOR, ReduceRange

CalibrationMethod = Literal["min_max", "moving_average", "percentile", "entropy", "mse", "measured"]
Equalize = Literal["on", "off", "auto"]
Rounding = Literal["nearest", "gptq"]
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


class StaticRecipe(Contract):
    """A complete recipe: every field filled. All candidates of a job come from one recipe and one calibration pass."""

    preset: PresetName
    method: Literal["static"] = Field(default="static", description="Ranges from calibration.")
    weights_dtype: Literal["int8"] = Field(default="int8", description="What weights become.")
    activations_dtype: Literal["uint8"] = Field(default="uint8", description="What activations become.")
    calibration_method: CalibrationMethod = Field(
        default="min_max",
        description="How ranges follow from the statistics. `percentile`: one candidate for each of `percentiles`. "
        "`measured`: for each tensor that matters, the range with the least error at the model's output.",
    )
    percentiles: tuple[Percentile, ...] = Field(
        default=(100.0,),
        min_length=1,
        max_length=8,
        description="Candidates for `percentile`: the share of values, in percent, that a range keeps. 100 is min-max.",
    )
    calibration_samples: int | None = Field(
        default=None, ge=1, description="Use at most this many samples, the first ones; null uses all."
    )
    per_channel: bool = Field(default=True, description="One weight scale for each output channel.")
    reduce_range: ReduceRange = Field(
        default=True,
        description="Limit pairs of neighbouring weights, so that CPUs without VNNI cannot saturate their 16-bit sums. "
        f"{ON_THIS_PROCESSOR}",
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
    op_types_to_exclude: OperatorTypes = ()
    nodes_to_exclude: NodeNames = ()
