"""The choice of factors: what it predicts is compared with what rounding really costs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.quantization.affine import choose_qparams, choose_weight_qparams, fake_quantize
from workers.quantization.scheme import UINT8_ACTIVATIONS, weight_scheme
from workers.quantization.smoothing import (
    HEADROOMS,
    NEAREST_SHARE,
    ChannelStatistics,
    choose_smoothing,
    predicted_noise,
    smoothing_factors,
)

K, N, ROWS = 48, 32, 512


def tensor(seed: int = 0, *, outliers: Any = (5, 17), strength: float = 40.0, shift: float = 0.0) -> Any:
    x = np.random.default_rng(seed).normal(shift, 1.0, size=(ROWS, K)).astype(np.float32)
    x[:, list(outliers)] *= strength
    return x


def matrix(seed: int = 1, columns: int = N) -> Any:
    return (np.random.default_rng(seed).normal(size=(K, columns)) * 0.1).astype(np.float32)


def statistics(x: Any) -> ChannelStatistics:
    wide = x.astype(np.float64)
    return ChannelStatistics(wide.min(axis=0), wide.max(axis=0), np.square(wide).mean(axis=0))


def measured_noise(x: Any, w: Any, factors: Any) -> float:
    """Mean over rows of || Q(x / s) Q(s W) - x W ||^2, by really rounding both: uint8 and int8 per column."""
    divided, scaled = (x / factors).astype(np.float32), (w * factors[:, np.newaxis]).astype(np.float32)
    rounded = fake_quantize(divided, choose_qparams(divided.min(), divided.max(), UINT8_ACTIVATIONS))
    per_column = weight_scheme(per_channel=True)
    weight = fake_quantize(scaled, choose_weight_qparams(scaled, per_column, axis=1))
    error = rounded.astype(np.float64) @ weight - x.astype(np.float64) @ w
    return float(np.square(error).sum(axis=1).mean())


def db(ratio: float) -> float:
    return 10.0 * float(np.log10(ratio))


@pytest.mark.parametrize("seed", range(4))
# not (200, 1.5): a step of 6 turns all other values into zeros, and errors of one sign add up in a product
@pytest.mark.parametrize(("strength", "shift"), [(10.0, 0.0), (40.0, 0.0), (200.0, 0.0), (10.0, 1.5), (40.0, 1.5)])
def test_an_outlier_channel_is_smoothed_and_the_gain_comes_true(seed: int, strength: float, shift: float) -> None:
    x, w = tensor(seed, strength=strength, shift=shift), matrix(seed + 100)
    found = choose_smoothing(statistics(x), [w], weight_share=NEAREST_SHARE)
    assert found is not None
    gain = db(measured_noise(x, w, np.ones(K, np.float32)) / measured_noise(x, w, found.factors))
    assert gain == pytest.approx(found.gain_db, abs=1.5)
    assert gain > 1.0
    others = np.delete(found.factors, [5, 17])
    assert found.factors[[5, 17]].min() > others.max()


@pytest.mark.parametrize("factors", [np.ones(K), np.geomspace(0.1, 10.0, K)], ids=["plain", "skewed"])
def test_the_predicted_noise_is_the_noise_of_really_rounding(factors: Any) -> None:
    x, w = tensor(7, strength=20.0), matrix(8)
    predicted = predicted_noise(statistics(x), w.astype(np.float64), factors, weight_share=NEAREST_SHARE)
    assert db(measured_noise(x, w, factors.astype(np.float32)) / predicted) == pytest.approx(0.0, abs=1.5)


def test_values_far_below_half_a_step_lose_no_more_than_themselves() -> None:
    # one channel sets a step of 2000 / 255 = 7.8, all others are below 0.5: they become zero
    x = np.random.default_rng(0).uniform(-0.5, 0.5, size=(ROWS, K)).astype(np.float32)
    x[:, 0] = np.random.default_rng(1).choice([-1000.0, 1000.0], ROWS)
    w = matrix()
    w[0] = 0.0
    predicted = predicted_noise(statistics(x), w.astype(np.float64), np.ones(K), weight_share=NEAREST_SHARE)
    # sum over k of E[x_k^2] ||W_k||^2 with E[x^2] = 1/12 for a uniform x of width 1
    lost = float(np.square(w, dtype=np.float64).sum()) / 12.0
    assert predicted == pytest.approx(lost, rel=0.1)


def test_equal_channels_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    values, row = rng.normal(size=ROWS), rng.normal(size=N)
    x = np.stack([rng.permutation(values) for _ in range(K)], axis=1).astype(np.float32)
    w = np.stack([rng.permutation(row) for _ in range(K)]).astype(np.float32)
    assert choose_smoothing(statistics(x), [w], weight_share=NEAREST_SHARE) is None


@pytest.mark.parametrize("silent", ["x", "w", "both"])
def test_nothing_to_multiply_is_left_alone(silent: str) -> None:
    x = np.zeros((ROWS, K), np.float32) if silent in {"x", "both"} else tensor()
    w = np.zeros((K, N), np.float32) if silent in {"w", "both"} else matrix()
    assert choose_smoothing(statistics(x), [w], weight_share=NEAREST_SHARE) is None


def test_dead_channels_keep_the_factor_one() -> None:
    x, w = tensor(), matrix()
    x[:, 3] = 0.0
    w[9] = 0.0
    found = choose_smoothing(statistics(x), [w], weight_share=NEAREST_SHARE)
    assert found is not None
    assert found.factors[[3, 9]].tolist() == [1.0, 1.0]
    assert (found.factors > 0.0).all()
    assert np.isfinite(found.factors).all()


def test_several_readers_are_weighed_together() -> None:
    x, one, two = tensor(), matrix(1), matrix(2, columns=5)
    together = choose_smoothing(statistics(x), [one, two], weight_share=NEAREST_SHARE)
    joined = choose_smoothing(statistics(x), [np.concatenate([one, two], axis=1)], weight_share=NEAREST_SHARE)
    assert together is not None
    assert joined is not None
    assert together.factors.tolist() == joined.factors.tolist()


def test_an_alpha_that_is_asked_for_is_taken_whatever_it_costs() -> None:
    x = tensor(outliers=())
    found = choose_smoothing(statistics(x), [matrix()], weight_share=NEAREST_SHARE, alphas=(0.9,), worth_db=-np.inf)
    assert found is not None
    assert found.alpha == 0.9


@given(alpha=st.floats(0.0, 1.0), seed=st.integers(0, 50))
def test_factors_follow_the_papers_formula_with_a_geometric_mean_of_one(alpha: float, seed: int) -> None:
    x, w = tensor(seed), matrix(seed)
    factors = smoothing_factors(statistics(x), w.astype(np.float64), alpha=alpha)
    # equation 4: max|X_j|^alpha / max|W_j|^(1 - alpha), channel by channel
    raw = np.array(
        [float(np.abs(x[:, k]).max()) ** alpha / float(np.abs(w[k]).max()) ** (1.0 - alpha) for k in range(K)]
    )
    np.testing.assert_allclose(factors / factors[0], raw / raw[0], rtol=1e-9)
    assert np.log(factors).mean() == pytest.approx(0.0, abs=1e-9)


def of_rows(x: Any) -> ChannelStatistics:
    return replace(statistics(x), rows=float(len(x)))


def noise_on_new_rows(x: Any, w: Any, factors: Any, headroom: float) -> float:
    """Of 20,000 rows of normal numbers, rounded over the range of x with so much headroom; of the activations alone."""
    seen = x / factors
    fit = choose_qparams(headroom * seen.min(), headroom * seen.max(), UINT8_ACTIVATIONS)
    new = np.random.default_rng(99).normal(size=(20_000, K)) * x.std(axis=0)
    error = fake_quantize((new / factors).astype(np.float32), fit).astype(np.float64) - new / factors
    return float(np.square((error * factors) @ w).sum(axis=1).mean())


@pytest.mark.parametrize("rows", [32, 64, 128, 512])
def test_headroom_makes_up_for_rows_that_were_not_seen(rows: int) -> None:
    x = np.random.default_rng(rows).normal(size=(rows, K)) * np.geomspace(0.2, 20.0, K)
    found = choose_smoothing(of_rows(x), [matrix()], weight_share=NEAREST_SHARE)
    assert found is not None
    assert found.headroom > 1.0
    without, with_it = (noise_on_new_rows(x, matrix(), found.factors, room) for room in (1.0, found.headroom))
    assert with_it < without
    # within 3 dB of the best that any headroom gives
    best = min(noise_on_new_rows(x, matrix(), found.factors, room) for room in HEADROOMS)
    assert with_it < 2.0 * best


def test_the_more_rows_were_seen_the_less_headroom_is_left() -> None:
    spread = np.geomspace(0.2, 20.0, K)
    found = [
        choose_smoothing(
            of_rows(np.random.default_rng(1).normal(size=(rows, K)) * spread), [matrix()], weight_share=1.0
        )
        for rows in (32, 256, 2048, 50_000)
    ]
    rooms = [one.headroom for one in found if one is not None]
    assert len(rooms) == 4
    assert rooms == sorted(rooms, reverse=True)
    assert rooms[0] > 1.3
    assert rooms[-1] == 1.0


def test_rare_large_values_ask_for_more_headroom_than_normal_ones() -> None:
    rng = np.random.default_rng(0)
    shapes = [rng.normal(size=(256, K)), rng.laplace(size=(256, K)), rng.standard_t(3, size=(256, K))]
    spread = np.geomspace(0.2, 20.0, K)
    found = [choose_smoothing(of_rows(x * spread), [matrix()], weight_share=1.0, worth_db=-np.inf) for x in shapes]
    rooms = [one.headroom for one in found if one is not None]
    assert rooms[0] < rooms[1] <= rooms[2]


@pytest.mark.parametrize("rows", [0.0, 1.0, 2.0])
def test_hardly_any_rows_are_no_reason_to_fail(rows: float) -> None:
    x = tensor()
    x[:, 7] = np.abs(x[:, 7])  # never below zero
    found = choose_smoothing(replace(statistics(x), rows=rows), [matrix()], weight_share=1.0, worth_db=-np.inf)
    assert found is not None
    assert np.isfinite(found.gain_db)
