"""Timing several models fairly on a machine that is never quiet: they take turns, so that a disturbance hits all."""

import time
from collections import deque
from collections.abc import Callable, Mapping

Timed = Callable[[], float]
"""Runs once and returns milliseconds."""

MIN_ROUNDS = 10
_WARM_UP_ROUNDS = 2  # the first call allocates, the second fills caches


def interleave(
    runs: Mapping[str, Timed],
    *,
    duration_s: float,
    clock: Callable[[], float] = time.perf_counter,
    on_round: Callable[[float], None] = lambda _elapsed: None,
) -> dict[str, list[float]]:
    """Milliseconds of every round for every model.

    Rounds go on until `duration_s` has passed, all models together, and for at least MIN_ROUNDS. The order rotates by
    one each round: a model always second would always find the caches of the first.
    """
    for _ in range(_WARM_UP_ROUNDS):
        for run in runs.values():
            run()
    order = deque(runs)
    times: dict[str, list[float]] = {key: [] for key in runs}
    started, rounds = clock(), 0
    while rounds < MIN_ROUNDS or clock() - started < duration_s:
        for key in order:
            times[key].append(runs[key]())
        order.rotate(-1)
        rounds += 1
        on_round(clock() - started)
    return times
