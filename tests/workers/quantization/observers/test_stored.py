"""Statistics survive being stored to the last bit, and nothing that a stranger wrote becomes statistics."""

import copy
from typing import Any

import numpy as np
import pytest

from workers.quantization.observers import (
    ChannelObserver,
    FloatBitsObserver,
    MovingAverageObserver,
    SecondMomentObserver,
    StoredStatisticsInvalid,
    linear_rows,
)

EMPTY = {
    "float_bits": FloatBitsObserver(),
    "channels": ChannelObserver.of(3),
    "moving_average": MovingAverageObserver(),
    "second_moments": SecondMomentObserver.of(3),
}
AWKWARD = np.array([[1.5, -2.0, 0.0], [np.nan, 3e38, -0.0], [1e-40, 7.25, np.inf]], np.float32)


def observed(kind: str, *batches: Any) -> Any:
    observer = copy.deepcopy(EMPTY[kind])
    for batch in batches:
        observer.observe(linear_rows(batch) if kind == "second_moments" else batch)
    return observer


def state(observer: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in vars(observer).items()}


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize(
    "batches",
    [(), (AWKWARD,), (np.zeros((4, 3)), np.full((2, 3), -5.0)), (np.random.default_rng(0).normal(size=(50, 3)),)],
)
def test_what_comes_back_is_what_was_stored(kind: str, batches: Any) -> None:
    before = observed(kind, *batches)
    after = EMPTY[kind].filled({name: array.copy() for name, array in before.to_arrays().items()})
    assert state(before).keys() == state(after).keys()
    for name, value in state(before).items():
        assert value.tobytes() == state(after)[name].tobytes(), name


@pytest.mark.parametrize("kind", EMPTY)
def test_statistics_that_were_stored_go_on_as_if_nothing_had_happened(kind: str) -> None:
    more = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    through = EMPTY[kind].filled(observed(kind, AWKWARD).to_arrays())
    through.observe(linear_rows(more) if kind == "second_moments" else more)
    straight = observed(kind, AWKWARD, more)
    for name, value in state(straight).items():
        assert value.tobytes() == state(through)[name].tobytes(), name


def test_a_step_that_was_stored_by_another_version_is_told_apart() -> None:
    """The form in which statistics are kept. Whoever changes it raises the version of `calibrate` in
    workers/protocol/step_keys.py: results that lie in stores are of the old form.
    """
    x = np.array([[1.0, -2.0, 0.5], [1.0, 4.0, 0.5]], np.float32)
    form = {
        kind: {name: (array.dtype.name, array.tolist()) for name, array in observed(kind, x).to_arrays().items()}
        for kind in EMPTY
    }
    assert form == {
        # the top halves of the floats: 0.5 = 0x3F000000, 1 = 0x3F800000, 4 = 0x40800000, -2 = 0xC0000000
        "float_bits": {
            "buckets": ("uint16", [0x3F00, 0x3F80, 0x4080, 0xC000]),
            "counts": ("int64", [2, 2, 1, 1]),
            "extremes": ("float64", [-2.0, 4.0]),
            "set_apart": ("int64", [0, 0]),
        },
        "channels": {
            "counts": ("int64", [2, 2, 2]),
            "extremes": ("float64", [[1.0, -2.0, 0.5], [1.0, 4.0, 0.5]]),
            # sums; sums of squares: 1 + 1, 4 + 16, 0.25 + 0.25
            "sums": ("float64", [[2.0, 2.0, 1.0], [2.0, 20.0, 0.5]]),
            "set_apart": ("int64", [0, 0]),
        },
        "moving_average": {"extremes": ("float64", [-2.0, 4.0]), "tally": ("int64", [1, 0, 0])},
        # x^T x
        "second_moments": {
            "sums": ("float64", [[[2.0, 2.0, 1.0], [2.0, 20.0, 1.0], [1.0, 1.0, 0.5]]]),
            "tally": ("int64", [2, 0]),
        },
    }


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("float_bits", {"buckets": np.array([3, 1], np.uint16)}),
        ("float_bits", {"buckets": np.array([1, 1], np.uint16)}),
        ("float_bits", {"buckets": np.array([1, 3], np.int64)}),
        ("float_bits", {"counts": np.array([1, -1])}),
        ("float_bits", {"counts": np.array([1, 1, 1])}),
        ("float_bits", {"extremes": np.array([2.0, 1.0])}),
        ("float_bits", {"extremes": np.array([np.nan, 1.0])}),
        ("float_bits", {"extremes": np.array([-np.inf, 1.0])}),
        ("float_bits", {"set_apart": np.array([0, -1])}),
        ("float_bits", {"more": np.zeros(1)}),
        ("channels", {"counts": np.array([1, 1])}),
        ("channels", {"sums": np.full((2, 3), np.nan)}),
        ("channels", {"extremes": np.zeros((2, 3), np.float32)}),
        ("moving_average", {"tally": np.array([0, 0, 0])}),
        ("second_moments", {"sums": np.zeros((1, 4, 4))}),
        ("second_moments", {"sums": np.full((1, 3, 3), np.inf)}),
        ("second_moments", {"tally": np.array([1.0, 0.0])}),
    ],
)
def test_what_no_observer_would_have_written_is_refused(kind: str, change: Any) -> None:
    sound = observed(kind, np.array([[1.0, 2.0, 1.0]])).to_arrays()
    EMPTY[kind].filled(sound)
    with pytest.raises(StoredStatisticsInvalid):
        EMPTY[kind].filled({**sound, **change})
    for name in sound:
        with pytest.raises(StoredStatisticsInvalid):
            EMPTY[kind].filled({other: array for other, array in sound.items() if other != name})
