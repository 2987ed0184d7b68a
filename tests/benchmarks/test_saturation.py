"""The weights of the saturation experiment are what they are said to be, and its stored figures those of its cases."""

import json

import numpy as np
import pytest

from benchmarks.saturation import (
    CASES,
    RESULTS,
    WEIGHTS,
    Case,
    full_8_bit,
    limited_pairs,
    seven_bit,
    shifted_pairs,
    wrong_results,
)
from workers.quantization.rounding.pair_limit import breaks_pair_limit

PRODUCT = Case("MatMul", (64, 32), batch=2)
CONVOLUTION = Case("Conv", (16, 5, 3, 3))


def _rows(case: Case, codes):
    return case.layout.rows(codes).astype(np.int8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_limited_and_seven_bit_weights_keep_the_limit_and_the_others_break_it(case: Case) -> None:
    assert not breaks_pair_limit(_rows(case, limited_pairs(case)))
    assert not breaks_pair_limit(_rows(case, seven_bit(case)))
    assert breaks_pair_limit(_rows(case, full_8_bit(case)))
    assert breaks_pair_limit(_rows(case, shifted_pairs(case)))


def test_limited_pairs_use_the_limit_up() -> None:
    # 1 + 127 = 128 in one channel, -1 - 127 = -128 in the next: 255 * 128 = 32640, and 32767 is what 16 bits hold
    rows = _rows(CONVOLUTION, limited_pairs(CONVOLUTION))
    assert rows.shape == (16, 45)
    assert (rows[0, :44].reshape(-1, 2).sum(axis=1) == 128).all()
    assert (rows[1, :44].reshape(-1, 2).astype(np.int16).sum(axis=1) == -128).all()


def test_shifting_the_limited_weights_by_one_column_gives_the_shifted_ones() -> None:
    limited, shifted = (_rows(CONVOLUTION, make(CONVOLUTION)) for make in (limited_pairs, shifted_pairs))
    np.testing.assert_array_equal(limited[:, 1:], shifted[:, :-1])


def test_the_neighbours_of_a_convolution_are_its_input_channels() -> None:
    weight = limited_pairs(CONVOLUTION)  # [16, 5, 3, 3]
    assert weight[0, :, 0, 0].tolist() == [1, 127, 127, 1, 1]
    assert weight[0, 0, 0, 1] == 127  # the row goes on with the next position


@pytest.mark.parametrize("case", [PRODUCT, CONVOLUTION], ids=["product", "convolution"])
def test_results_of_weights_that_cannot_saturate_are_exact_on_every_processor(case: Case) -> None:
    assert wrong_results(case, limited_pairs(case)) == 0
    assert wrong_results(case, seven_bit(case)) == 0


@pytest.mark.parametrize("kind", ["native", "without_vnni"])
def test_the_stored_figures_are_of_these_cases_and_clear_the_limited_weights(kind: str) -> None:
    stored = json.loads(RESULTS.read_text())["wrong_results"][kind]
    assert list(stored) == [case.name for case in CASES]
    for counts in stored.values():
        assert list(counts) == list(WEIGHTS)
        assert counts["limited_pairs"] == counts["seven_bit"] == 0


def test_the_stored_figures_show_what_breaks_the_limit() -> None:
    found = json.loads(RESULTS.read_text())["wrong_results"]["without_vnni"]
    exact = {name for name, counts in found.items() if counts["full_8_bit"] == 0}
    # one input channel for each output channel, and nothing else
    assert exact == {case.name for case in CASES if case.group == case.shape[0]}
    assert all(found[name]["shifted_pairs"] > 0 for name in found if name not in exact)
