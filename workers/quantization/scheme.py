"""The words that describe how numbers become integers. A scheme is data; `affine` holds the formula."""

from dataclasses import dataclass
from typing import Literal

Granularity = Literal["per_tensor", "per_axis"]

ScaleRule = Literal["absmax_over_q_max", "range_over_steps"]
"""How a range becomes a scale.

absmax_over_q_max: scale = max(|low|, |high|) / q_max, zero_point = 0. The largest value meets the largest code exactly.
range_over_steps:  scale = (high - low) / (q_max - q_min), zero_point = round(q_min - low / scale). No code is wasted
                   when the values lie on one side of zero, as they do after a Relu.
"""


@dataclass(frozen=True)
class Scheme:
    """Which integers a tensor may become."""

    dtype: Literal["int8", "uint8"]
    granularity: Granularity
    q_min: int
    q_max: int
    scale_rule: ScaleRule

    @property
    def symmetric(self) -> bool:
        return self.scale_rule == "absmax_over_q_max"


UINT8_ACTIVATIONS = Scheme("uint8", "per_tensor", 0, 255, "range_over_steps")

# -128 stays unused, so that negating a code never overflows and both signs have the same reach.
INT8_WEIGHTS = Scheme("int8", "per_tensor", -127, 127, "absmax_over_q_max")

# Without VNNI the kernels add two products of uint8 and int8 in 16 bits and saturate: 2 * 255 * 127 = 64770 > 32767.
# With 7-bit weights the pair fits: 2 * 255 * 64 = 32640. The price is one bit: about 6 dB of weight precision.
INT7_WEIGHTS = Scheme("int8", "per_tensor", -64, 63, "absmax_over_q_max")


def weight_scheme(*, reduce_range: bool, per_channel: bool) -> Scheme:
    """The scheme of weights for kernels that multiply uint8 activations by int8 weights."""
    chosen = INT7_WEIGHTS if reduce_range else INT8_WEIGHTS
    granularity: Granularity = "per_axis" if per_channel else "per_tensor"
    return Scheme(chosen.dtype, granularity, chosen.q_min, chosen.q_max, chosen.scale_rule)
