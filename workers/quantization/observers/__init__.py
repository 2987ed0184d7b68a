"""Statistics of a tensor, gathered while the data streams past once; `ranges` asks the questions later."""

from workers.quantization.observers.buckets import BUCKETS, ascending_buckets, ascending_edges, bucket_edges
from workers.quantization.observers.channels import ChannelObserver, ChannelsDiffer
from workers.quantization.observers.convolution_rows import GroupsDoNotDivide, Window, convolution_rows
from workers.quantization.observers.float_bits import FloatBitsObserver
from workers.quantization.observers.moving_average import MovingAverageObserver
from workers.quantization.observers.padding import MaskDoesNotFit, PaddingTally, RealTokens
from workers.quantization.observers.second_moments import ColumnsDiffer, SecondMomentObserver, linear_rows
from workers.quantization.observers.stored import Arrays, StoredStatisticsInvalid

__all__ = [
    "BUCKETS",
    "Arrays",
    "ChannelObserver",
    "ChannelsDiffer",
    "ColumnsDiffer",
    "FloatBitsObserver",
    "GroupsDoNotDivide",
    "MaskDoesNotFit",
    "MovingAverageObserver",
    "PaddingTally",
    "RealTokens",
    "SecondMomentObserver",
    "StoredStatisticsInvalid",
    "Window",
    "ascending_buckets",
    "ascending_edges",
    "bucket_edges",
    "convolution_rows",
    "linear_rows",
]
