from typing import Any

import pytest
import typer
from lowbit.command.assignments import apply_assignments, parse_assignment


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("recipe.per_channel=false", ["recipe", "per_channel"], False),
        ("recipe.percentiles=[99.9, 100]", ["recipe", "percentiles"], [99.9, 100]),
        ("recipe.calibration_samples=null", ["recipe", "calibration_samples"], None),
        ("recipe.calibration_method=min_max", ["recipe", "calibration_method"], "min_max"),
        ('recipe.calibration_method="min_max"', ["recipe", "calibration_method"], "min_max"),
        ("recipe.smoothquant_alpha=0.85", ["recipe", "smoothquant_alpha"], 0.85),
        ("recipe.smoothquant_alpha=auto", ["recipe", "smoothquant_alpha"], "auto"),
        ("recipe.equalize=on", ["recipe", "equalize"], "on"),
        ("recipe.bias_correction=true", ["recipe", "bias_correction"], True),
        ("labels.note=a=b", ["labels", "note"], "a=b"),
        ("name=", ["name"], ""),
        ("seed=7", ["seed"], 7),
        ("objective.max_accuracy_drop=NaN", ["objective", "max_accuracy_drop"], "NaN"),
    ],
)
def test_values_are_json_where_they_can_be(assignment: str, path: list[str], value: object) -> None:
    assert parse_assignment(assignment) == (path, value)


@pytest.mark.parametrize("assignment", ["recipe.per_channel", "=1", "recipe.=1", ".x=1", "a..b=1", ""])
def test_a_malformed_assignment_is_a_mistake_in_usage(assignment: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"recipe\.per_channel=false"):
        parse_assignment(assignment)


def test_later_assignments_win_and_other_fields_stay() -> None:
    body: dict[str, Any] = {"recipe": {"preset": "int8-fast"}}
    apply_assignments(body, ["recipe.per_channel=true", "recipe.per_channel=false", "benchmark.duration_s=1"])
    assert body == {"recipe": {"preset": "int8-fast", "per_channel": False}, "benchmark": {"duration_s": 1}}


def test_a_value_has_no_fields() -> None:
    with pytest.raises(typer.BadParameter, match="'target' has no fields"):
        apply_assignments({"target": "onnxruntime-cpu"}, ["target.name=x"])
