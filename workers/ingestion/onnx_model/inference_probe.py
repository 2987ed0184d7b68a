"""Shape inference that follows values, in a process of its own, which may take little memory and time.

    python -I -m workers.ingestion.onnx_model.inference_probe < model > model with shapes

Native code ends its process, in ways of its own, when it is refused memory.
"""

import resource
import signal
import sys

from onnx import ModelProto, shape_inference

CPU_SECONDS = 20
MEMORY_BYTES = 384 << 20
_MEMORY_FOR_EACH_BYTE = 32  # of the graph, which the tool copies, parses and writes


def main() -> None:
    given = sys.stdin.buffer.read()
    memory = MEMORY_BYTES + _MEMORY_FOR_EACH_BYTE * len(given)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    model = ModelProto.FromString(given)
    found = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    sys.stdout.buffer.write(found.SerializeToString())


if __name__ == "__main__":
    main()
