"""The strictness that every shared shape has in common."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast

T = TypeVar("T")


class _FirstAlone(FailFast):
    __hash__ = object.__hash__  # so that it may be part of a union


Many = Annotated[tuple[T, ...], _FirstAlone()]
"""Any number, of which only the first wrong one is told: a job's process could name millions, and an account of each
takes hundreds of bytes."""


class Contract(BaseModel):
    """Immutable, and refuses fields it does not know: a misspelt option must not be ignored silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
