"""Every range that one tensor's statistics suggest, by name; which of them is best is measured elsewhere."""

from collections.abc import Collection, Sequence
from typing import Literal

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges.entropy import entropy_range
from workers.quantization.ranges.extremes import Range, min_max_range
from workers.quantization.ranges.mse import mse_range
from workers.quantization.ranges.percentile import percentile_ranges
from workers.quantization.scheme import Scheme

RangeMethod = Literal["min_max", "percentile", "entropy", "mse"]

ALL_METHODS: tuple[RangeMethod, ...] = ("min_max", "percentile", "entropy", "mse")
PERCENTILES = (99.9, 99.99, 99.999)


def candidate_ranges(
    observed: FloatBitsObserver,
    methods: Collection[RangeMethod] = ALL_METHODS,
    *,
    percentiles: Sequence[float] = PERCENTILES,
    scheme: Scheme,
) -> dict[str, Range]:
    """Ranges by name, in the order of `methods`: min_max, percentile_99.9, .., entropy, mse.

    The scheme is the one that the range is for; only mse depends on it.
    """
    found: dict[str, Range] = {}
    for method in methods:
        match method:
            case "min_max":
                found[method] = min_max_range(observed)
            case "percentile":
                named = zip(percentiles, percentile_ranges(observed, percentiles), strict=True)
                found |= {f"percentile_{_spelled(percentile)}": span for percentile, span in named}
            case "entropy":
                found[method] = entropy_range(observed)
            case "mse":
                found[method] = mse_range(observed, scheme)
    return found


def _spelled(percentile: float) -> str:
    """All digits: rounded, two percentiles could share a name."""
    return repr(float(percentile)).removesuffix(".0")
