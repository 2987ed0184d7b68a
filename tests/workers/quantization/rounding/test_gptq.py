"""Rounding for the sake of the layer's output."""

import numpy as np
import pytest

from workers.quantization.rounding.gptq import gptq_codes
from workers.quantization.rounding.pair_limit import breaks_pair_limit


def correlated(rows: int, columns: int, *, seed: int = 0) -> np.ndarray:
    """Inputs whose channels depend on each other, as those of real layers do."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, columns)) @ rng.standard_normal((columns, columns)) ** 3).astype(np.float32)


def output_error(x: np.ndarray, rows: np.ndarray, codes: np.ndarray, scale: np.ndarray) -> float:
    return float(np.square(x @ (rows - codes * scale[:, np.newaxis]).T).sum())


def nearest(rows: np.ndarray, scale: np.ndarray, q: int) -> np.ndarray:
    return np.clip(np.rint(rows / scale[:, np.newaxis]), -q, q)


@pytest.mark.parametrize("q", [127, 7])
@pytest.mark.parametrize("columns", [3, 64, 131])
def test_the_output_suffers_less_than_from_rounding_to_the_nearest(columns: int, q: int) -> None:
    x = correlated(1000, columns)
    rows = np.random.default_rng(1).standard_normal((16, columns)).astype(np.float32)
    scale = np.abs(rows).max(axis=1) / q
    hessian = x.astype(np.float64).T @ x
    codes = gptq_codes(rows, scale, hessian, q_min=-q, q_max=q, limit_pairs=False)
    assert output_error(x, rows, codes, scale) < output_error(x, rows, nearest(rows, scale, q), scale)


def test_the_blocked_form_equals_the_published_algorithm_one_column_at_a_time() -> None:
    """Algorithm 1 with act-order, written without blocks: 200 columns span two blocks of 128."""
    x = correlated(500, 200)
    rows = np.random.default_rng(2).standard_normal((4, 200)).astype(np.float32)
    scale = np.abs(rows).max(axis=1) / 127
    hessian = x.astype(np.float64).T @ x
    order = np.argsort(-np.diag(hessian), kind="stable")
    h = hessian[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(h + 0.01 * np.diag(h).mean() * np.eye(200))).T
    left, expected = rows[:, order].astype(np.float64), np.zeros((4, 200))
    for i in range(200):
        expected[:, i] = np.clip(np.rint(left[:, i] / scale), -127, 127)
        error = (left[:, i] - scale * expected[:, i]) / factor[i, i]
        left[:, i + 1 :] -= np.outer(error, factor[i, i + 1 :])
    codes = gptq_codes(rows, scale, hessian, q_min=-127, q_max=127, limit_pairs=False)[:, order]
    assert np.mean(codes != expected) < 0.01  # float32 against float64: a few ties fall the other way


def test_inputs_that_do_not_depend_on_each_other_leave_rounding_to_the_nearest() -> None:
    rows = np.random.default_rng(3).standard_normal((5, 9)).astype(np.float32)
    scale = np.abs(rows).max(axis=1) / 127
    codes = gptq_codes(rows, scale, np.diag(np.arange(1.0, 10.0)), q_min=-127, q_max=127, limit_pairs=False)
    np.testing.assert_array_equal(codes, nearest(rows, scale, 127))


def test_limited_pairs_hold_even_where_earlier_errors_pile_up() -> None:
    x = correlated(300, 33)
    rows = np.abs(np.random.default_rng(4).standard_normal((8, 33))).astype(np.float32)
    scale = np.abs(rows).max(axis=1) / 127  # no reach for pairs: the limit has to do all of the work
    hessian = x.astype(np.float64).T @ x
    free = gptq_codes(rows, scale, hessian, q_min=-127, q_max=127, limit_pairs=False)
    limited = gptq_codes(rows, scale, hessian, q_min=-127, q_max=127, limit_pairs=True)
    assert breaks_pair_limit(free)
    assert not breaks_pair_limit(limited)


@pytest.mark.parametrize("hessian", [np.zeros((4, 4)), np.ones((4, 4)), np.diag([1.0, 0.0, 1e12, 0.0])])
def test_inputs_that_say_nothing_do_not_break_it(hessian: np.ndarray) -> None:
    rows = np.array([[1.0, -0.5, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    codes = gptq_codes(rows, np.float32([1 / 127, 1.0]), hessian, q_min=-127, q_max=127, limit_pairs=True)
    np.testing.assert_allclose(codes[0] / 127, rows[0], atol=1 / 127)
    assert not codes[1].any()
