"""What a job with the default recipe would need and leave, from sizes alone.

    quantized_bytes   = tensors + 2 * graph - 3 * parameters that become int8
    peak_memory_bytes = 300 MiB + 4 * tensors, or 3 * tensors where they lie in a file of their own

with `tensors` the bytes of all tensors, and `graph` those of the model's file beside them. A float32 weight of four
bytes becomes one; the graph roughly doubles with the operators around integers. Measured for a chain of two products,
1,024 MiB of tensors: 3,762 MiB as one file, 2,738 MiB with the tensors beside it; 2,048 MiB beside it: 4,941 MiB.
"""

import onnx

from app.contracts.inspection import Estimate, TargetCoverage
from workers.ingestion.onnx_model.walk import every_tensor
from workers.quantization.graph.skeleton import is_external, tensor_bytes
from workers.targets.known import TARGETS

_PROCESS_BYTES = 300 << 20


def estimate_of(model: onnx.ModelProto, coverage: dict[str, TargetCoverage]) -> Estimate | None:
    """None where the target would quantize nothing."""
    covered = coverage.get(TARGETS[0].name)
    if covered is None or not covered.parameters_quantized:
        return None
    tensors = list(every_tensor(model))
    total = sum(map(tensor_bytes, tensors))
    at_once = 3 if any(map(is_external, tensors)) else 4
    graph = model.ByteSize() - sum(tensor_bytes(tensor) for tensor in tensors if not is_external(tensor))
    return Estimate(
        peak_memory_bytes=_PROCESS_BYTES + at_once * total,
        quantized_bytes=total + 2 * graph - 3 * covered.parameters_quantized,
    )
