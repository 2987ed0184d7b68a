from typing import Any

import pytest

from workers.pipeline.sensitivity.measured_form import ChoiceForm, NoiseForm
from workers.pipeline.steps.step_file import StepContent, StepUnusable

NOISES = NoiseForm(("b", "a"))
CHOICES = ChoiceForm({"a": {"min_max": (0.0, 1.0)}, "b": {"min_max": (0.0, 1.0), "mse": (0.0, 0.5)}})


def test_tables_come_back_in_their_order() -> None:
    noises = NOISES.unpacked(NOISES.packed({"b": 0.1, "a": 3e-300}))
    assert list(noises.items()) == [("b", 0.1), ("a", 3e-300)]
    choices = CHOICES.unpacked(CHOICES.packed({"b": "mse", "a": "min_max"}))
    assert list(choices.items()) == [("b", "mse"), ("a", "min_max")]


@pytest.mark.parametrize(
    "noises",
    [None, [], [["a", 1.0], ["b", 1.0]], [["b", 1.0]], [["b", -1.0], ["a", 1.0]], [["b", float("nan")], ["a", 1.0]]],
)
def test_noises_of_other_tensors_are_refused(noises: Any) -> None:
    with pytest.raises(StepUnusable):
        NOISES.unpacked(StepContent({"noises": noises}))


@pytest.mark.parametrize("choices", [None, [["c", "mse"]], [["a", "mse"]], [["b", 1]], {"b": "mse"}])
def test_choices_that_are_not_offered_are_refused(choices: Any) -> None:
    with pytest.raises(StepUnusable):
        CHOICES.unpacked(StepContent({"choices": choices}))
