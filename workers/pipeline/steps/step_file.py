"""A step's result as a file: arrays in safetensors, and beside them, in its header, plain facts as JSON.

What is read may have been written by anybody. safetensors has no code in it, and its reader checks every extent against
the length of the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

MAX_STEP_BYTES = 2 << 30
"""A larger result is cheaper to compute again than to carry to the store and back."""

_LARGEST_HEADER_BYTES = 100_000_000  # safetensors' own limit

_FACTS = "facts"

_DTYPES = frozenset({"F64", "I64", "U16", "U8"})
"""What steps write. Others would be asked of numpy by a name that it may not know."""


class StepNotWritten(Exception):
    """There is no file: the result is too large, or the disk too full. The message says which."""


class StepUnusable(Exception):
    """The file is damaged, or its content is not what the step would have written."""


@dataclass(frozen=True)
class StepContent:
    facts: Mapping[str, Any]
    """What JSON can hold."""
    arrays: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)


def write_step(path: Path, content: StepContent) -> None:
    """Whole or not at all, and the same bytes for the same content. Raises StepNotWritten."""
    size = sum(array.nbytes for array in content.arrays.values())
    if size > MAX_STEP_BYTES:
        raise StepNotWritten(f"it would take {size} bytes, and the limit is {MAX_STEP_BYTES}")
    partial = path.with_name(f"{path.name}.partial")
    # the writer takes memory as it lies, whatever the strides say
    arrays = {name: np.ascontiguousarray(array) for name, array in content.arrays.items()}
    facts = json.dumps(content.facts, sort_keys=True, allow_nan=False)
    try:
        save_file(arrays, partial, metadata={_FACTS: facts})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise StepNotWritten(str(error)) from error


def read_step(path: Path) -> StepContent:
    """Raises StepUnusable."""
    try:
        if path.stat().st_size > MAX_STEP_BYTES + _LARGEST_HEADER_BYTES:
            raise StepUnusable("it is too large")
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            names = file.keys()
            if any(file.get_slice(name).get_dtype() not in _DTYPES for name in names):
                raise StepUnusable("it has an array of a kind that no step writes")
            return StepContent(facts, {name: file.get_tensor(name) for name in names})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StepUnusable(f"{type(error).__name__}: {error}") from error
