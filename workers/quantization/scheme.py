"""The words that describe how numbers become integers. A scheme is data; `affine` holds the formula."""

from dataclasses import dataclass, replace
from typing import Literal

IntegerType = Literal["int8", "uint8", "int4", "uint4"]

Granularity = Literal["per_tensor", "per_axis", "per_group"]
"""What shares one scale.

per_tensor: all values. per_axis: each index of one axis, for a weight its output channel.
per_group:  each run of `group_size` neighbours along one axis, for a weight its input axis: ONNX's blocks of opset 21.
"""

ScaleRule = Literal["absmax_over_q_max", "absmax_over_half_range", "range_over_steps"]
"""How a range becomes a scale. With absmax = max(|low|, |high|) and middle = 0, or 128 for the codes 0..255:

absmax_over_q_max:      scale = absmax / (q_max - middle), zero_point = middle. The largest value meets the largest code
                        exactly; the code below the smallest that is used, -128 of int8, stays empty.
absmax_over_half_range: scale = absmax / ((q_max - q_min) / 2), zero_point = middle. No code stays empty, so that steps
                        are 127 / 127.5 as wide in int8 (0.03 dB) and 7 / 7.5 in int4 (0.6 dB). The price: the largest
                        value lies half a step from its code, and comes back smaller or larger by as much.
range_over_steps:       scale = (high - low) / (q_max - q_min), zero_point = round(q_min - low / scale). No code is
                        wasted when the values lie on one side of zero, as they do after a Relu.
"""

_LIMITS: dict[IntegerType, tuple[int, int]] = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int4": (-8, 7),
    "uint4": (0, 15),
}


class InvalidScheme(ValueError):
    """The parts of a scheme contradict each other."""


@dataclass(frozen=True)
class Scheme:
    """Which integers a tensor may become. Raises InvalidScheme."""

    dtype: IntegerType
    granularity: Granularity
    q_min: int
    q_max: int
    scale_rule: ScaleRule
    group_size: int | None = None
    """How many neighbours share a scale: per_group only."""

    def __post_init__(self) -> None:
        low, high = _LIMITS[self.dtype]
        if not low <= self.q_min < self.q_max <= high:
            sentence = f"The codes {self.q_min}..{self.q_max} are not a range within {self.dtype}, {low}..{high}."
            raise InvalidScheme(sentence)
        if self.symmetric and not self.q_min < self.middle < self.q_max:
            sentence = f"{self.scale_rule} needs codes on both sides of {self.middle}; got {self.q_min}..{self.q_max}."
            raise InvalidScheme(sentence)
        if (self.granularity == "per_group") != (self.group_size is not None):
            raise InvalidScheme("A group_size goes with per_group, and with nothing else.")
        if self.group_size is not None and self.group_size < 1:
            raise InvalidScheme(f"A group has at least one value; got a group_size of {self.group_size}.")

    @property
    def symmetric(self) -> bool:
        """Whether the zero point is fixed, so that x and -x get opposite codes."""
        return self.scale_rule != "range_over_steps"

    @property
    def middle(self) -> int:
        """The zero point of a symmetric scheme: 0, or 128 of the codes 0..255."""
        low, _ = _LIMITS[self.dtype]
        return 0 if low < 0 else (self.q_min + self.q_max + 1) // 2

    @property
    def storage(self) -> Literal["int8", "uint8"]:
        """The numpy type of unpacked codes: numpy has no 4-bit integers."""
        return "uint8" if self.dtype.startswith("u") else "int8"


UINT8_ACTIVATIONS = Scheme("uint8", "per_tensor", 0, 255, "range_over_steps")

# TensorRT multiplies int8 by int8 and knows no zero point: one scale, both signs.
INT8_ACTIVATIONS = Scheme("int8", "per_tensor", -128, 127, "absmax_over_q_max")

# -128 stays unused, so that negating a code never overflows and both signs have the same reach.
INT8_WEIGHTS = Scheme("int8", "per_tensor", -127, 127, "absmax_over_q_max")

# In 4 bits the code -8 is one of sixteen: too many to leave empty.
INT4_WEIGHTS = Scheme("int4", "per_group", -8, 7, "absmax_over_half_range", group_size=32)

# A group of 32 rarely has its zero in the middle, and four bits of zero point cost little beside a scale.
UINT4_WEIGHTS = Scheme("uint4", "per_group", 0, 15, "range_over_steps", group_size=32)

PRESETS = {
    "uint8_activations": UINT8_ACTIVATIONS,
    "int8_activations": INT8_ACTIVATIONS,
    "int8_weights": INT8_WEIGHTS,
    "int4_weights": INT4_WEIGHTS,
    "uint4_weights": UINT4_WEIGHTS,
}


def weight_scheme(*, per_channel: bool) -> Scheme:
    """The scheme of weights for kernels that multiply integers of eight bits."""
    return replace(INT8_WEIGHTS, granularity="per_axis" if per_channel else "per_tensor")
