"""What a recipe leaves in float, whatever its method."""

from typing import Annotated

from pydantic import Field

OperatorTypes = Annotated[
    tuple[str, ...], Field(max_length=256, description='Operator types to leave in float, such as `["Gemm"]`.')
]
NodeNames = Annotated[tuple[str, ...], Field(max_length=4096, description="Nodes to leave in float, by name.")]
