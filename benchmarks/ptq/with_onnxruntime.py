"""Quantize with ONNX Runtime's own tool: ranges found at run time, or calibrated; its default operators.

Weights are per channel and of seven bits, which its documentation advises for processors without VNNI.
"""

import json
import sys
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static

from benchmarks.assignment import Production
from benchmarks.with_onnxruntime import Reader


def quantize(told: Production) -> None:
    if told.contender == "ort_dynamic":
        quantize_dynamic(told.model, told.written, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    else:
        reader = Reader(Path(told.archive), told.samples)
        quantize_static(
            told.model,
            told.written,
            reader,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


if __name__ == "__main__":
    quantize(Production(**json.loads(sys.argv[1])))
