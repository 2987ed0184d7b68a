"""Figures of speed from times that are known: sessions that take as long as they say."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pytest

from app.contracts.objective import Benchmark
from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.evaluation.benchmark import benchmark
from workers.pipeline.evaluation.interleaving import MIN_ROUNDS
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import RuntimeRefused

AT_ONCE = 0.000001
"""Seconds: as many rounds as there have to be."""


class Timed:
    """Says that its runs take these milliseconds, for each row that it is given."""

    name, inputs, outputs = "timed", ("x",), ("y",)

    def __init__(self, *milliseconds: float, most_rows: int = 100) -> None:
        self.milliseconds, self.most_rows = milliseconds, most_rows

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        if len(feeds["x"]) > self.most_rows:
            raise RuntimeRefused("too many rows")
        return {}

    def timed(self, feeds: Mapping[str, Any]) -> Callable[[], float]:
        times = cycle(self.milliseconds)
        return lambda: next(times) * len(feeds["x"])


@pytest.fixture
def feeder(npz: Any, reporter: Reporter) -> Feeder:
    x = np.zeros((3, 2, 16), np.float32)
    return feeder_for(describe(two_matmuls()), open_archive(npz(x=x)), reporter)


def asked(*sizes: int) -> Benchmark:
    return Benchmark(batch_sizes=sizes, duration_s=0.1).model_copy(update={"duration_s": AT_ONCE})


def test_speed_is_the_median_of_the_float_model_over_that_of_the_candidate(feeder: Feeder, reporter: Reporter) -> None:
    sessions = {"float": Timed(6.0), "fast": Timed(2.0), "slow": Timed(12.0)}
    found = benchmark(sessions, feeder, asked(1, 4), reporter, baseline="float")
    assert {key: [entry.speedup for entry in entries] for key, entries in found.items()} == {
        "float": [1.0, 1.0], "fast": [3.0, 3.0], "slow": [0.5, 0.5],
    }  # fmt: skip
    assert [(entry.batch_size, entry.latency_ms.p50) for entry in found["fast"]] == [(1, 2.0), (4, 8.0)]
    assert {entry.rounds for entries in found.values() for entry in entries} == {MIN_ROUNDS}


def test_the_figures_of_a_candidate_are_those_of_its_rounds(feeder: Feeder, reporter: Reporter) -> None:
    # ten rounds after two of warm-up: 1 and 3 ms in turns
    (found,) = benchmark({"float": Timed(1.0, 3.0)}, feeder, asked(1), reporter, baseline="float")["float"]
    latency = found.latency_ms
    assert (latency.p50, latency.p90, latency.p99, latency.mean, latency.std) == (2.0, 3.0, 3.0, 2.0, 1.0)


def test_a_size_that_is_asked_for_twice_is_measured_once(feeder: Feeder, reporter: Reporter) -> None:
    found = benchmark({"float": Timed(1.0)}, feeder, asked(2, 1, 2), reporter, baseline="float")
    assert [entry.batch_size for entry in found["float"]] == [2, 1]


def test_a_size_that_some_model_cannot_run_is_measured_for_none(feeder: Feeder, reporter: Reporter) -> None:
    sessions = {"float": Timed(1.0), "small": Timed(1.0, most_rows=2)}
    found = benchmark(sessions, feeder, asked(1, 8), reporter, baseline="float")
    assert {key: [entry.batch_size for entry in entries] for key, entries in found.items()} == {
        "float": [1], "small": [1],
    }  # fmt: skip
    assert [warning.code for warning in reporter.warnings] == ["batch_size_skipped"]
    assert "batch of 8" in reporter.warnings[0].detail


def test_a_model_of_a_fixed_batch_is_measured_with_that(npz: Any, reporter: Reporter) -> None:
    model = two_matmuls()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    fixed = feeder_for(describe(model), open_archive(npz(x=np.zeros((4, 2, 16), np.float32))), reporter)
    found = benchmark({"float": Timed(1.0)}, fixed, asked(1, 4), reporter, baseline="float")
    assert [entry.batch_size for entry in found["float"]] == [4]
    assert ["Batch size 1 was not measured" in warning.detail for warning in reporter.warnings] == [True]
