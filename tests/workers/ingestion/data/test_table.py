from itertools import pairwise

import numpy as np
import pytest

from workers.ingestion.data.table import cut, rows_at_a_time


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("sizes", [[4, 4, 4], [1, 1, 1, 7], [10], [3]])
def test_batches_are_cut_to_size_and_nothing_is_lost(rows: int, sizes: list[int]) -> None:
    ends = np.cumsum([0, *sizes])
    given = [{"a": np.arange(a, b), "b": np.arange(a, b) * 2.0} for a, b in pairwise(ends)]
    total = sum(sizes)
    found = list(cut(given, rows))
    assert [len(b["a"]) for b in found] == [rows] * (total // rows) + ([total % rows] if total % rows else [])
    np.testing.assert_array_equal(np.concatenate([b["a"] for b in found]), np.arange(total))
    np.testing.assert_array_equal(np.concatenate([b["b"] for b in found]), np.arange(total) * 2.0)


def test_a_batch_takes_a_few_mebibytes_at_most() -> None:
    assert rows_at_a_time(1) == 1024
    assert rows_at_a_time(1 << 20) == 4
    assert rows_at_a_time(1 << 40) == 1
