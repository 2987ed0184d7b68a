from typing import Any

import pytest

from workers.pipeline.sensitivity.measured_form import CostForm, NoiseForm
from workers.pipeline.steps.step_file import StepContent, StepUnusable

NOISES = NoiseForm(("b", "a"), 2)
COSTS = CostForm(({"a": {"min_max": (0.0, 1.0)}, "b": {"min_max": (0.0, 1.0), "mse": (0.0, 0.5)}}, {}))


def test_tables_come_back_in_their_order() -> None:
    noises = NOISES.unpacked(NOISES.packed([{"b": 0.1, "a": 3e-300}, {"b": 1.0, "a": 2.0}]))
    assert [list(table.items()) for table in noises] == [[("b", 0.1), ("a", 3e-300)], [("b", 1.0), ("a", 2.0)]]
    costs = COSTS.unpacked(COSTS.packed([{"b": {"min_max": 2.0, "mse": 1.0}, "a": {"min_max": 0.5}}, {}]))
    assert [list(table) for table in costs] == [["b", "a"], []]
    assert costs[0]["b"] == {"min_max": 2.0, "mse": 1.0}


WHOLE = [["b", 1.0], ["a", 1.0]]


@pytest.mark.parametrize(
    "noises",
    [
        None,
        [],
        [WHOLE],
        [WHOLE, []],
        [WHOLE, [["a", 1.0], ["b", 1.0]]],
        [WHOLE, [["b", 1.0]]],
        [WHOLE, [["b", -1.0], ["a", 1.0]]],
        [WHOLE, [["b", float("nan")], ["a", 1.0]]],
    ],
)
def test_noises_of_other_tensors_are_refused(noises: Any) -> None:
    with pytest.raises(StepUnusable):
        NOISES.unpacked(StepContent({"noises": noises}))


@pytest.mark.parametrize(
    "costs",
    [
        None,
        [[]],
        [[["c", [["mse", 1.0]]]], []],
        [[["a", [["mse", 1.0]]]], []],
        [[["b", [["mse", 1.0]]]], []],  # one of two
        [[], [["a", [["min_max", 1.0]]]]],
        [[["a", [["min_max", -1.0]]]], []],
        [[["a", [["min_max", float("inf")]]]], []],
        {"a": "mse"},
    ],
)
def test_costs_of_what_is_not_offered_are_refused(costs: Any) -> None:
    with pytest.raises(StepUnusable):
        COSTS.unpacked(StepContent({"costs": costs}))
