import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app.contracts.problem import ProblemFound
from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import prepared_for
from tests.workers.quantization.small_models import residual_cnn, two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import feeder_for
from workers.pipeline.methods.static.calibration import calibrate
from workers.pipeline.methods.static.statistics import Statistics, empty_statistics
from workers.pipeline.sensitivity.division import Division
from workers.protocol.gathering import gathering
from workers.protocol.reporter import Reporter


def fixed_batch(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    return model


def images(n: int) -> Any:
    return np.random.default_rng(3).normal(size=(n, 3, 8, 8)).astype(np.float32)


def statistics_of(model: onnx.ModelProto, path: Path, reporter: Reporter, *, limit: int | None = None) -> Statistics:
    feeder = feeder_for(describe(model), open_archive(path), reporter)
    recipe = PRESETS["int8-fast"]
    prepared = prepared_for(model, recipe)
    nothing = empty_statistics(prepared.model.graph, prepared.placement, gathering(recipe))
    division = Division.undivided(feeder, limit=limit)
    calibrate(prepared, feeder, reporter, parts=[nothing], division=division, threads=1)
    return nothing


def test_a_fixed_batch_is_filled_by_repeating_the_last_sample_and_says_so(npz: Any, reporter: Reporter) -> None:
    model = fixed_batch(residual_cnn(), 4)
    feeder = feeder_for(describe(model), open_archive(npz(x=images(6), labels=np.arange(6))), reporter)
    fed = list(feeder.batches(8))
    assert [f.rows for f in fed] == [4, 2]
    assert [len(f.feeds["x"]) for f in fed] == [4, 4]
    np.testing.assert_array_equal(fed[1].feeds["x"][3], fed[1].feeds["x"][1])
    assert fed[1].labels.tolist() == [4, 5]
    assert [w.code for w in reporter.warnings] == ["last_batch_padded"]


def test_samples_begin_again_where_a_batch_asks_for_more_than_there_are(npz: Any, reporter: Reporter) -> None:
    x = images(3)
    feeder = feeder_for(describe(residual_cnn()), open_archive(npz(x=x)), reporter)
    np.testing.assert_array_equal(feeder.rows_of_exactly(5)["x"], x[[0, 1, 2, 0, 1]])


def test_data_that_does_not_fit_is_refused(npz: Any, reporter: Reporter) -> None:
    with pytest.raises(ProblemFound) as found:
        feeder_for(describe(residual_cnn()), open_archive(npz(x=images(3).astype(np.float64))), reporter)
    assert found.value.problem.code == "calibration_dtype_mismatch"


def test_padding_a_fixed_batch_does_not_move_the_extremes(npz: Any, reporter: Reporter) -> None:
    path = npz(x=images(6))
    one, other = (statistics_of(fixed_batch(residual_cnn(), n), path, reporter).ranges for n in (4, 3))
    assert one
    for name in one:
        assert (one[name].low, one[name].high) == pytest.approx((other[name].low, other[name].high), rel=1e-5)


def test_statistics_of_inputs_are_exact_and_a_limit_is_honoured(npz: Any, reporter: Reporter, events: Any) -> None:
    x = images(20)
    found = statistics_of(residual_cnn(), npz(x=x), reporter, limit=11).ranges
    assert found["x"].total == x[:11].size
    assert (found["x"].low, found["x"].high) == (float(x[:11].min()), float(x[:11].max()))
    assert events()[-1] == {"event": "progress", "completed": 11, "total": 11, "unit": "samples"}


def test_a_model_that_turns_the_data_into_nan_is_refused_by_tensor(npz: Any, reporter: Reporter) -> None:
    x = np.full((2, 3, 16), 3e38, np.float32)
    with pytest.raises(ProblemFound) as found:
        statistics_of(two_matmuls(), npz(x=x), reporter)
    assert found.value.problem.code == "calibration_nonfinite"
    assert found.value.problem.errors[0].entry == "r"


def test_masks_are_set_apart_and_reported(npz: Any, reporter: Reporter) -> None:
    x = np.ones((2, 3, 16), np.float32)
    x[0, 0, 0] = -2.0e30
    found = statistics_of(two_matmuls(), npz(x=x), reporter).ranges
    assert (found["x"].low, found["x"].high, found["x"].huge) == (1.0, 1.0, 1)
    assert "1 values of x" in reporter.warnings[0].detail


CHILD = """
import io, sys
from pathlib import Path
from tests.workers.pipeline.feeding.test_feeding_and_calibration import statistics_of
from tests.workers.quantization.small_models import residual_cnn
from workers.protocol.reporter import Reporter
statistics_of(residual_cnn(), Path(sys.argv[1]), Reporter(io.StringIO()))
# not ru_maxrss: that never falls below what the parent had when it started this process
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]))
"""


def peak_kib(path: Path) -> int:
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_does_not_grow_with_the_number_of_samples(npz: Any) -> None:
    # all observed tensors of 16,384 samples together would take 16384 * 2,400 floats * 4 bytes = 157 MB
    few, many = peak_kib(npz("few.npz", x=images(64))), peak_kib(npz("many.npz", x=images(16_384)))
    assert many - few < 20 * 1024
