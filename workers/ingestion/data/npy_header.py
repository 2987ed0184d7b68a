"""The header of one npy array: which of them can be samples, and which are damaged, dangerous or not streamable."""

import io
import struct
import tokenize

import numpy as np
from numpy.lib import format as npy

from app.contracts.codes import ProblemCode
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.samples import LABELS, PLACES_OF_NAMES

NO_SAMPLES: frozenset[ProblemCode] = frozenset(
    {
        "npz_pickle_not_allowed",
        "npz_fortran_order",
        "calibration_dtype_mismatch",
        "calibration_shape_mismatch",
        "calibration_empty",
    }
)
"""What an array may be refused for that is sound, and may stand beside the samples."""
_MAX_HEADER_BYTES = 10_000  # numpy's own limit; a real header has about 120
_KINDS = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}

# numpy evaluates the header as a Python literal: this is what hostile literals make it raise
_DAMAGE = (
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
    struct.error,
)


def read_header(stream: io.RawIOBase, name: str) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    """What an array's header declares. `name` is for the problem. Raises ProblemFound."""
    try:
        shape, fortran, dtype = _parse_header(stream)
    except _DAMAGE as error:
        raise refuse("npz_invalid", "An array does not begin with a valid npy header.", entry=name) from error
    if name == LABELS and dtype.kind not in _KINDS:
        raise _no_labels(dtype)
    if dtype.hasobject:
        raise refuse("npz_pickle_not_allowed", "An array holds Python objects.", entry=name)
    if dtype.itemsize not in _KINDS.get(dtype.kind, ()) or dtype.subdtype is not None:
        raise refuse(
            "calibration_dtype_mismatch",
            f"An array has dtype {quoted(str(dtype))}; bool, integers and float16/32/64 are supported.",
            entry=name,
        )
    if any(not isinstance(d, int) or d < 0 for d in shape):
        raise refuse("npz_invalid", "An array declares a negative extent.", entry=name)
    if fortran and len(shape) > 1:
        raise refuse("npz_fortran_order", "An array is in Fortran order.", entry=name)
    if not shape:
        raise refuse(
            "calibration_shape_mismatch", "An array has no axis of samples: it is a single number.", entry=name
        )
    return dtype, shape


def _no_labels(dtype: np.dtype[np.generic]) -> ProblemFound:
    what = {"U": "texts", "S": "texts", "T": "texts", "O": "Python objects"}.get(dtype.kind, quoted(str(dtype)))
    return refuse("labels_invalid", f"The labels are {what}, not integers.", entry=LABELS, hint=PLACES_OF_NAMES)


def _parse_header(stream: io.RawIOBase) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Read no more than a header may take: version 2 lets it declare 4 GiB."""
    version = npy.read_magic(stream)
    size_format = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}[version]
    size_bytes = stream.read(struct.calcsize(size_format))
    (size,) = struct.unpack(size_format, size_bytes or b"")
    if size > _MAX_HEADER_BYTES:
        raise ValueError("header too large")
    header = io.BytesIO(size_bytes + (stream.read(size) or b""))
    if version == (1, 0):
        return npy.read_array_header_1_0(header)
    # version 3 differs in the encoding of field names only, and arrays with fields are refused anyway
    return npy.read_array_header_2_0(header)
