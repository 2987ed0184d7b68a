"""Dynamic int8: ONNX Runtime finds the ranges of activations while it runs."""

from typing import Literal

from pydantic import Field

from app.contracts.model import Contract
from app.contracts.recipes.exclusions import NodeNames, OperatorTypes
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.pair_limit import ON_THIS_PROCESSOR, ReduceRange


class DynamicRecipe(Contract):
    """A complete recipe. Nothing is calibrated, so there is nothing to choose about ranges; one candidate."""

    preset: PresetName
    method: Literal["dynamic"] = Field(default="dynamic", description="Ranges at run time.")
    weights_dtype: Literal["int8"] = Field(default="int8", description="What weights become.")
    activations_dtype: Literal["uint8"] = Field(default="uint8", description="What activations become.")
    per_channel: bool = Field(default=True, description="One weight scale for each output channel.")
    reduce_range: ReduceRange = Field(
        default=True,
        description="Weights of 7 bits, as ONNX Runtime's tool makes them. Beyond 256 MiB of weights that tool takes "
        "too much memory: then pairs of neighbouring weights are limited. "
        f"{ON_THIS_PROCESSOR}",
    )
    op_types_to_exclude: OperatorTypes = ()
    nodes_to_exclude: NodeNames = ()
