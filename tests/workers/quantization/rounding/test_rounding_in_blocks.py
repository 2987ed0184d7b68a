from typing import Any

import numpy as np
import pytest

from workers.quantization.error_metrics import sqnr_db
from workers.quantization.rounding import rounded_weight
from workers.quantization.rounding.rounded_weight import round_weight
from workers.quantization.scheme import weight_scheme


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((31, 17), 1), ((31, 17), 0), ((5, 3, 3, 3), 0), ((1, 400), 0)])
def test_large_weights_get_the_same_codes_in_blocks(monkeypatch: Any, shape: Any, axis: int, limited: bool) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    scheme = weight_scheme(per_channel=True)
    whole = round_weight(weight, scheme, axis=axis, limited=limited)
    monkeypatch.setattr(rounded_weight, "_BLOCK_BYTES", 200)
    blocks = round_weight(weight, scheme, axis=axis, limited=limited)
    np.testing.assert_array_equal(blocks.codes, whole.codes)
    np.testing.assert_array_equal(blocks.qparams.scale, whole.qparams.scale)
    np.testing.assert_array_equal(blocks.qparams.zero_point, whole.qparams.zero_point)
    assert (blocks.limited_pairs, blocks.qparams.axis) == (limited, whole.qparams.axis)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((31, 17), 1), ((31, 17), 0), ((5, 3, 3, 3), 0), ((1, 400), 0)])
def test_the_figure_is_the_same_in_blocks(monkeypatch: Any, shape: Any, axis: int, per_channel: bool) -> None:
    weight = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    rounded = round_weight(weight, weight_scheme(per_channel=per_channel), axis=axis, limited=True)
    expected = sqnr_db(weight, rounded.dequantized())
    monkeypatch.setattr(rounded_weight, "_BLOCK_BYTES", 200)
    assert rounded.sqnr_db(weight) == pytest.approx(expected, abs=1e-9)
