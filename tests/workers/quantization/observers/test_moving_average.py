from typing import Any

import numpy as np
import pytest
import torch
from torch.ao.quantization import MovingAverageMinMaxObserver

from workers.quantization.observers import MovingAverageObserver


def observed(*batches: Any) -> MovingAverageObserver:
    observer = MovingAverageObserver()
    for batch in batches:
        observer.observe(np.asarray(batch, np.float32))
    return observer


def test_it_is_torchs_to_the_rounding_of_a_float32() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(scale=scale, size=50).astype(np.float32) for scale in rng.uniform(0.5, 3.0, size=100)]
    theirs = MovingAverageMinMaxObserver(averaging_constant=0.01)
    for batch in batches:
        theirs(torch.from_numpy(batch))
    ours = observed(*batches)
    assert ours.low == pytest.approx(float(theirs.min_val), rel=1e-5)
    assert ours.high == pytest.approx(float(theirs.max_val), rel=1e-5)


def test_it_is_the_closed_form_of_the_geometric_sum() -> None:
    highs = [4.0, 1.0, 2.0]
    # 0.99^2 * 4 + 0.01 * 0.99 * 1 + 0.01 * 2
    assert observed(*[[0.0, h] for h in highs]).high == pytest.approx(3.9204 + 0.0099 + 0.02)


def test_the_order_of_the_batches_matters() -> None:
    assert observed([0.0, 1.0], [0.0, 2.0]).high != observed([0.0, 2.0], [0.0, 1.0]).high


def test_two_of_them_cannot_be_added() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        observed() + observed()  # type: ignore[operator]


def test_bad_values_and_empty_batches_change_nothing_but_their_counts() -> None:
    seen = observed([], [np.nan, np.inf], [1.0, 2.0, np.nan], [-3.4e38], [])
    assert (seen.low, seen.high, seen.batches) == (1.0, 2.0, 1)
    assert (seen.nonfinite, seen.huge) == (3, 1)
