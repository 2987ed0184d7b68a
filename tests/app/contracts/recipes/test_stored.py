"""Rows of jobs outlive releases."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.request import RecipeRequest
from app.contracts.recipes.stored import stored_recipe

BEFORE: dict[str, Any] = {
    "preset": "int8-dynamic", "method": "dynamic", "weights_dtype": "int8", "activations_dtype": "uint8",
    "calibration_method": "entropy", "percentiles": [100.0], "calibration_samples": None, "per_channel": False,
    "reduce_range": True, "equalize": "off", "smoothquant_alpha": 0.5, "rounding": "nearest", "bias_correction": False,
    "runtime_form": False, "op_types_to_exclude": [], "nodes_to_exclude": ["head"],
}  # fmt: skip
"""As it was written when one model held the fields of all methods."""


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_written_now_reads_the_same(name: PresetName) -> None:
    assert stored_recipe(PRESETS[name].model_dump(mode="json")) == PRESETS[name]


def _posted_back(recipe: AnyRecipe) -> AnyRecipe:
    return RecipeRequest.model_validate_json(recipe.model_dump_json()).resolve()


@pytest.mark.parametrize(
    ("preset", "method"),
    [("int8-dynamic", "dynamic"), ("float16", "float16"), ("int8-fast", "static"), ("int8-accurate", "float16")],
)
def test_what_was_written_before_loses_only_what_its_method_did_not_read(preset: str, method: str) -> None:
    written = {**BEFORE, "preset": preset, "method": method}
    recipe = stored_recipe(written)
    assert recipe.model_dump(mode="json") == {name: written[name] for name in type(recipe).model_fields}
    assert _posted_back(recipe) == recipe


def test_a_field_of_another_release_is_not_ignored() -> None:
    with pytest.raises(ValidationError, match="group_size"):
        stored_recipe({**BEFORE, "group_size": 32})
    with pytest.raises(ValidationError, match="weights_only"):
        stored_recipe({**BEFORE, "method": "weights_only"})
