"""Operator types that a recipe excludes, whatever its method: unknown ones are refused, unused ones are told."""

from typing import Any

import httpx2
import pytest

from app.contracts.recipes.presets import PRESETS
from tests.app.contracts.inspections import data, model
from tests.app.jobs.conftest import Ready
from tests.e2e.conversation import is_problem

OF = model(
    ("x", "float32", ("n", 4)),
    outputs=[("y", "float32", ("n", 2))],
    op_counts={"Conv": 2, "Relu": 1, "Gemm": 1, "MadeUpByAFunction": 1},
)
ROWS = data(("x", "float32", (99, 4)))


def asked(http: httpx2.Client, ready: Ready, *types: str, preset: str = "int8-balanced") -> tuple[httpx2.Response, Any]:
    """The answers to a job and to the question about it."""
    recipe = {"preset": preset, "op_types_to_exclude": types}
    body = {"model_id": ready(OF), "calibration_dataset_id": ready(ROWS), "recipe": recipe}
    return http.post("/v1/jobs", json=body), http.post("/v1/jobs/validate", json=body).json()


@pytest.mark.parametrize("preset", PRESETS)
def test_an_operator_type_that_does_not_exist_is_refused_by_every_preset(
    http: httpx2.Client, ready: Ready, preset: str
) -> None:
    made, told = asked(http, ready, "Conv", "Convv", "softmax", preset=preset)
    found = is_problem(made, 422, "recipe_op_type_unknown")
    assert [e["pointer"] for e in found["errors"]] == ["/recipe/op_types_to_exclude/1", "/recipe/op_types_to_exclude/2"]
    assert "Did you mean Conv instead of Convv?" in found["hint"]
    assert "Softmax instead of softmax?" in found["hint"]
    assert "The model has Conv, Gemm, MadeUpByAFunction, Relu." in found["hint"]
    assert [problem["code"] for problem in told["problems"]] == ["recipe_op_type_unknown"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_type_that_this_model_has_not_is_a_warning(http: httpx2.Client, ready: Ready, preset: str) -> None:
    """So that one recipe can serve several models. What the model has is none, whoever defined it."""
    made, told = asked(http, ready, "LSTM", "Relu", "MadeUpByAFunction", "Attention", preset=preset)
    assert made.status_code == 202, made.text
    (warning,) = [w for w in told["warnings"] if w["code"] == "exclusion_unused"]
    assert warning["detail"].endswith("does not have: LSTM, Attention.")
    assert warning in made.json()["warnings"]
    http.post(f"/v1/jobs/{made.json()['id']}/cancel")


def test_more_unknown_types_than_a_person_reads_are_refused_in_a_few_lines(http: httpx2.Client, ready: Ready) -> None:
    made, _ = asked(http, ready, *(f"Type{number}" for number in range(256)))
    assert len(is_problem(made, 422, "recipe_op_type_unknown")["errors"]) == 12
    assert len(made.content) < 4000
