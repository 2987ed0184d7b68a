from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.quantization.observers import (
    BUCKETS,
    FloatBitsObserver,
    ascending_buckets,
    ascending_edges,
    bucket_edges,
)


def bucket_of(value: Any) -> int:
    observer = FloatBitsObserver()
    observer.observe(np.float32([value]))
    (bucket,) = np.nonzero(observer.counts)[0]
    return int(bucket)


def test_buckets_ascend_and_cover_all_finite_values() -> None:
    order = ascending_buckets()
    assert len(set(order.tolist())) == len(order) == BUCKETS - 2 * 128  # 128 buckets a sign hold NaN and Inf
    edges = np.array([bucket_edges(int(b)) for b in order])
    assert (edges[:, 0] <= edges[:, 1]).all()
    assert (edges[1:, 0] >= edges[:-1, 1]).all()


@given(st.floats(min_value=2.0**-126, max_value=2.0**99, width=32))
def test_a_value_lies_within_its_bucket_whose_ends_are_a_128th_apart(value: Any) -> None:
    low, high = bucket_edges(bucket_of(value))
    assert low <= value <= high <= low * (1 + 2.0**-7)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_both_zeros_lie_between_the_smallest_numbers(value: Any) -> None:
    assert 0.0 in bucket_edges(bucket_of(value))


def test_the_table_of_edges_continues_those_of_each_bucket() -> None:
    table, order = ascending_edges(), ascending_buckets()
    assert len(table) == len(order) + 1
    assert (np.diff(table) > 0.0).all()
    assert (table[0], table[-1]) == (-(2.0**128), 2.0**128)
    for place in (1, 2, 5000, len(order) // 2 - 1, len(order) // 2, 40_000, len(order) - 2):
        low, high = bucket_edges(int(order[place]))
        assert table[place] <= low <= high <= table[place + 1]
        nearer, farther = sorted([low, high], key=abs)
        assert nearer in (table[place], table[place + 1])
        assert np.nextafter(np.float32(abs(farther)), np.float32(np.inf)) in np.abs(table[place : place + 2])


@pytest.mark.parametrize("table", [ascending_buckets(), ascending_edges()])
def test_the_shared_tables_cannot_be_written_to(table: Any) -> None:
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1
