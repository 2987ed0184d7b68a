"""A row of the operator table: how one ONNX operator is said in torch.

The key of a row is (operator, since): the row holds from opset `since` until the operator's next row, as in ONNX's own
list of versions. The function takes the operator's inputs by position and its attributes by keyword, with ONNX's names
and defaults; what its signature does not name is refused. It may also ask for

    output_count    how many outputs the node has
    device          where to make a tensor that no input says the place of
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Attributes = Mapping[str, Any]
Key = tuple[str, int]

GIVEN_BY_THE_PROGRAM = frozenset({"output_count", "device"})


def refuses_nothing(_: Attributes) -> str | None:
    return None


@dataclass(frozen=True)
class Entry:
    function: Callable[..., Any]
    numbers: tuple[int, ...] = ()
    """Inputs that say shapes, axes or counts: they arrive as Python numbers and lists, never as tensors on a device."""
    on_host: tuple[int, ...] = ()
    """The same, but they arrive as tensors on the host, because their type matters too."""
    refuses: Callable[[Attributes], str | None] = field(default=refuses_nothing)
    """The reason why a node with these attributes cannot be run, if there is one."""

    @cached_property
    def keywords(self) -> frozenset[str]:
        """What the function takes by keyword; torch's built-in functions show no signature and take nothing."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except ValueError:
            return frozenset()
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def refusal(self, attributes: Attributes) -> str | None:
        unknown = sorted(set(attributes) - (self.keywords - GIVEN_BY_THE_PROGRAM))
        if unknown:
            return f"attribute {unknown[0]} is not known"
        return self.refuses(attributes)


def lookup(table: Mapping[Key, Entry], operator: str, opset: int) -> Entry | None:
    """The row that holds at `opset`: the newest one that is not newer than it."""
    known = [since for name, since in table if name == operator and since <= opset]
    return table[operator, max(known)] if known else None
