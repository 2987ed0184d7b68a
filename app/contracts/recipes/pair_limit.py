"""Whether weights are kept from saturating the 16-bit sums of processors without VNNI."""

from typing import Annotated, Any, Literal

from pydantic import ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError, ValidationError


def _one_error(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  as it came from a client
    """One sentence at the field's own place, where a union would tell of each of its members."""
    try:
        return validate(value)
    except ValidationError:
        pass
    raise PydanticCustomError("reduce_range", "Input should be true, false or 'auto'")


ReduceRange = Annotated[bool | Literal["auto"], WrapValidator(_one_error)]
ON_THIS_PROCESSOR = "`auto`: only where the worker's own processor needs it, for models that are served on its like."


def limits(reduce_range: bool | Literal["auto"]) -> bool:  # noqa: FBT001  the field's own type
    """What is not settled is limited: it is right on any processor."""
    return reduce_range is not False
