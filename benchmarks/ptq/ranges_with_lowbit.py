"""What Lowbit's calibration costs by itself: full statistics from one pass, and every range from them.

Histograms, moving averages and the extremes of each channel. Hessians are left out: GPTQ rounds by them, no range does.
"""

import io
import json
import sys
import time
from pathlib import Path

from app.contracts.recipes.static import StaticRecipe
from benchmarks.assignment import MEASURED_FILE, Calibration
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.methods.static.calibration import calibrate as observe
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.sensitivity.division import Division
from workers.protocol.gathering import gathering, graph_wish
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import quiet_logs
from workers.quantization.ranges import candidate_ranges, channel_ranges, min_max_range
from workers.quantization.scheme import UINT8_ACTIVATIONS
from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu

_RECIPE = StaticRecipe(preset="int8-fast", calibration_method="moving_average", smoothquant_alpha="auto")


def calibrate(told: Calibration) -> None:
    """Write how long the search for ranges took, for each tensor."""
    statistics = _observed(told)
    started = time.perf_counter()
    find_every_range(statistics)
    milliseconds = (time.perf_counter() - started) * 1000.0
    count = len(statistics.tensors)
    measured = {"tensors": count, "range_search_ms_per_tensor": milliseconds / count}
    Path(told.folder, MEASURED_FILE).write_text(json.dumps(measured), encoding="utf-8")


def find_every_range(statistics: Statistics) -> None:
    """Min-max, percentiles, entropy, MSE, moving average, and min-max of each channel."""
    for name in statistics.tensors:
        candidate_ranges(statistics.ranges[name], scheme=UINT8_ACTIVATIONS)
        min_max_range(statistics.averages[name])
    for channels in statistics.channels.values():
        channel_ranges(channels)


def _observed(told: Calibration) -> Statistics:
    reporter = Reporter(io.StringIO())
    model = load_model(Path(told.model))
    target = OnnxRuntimeCpu()
    prepared = target.prepare(model, None, graph_wish(_RECIPE), target.schemes(per_channel=_RECIPE.per_channel))
    feeder = feeder_for(describe(model), open_archive(Path(told.archive)), reporter)
    found = empty_statistics(prepared.model.graph, prepared.placement, gathering(_RECIPE))
    division = Division.undivided(feeder, limit=told.samples)
    observe(prepared, feeder, reporter, parts=[found], division=division, threads=told.threads)
    return found


if __name__ == "__main__":
    quiet_logs()
    calibrate(Calibration(**json.loads(sys.argv[1])))
