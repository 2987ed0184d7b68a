from pathlib import Path

import numpy as np
import onnx
import pytest

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipe import PRESETS
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline.candidates import Candidate, build_candidates
from workers.pipeline.protocol import QuantizeTask
from workers.pipeline.reporter import Reporter
from workers.quantization.observers import FloatBitsObserver
from workers.targets.onnxruntime_cpu import prepare


def candidates_of(folder: Path, reporter: Reporter, *percentiles: float) -> tuple[Candidate, ...]:
    recipe = PRESETS["int8-balanced"].model_copy(update={"percentiles": percentiles})
    task = QuantizeTask(
        model="m", calibration="c", model_name="m.onnx", target="onnxruntime-cpu", recipe=recipe,
        objective=Objective(), benchmark=Benchmark(), threads=1,
    )  # fmt: skip
    prepared = prepare(two_matmuls(), recipe)
    statistics = {name: FloatBitsObserver() for name in prepared.placement.observed}
    for observer in statistics.values():
        observer.observe(np.linspace(-1.0, 1.0, 100, dtype=np.float32))
    return build_candidates(prepared, statistics, task, folder, reporter)


def test_percentiles_that_differ_in_the_last_digit_keep_files_of_their_own(tmp_path: Path, reporter: Reporter) -> None:
    found = candidates_of(tmp_path, reporter, 99.99991, 99.99992, 99.9999999)
    assert [c.key for c in found] == ["p99.99991", "p99.99992", "p99.9999999"]
    assert {p.name for p in tmp_path.iterdir()} == {f"m_int8_{c.key}.onnx" for c in found}
    for candidate in found:
        facts = {p.key: p.value for p in onnx.load(candidate.path).metadata_props}
        assert float(facts["lowbit.percentile"]) == candidate.percentile


@pytest.mark.parametrize(
    ("percentile", "key", "label"),
    [
        (90.0, "p90", "int8 percentile 90"),
        (99.9, "p99.9", "int8 percentile 99.9"),
        (99.9999999, "p99.9999999", "int8 percentile 99.9999999"),
        (100.0, "minmax", "int8 min-max"),
    ],
)
def test_a_candidate_is_called_after_its_percentile(
    tmp_path: Path, reporter: Reporter, percentile: float, key: str, label: str
) -> None:
    (found,) = candidates_of(tmp_path, reporter, percentile)
    assert (found.key, found.label) == (key, label)
