"""A cast to float16."""

from typing import Literal

from pydantic import Field

from app.contracts.model import Contract
from app.contracts.recipes.exclusions import NodeNames, OperatorTypes
from app.contracts.recipes.names import PresetName


class Float16Recipe(Contract):
    """A complete recipe. No integers: all there is to choose is what stays in float32; one candidate."""

    preset: PresetName
    method: Literal["float16"] = Field(default="float16", description="A cast, no integers.")
    op_types_to_exclude: OperatorTypes = ()
    nodes_to_exclude: NodeNames = ()
