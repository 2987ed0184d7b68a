import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contracts.problem import ProblemFound
from workers.pipeline.dataset_inspection import inspect_dataset
from workers.pipeline.protocol import DatasetInspected
from workers.pipeline.reporter import Reporter

LIMIT = 1 << 30


def inspect(path: Path, reporter: Reporter) -> DatasetInspected:
    return inspect_dataset(path, max_unpacked_bytes=LIMIT, reporter=reporter)


def test_columns_are_described_with_their_statistics(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    flags = np.zeros(50, bool)
    found = inspect(npz(x=x, flags=flags, labels=np.arange(50)), reporter).inspection
    columns = {c.name: c for c in found.columns}
    assert (found.num_samples, found.has_labels) == (50, True)
    assert columns["x"].shape == (50, 3)
    assert columns["x"].dtype == "float32"
    assert (columns["x"].min, columns["x"].max) == (float(x.min()), float(x.max()))
    assert columns["x"].mean == pytest.approx(float(x.mean(dtype=np.float64)))
    assert columns["flags"].min is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_found_with_its_sample(npz: Any, reporter: Reporter, value: Any) -> None:
    x = np.zeros((60, 1000), np.float32)
    x[41, 7] = value
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=x), reporter)
    assert found.value.problem.code == "calibration_nonfinite"
    assert "Sample 41 of x" in found.value.problem.detail
    assert found.value.problem.errors[0].entry == "x"


@pytest.mark.parametrize("labels", [np.zeros(40), np.zeros(40, bool), np.full(40, -1)])
def test_labels_are_integers_from_zero(npz: Any, reporter: Reporter, labels: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=np.zeros((40, 2)), labels=labels), reporter)
    assert found.value.problem.code == "labels_invalid"


LARGEST = float(np.finfo(np.float64).max)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.7e308] * 40, 1.7e308),
        ([-LARGEST] * 40, -LARGEST),
        ([LARGEST, -LARGEST] * 20, 0.0),
        ([LARGEST] * 3 + [0.0], LARGEST / 4 * 3),
        ([5e-324] * 40, 5e-324),
    ],
)
def test_values_whose_sum_no_float_holds_have_a_mean(npz: Any, reporter: Reporter, values: Any, mean: float) -> None:
    (column,) = inspect(npz(x=np.array(values)), reporter).inspection.columns
    assert (column.min, column.max) == (min(values), max(values))
    assert column.mean == pytest.approx(mean)


def test_the_mean_does_not_depend_on_where_the_pieces_end(npz: Any, reporter: Reporter) -> None:
    # three pieces of 2**19, 2**19 and 2 elements: of 1, of the largest and of its negative
    x = np.repeat([1.0, LARGEST, -LARGEST], [1 << 19, 1 << 19, 2])
    (column,) = inspect(npz(x=x), reporter).inspection.columns
    share = ((1 << 19) - 2) / x.size
    assert column.mean == pytest.approx(LARGEST * share)


def test_few_samples_pixels_and_constants_are_worth_a_warning(npz: Any, reporter: Reporter) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4)).astype(np.float32) + 1.0
    pixels[0, 0] = 255.0
    warnings = inspect(npz(x=pixels, c=np.ones(5, np.float32)), reporter).warnings
    assert {w.code for w in warnings} == {"few_samples", "unscaled_pixels", "constant_column"}


def test_memory_stays_flat_however_large_the_archive(npz: Any, reporter: Reporter) -> None:
    path = npz(x=np.ones((64, 1 << 18), np.float32))  # 64 MiB
    tracemalloc.start()
    inspect(path, reporter)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
