from typing import Any

import numpy as np
import pytest

from workers.quantization.observers import FloatBitsObserver, MaskDoesNotFit, PaddingTally


def numbered(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.float32])
def test_rows_of_real_tokens_are_kept_in_order(kind: Any) -> None:
    tokens = PaddingTally().read(np.array([[1, 1, 0], [1, 0, 0]], kind))
    x = numbered(2, 3, 2)
    expected = [[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]]
    assert tokens.rows(x).tolist() == expected
    assert tokens.rows(x.reshape(6, 2)).tolist() == expected


def test_tokens_may_have_no_features_or_many_axes() -> None:
    tokens = PaddingTally().read([[0, 1, 1]])
    assert tokens.rows(numbered(1, 3)).tolist() == [1.0, 2.0]
    assert tokens.rows(numbered(1, 3, 2, 5)).shape == (2, 2, 5)
    assert tokens.rows(numbered(1, 6)[:, ::2]).tolist() == [2.0, 4.0]  # a view


def test_ragged_batches_give_the_statistics_of_their_real_tokens() -> None:
    rng = np.random.default_rng(0)
    tally, padded, plain = PaddingTally(), FloatBitsObserver(), FloatBitsObserver()
    for longest in (3, 7, 5):
        lengths = rng.integers(1, longest + 1, size=4)
        x = rng.normal(size=(4, longest, 6)).astype(np.float32)
        for row, length in zip(x, lengths, strict=True):
            plain.observe(row[:length])
            row[length:] = 1e9
        padded.observe(tally.read(np.arange(longest) < lengths[:, np.newaxis]).rows(x))
    np.testing.assert_array_equal(padded.counts, plain.counts)
    assert (padded.low, padded.high) == (plain.low, plain.high)
    assert tally.real * 6 == plain.total
    assert tally.real + tally.padded == 4 * (3 + 7 + 5)


def test_a_mask_that_empties_a_batch_gives_no_rows_and_is_counted() -> None:
    tally, observer = PaddingTally(), FloatBitsObserver()
    for mask in ([[0, 0]], [[1, 0]], [[0, 0]]):
        observer.observe(tally.read(mask).rows(np.full((1, 2, 3), 7.0, np.float32)))
    assert (tally.batches, tally.empty_batches, tally.real, tally.padded) == (3, 2, 1, 5)
    assert (observer.total, observer.low, observer.high) == (3, 7.0, 7.0)


def test_tallies_add_up() -> None:
    one, other = PaddingTally(), PaddingTally()
    one.read([[1, 0]])
    other.read([[0, 0, 0]])
    other.read([[1, 1, 0]])
    assert one + other == PaddingTally(batches=3, empty_batches=1, real=3, padded=5)


def test_a_tensor_without_a_row_for_each_token_is_refused() -> None:
    tokens = PaddingTally().read(np.ones((2, 3)))
    assert not tokens.fits((2, 4, 3))
    assert tokens.fits((2, 3, 4))
    assert tokens.fits((6, 4))
    with pytest.raises(MaskDoesNotFit, match=r"\(2, 12, 3, 3\) has no row for each token of \(2, 3\)"):
        tokens.rows(numbered(2, 12, 3, 3))


def test_a_mask_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(MaskDoesNotFit, match=r"\[batch, tokens\], this one \[3\]"):
        PaddingTally().read([1, 1, 0])
