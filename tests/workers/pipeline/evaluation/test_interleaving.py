from typing import Any

from workers.pipeline.evaluation.interleaving import MIN_ROUNDS, interleave


def test_everybody_runs_equally_often_and_in_rotating_order() -> None:
    calls = []

    def run(key: str) -> Any:
        def once() -> float:
            calls.append(key)
            return 1.0

        return once

    times = interleave({k: run(k) for k in "abc"}, duration_s=0.0)
    assert {k: len(v) for k, v in times.items()} == dict.fromkeys("abc", MIN_ROUNDS)
    rounds = [calls[i : i + 3] for i in range(6, len(calls), 3)]  # after two rounds of warm-up
    assert rounds[:4] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_rounds_go_on_until_the_time_is_up() -> None:
    ticks = iter(range(1000))
    times = interleave({"a": lambda: 1.0}, duration_s=50.0, clock=lambda: float(next(ticks)))
    assert MIN_ROUNDS < len(times["a"]) <= 50
