"""From statistics to the range that a tensor's codes should cover."""

from workers.quantization.ranges.candidates import ALL_METHODS, RangeMethod, candidate_ranges
from workers.quantization.ranges.entropy import entropy_range
from workers.quantization.ranges.extremes import Range, channel_ranges, min_max_range
from workers.quantization.ranges.mse import mse_range
from workers.quantization.ranges.percentile import percentile_range, percentile_ranges
from workers.quantization.ranges.weights import weight_mse_ranges

__all__ = [
    "ALL_METHODS",
    "Range",
    "RangeMethod",
    "candidate_ranges",
    "channel_ranges",
    "entropy_range",
    "min_max_range",
    "mse_range",
    "percentile_range",
    "percentile_ranges",
    "weight_mse_ranges",
]
