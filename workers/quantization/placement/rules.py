"""The placement rules as data: what an experiment, or a later processor, may switch."""

from dataclasses import dataclass

from workers.quantization.placement.plan import Schemes
from workers.quantization.scheme import INT8_ACTIVATIONS, UINT8_ACTIVATIONS, weight_scheme

UINT8_BY_INT8 = Schemes(UINT8_ACTIVATIONS, weight_scheme(per_channel=True))
"""What ONNX Runtime's CPU kernels multiply: one scale for each channel of a weight."""


@dataclass(frozen=True)
class TensorRtRules:
    """What `tensorrt`, beside this file, reads."""

    schemes: Schemes
    products_of_activations: bool
    """Quantize both inputs of a MatMul of two computed tensors: the two products of an attention block."""
    residual_identity: bool
    """Quantize the branch of a residual Add that no weighted operator produces."""


TENSORRT = TensorRtRules(
    Schemes(INT8_ACTIVATIONS, weight_scheme(per_channel=True)), products_of_activations=True, residual_identity=True
)
