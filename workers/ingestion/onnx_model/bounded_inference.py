"""Shape inference that follows the values of small tensors, which finds more, in bounded memory.

The format's own tool follows such values however many there are: with a ConstantOfShape of 2^40, or forty Concats of a
vector with itself, a file of a hundred bytes would take all the memory of a machine. Real shapes have a few values.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import shape_inference

_ROOM_BYTES = 256 << 20
_ROOM_FOR_EACH_BYTE = 16  # of the graph, which the tool copies, parses and writes


def inferred_with_values(skeleton: onnx.ModelProto, *, strict: bool) -> onnx.ModelProto:
    """strict: operators that contradict each other are an error.

    Raises MemoryError where values without measure are followed, and what the tool raises.
    """
    with _room(_ROOM_BYTES + _ROOM_FOR_EACH_BYTE * skeleton.ByteSize()):
        return shape_inference.infer_shapes(skeleton, check_type=strict, strict_mode=strict, data_prop=True)


@contextmanager
def _room(more_bytes: int) -> Iterator[None]:
    """For this process, beside what it has. Address space, since native code is only refused memory by that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    wanted = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
