from typing import Any

import pytest
from pydantic import ValidationError

from app.contracts.recipe import PRESETS, PresetName, RecipeRequest


@pytest.mark.parametrize("name", PRESETS)
def test_a_resolved_recipe_is_a_request_for_itself(name: PresetName) -> None:
    recipe = PRESETS[name]
    assert RecipeRequest.model_validate_json(recipe.model_dump_json()).resolve() == recipe


def test_what_was_changed_and_resolved_can_be_sent_again() -> None:
    changed = RecipeRequest(preset="int8-balanced", calibration_method="min_max").resolve()
    assert changed.percentiles == PRESETS["int8-balanced"].percentiles  # kept, though nothing reads them
    assert RecipeRequest.model_validate_json(changed.model_dump_json()).resolve() == changed


@pytest.mark.parametrize(
    ("field", "value", "resolved"),
    [
        ("smoothquant_alpha", 0.85, 0.85),
        ("smoothquant_alpha", 1, 1.0),
        ("smoothquant_alpha", "off", "off"),
        ("smoothquant_alpha", None, "auto"),
        ("equalize", "on", "on"),
        ("equalize", None, "auto"),
        ("runtime_form", False, False),
    ],
)
def test_a_field_overrides_its_preset_and_null_does_not(field: str, value: object, resolved: object) -> None:
    recipe = RecipeRequest.model_validate({"preset": "int8-accurate", field: value}).resolve()
    assert getattr(recipe, field) == resolved
    assert type(getattr(recipe, field)) is type(resolved)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"smoothquant_alpha": 1.5}, "a number from 0 to 1, 'auto' or 'off'"),
        ({"smoothquant_alpha": float("nan")}, "a number from 0 to 1, 'auto' or 'off'"),
        ({"smoothquant_alpha": True}, "a number from 0 to 1, 'auto' or 'off'"),  # Python would take it for 1.0
        ({"smoothquant_alpha": "on"}, "a number from 0 to 1, 'auto' or 'off'"),
        ({"equalize": "maybe"}, "'on', 'off' or 'auto'"),
        ({"equalize": True}, "'on', 'off' or 'auto'"),
        ({"rounding": "up"}, "'nearest' or 'gptq'"),
        ({"percentiles": [99.9, 99.9]}, "each percentile may be named once"),
        ({"preset": "int8-fast", "percentiles": [99.9]}, "No range follows from percentiles with `min_max`"),
        ({"calibration_method": "mse", "percentiles": [99.9]}, "No range follows from percentiles with `mse`"),
    ],
)
def test_what_makes_no_sense_is_one_error_at_its_own_field(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        RecipeRequest.model_validate(recipe)
    (found,) = refusal.value.errors()
    assert message in found["msg"]
    assert found["loc"] == (list(recipe)[-1],)


@pytest.mark.parametrize(
    "recipe",
    [
        {"preset": "int8-fast", "calibration_method": "percentile", "percentiles": [99.9]},
        {"preset": "int8-dynamic", "calibration_method": "entropy", "smoothquant_alpha": 0.5},
        {"preset": "float16", "per_channel": False},
    ],
)
def test_what_is_merely_not_used_is_accepted(recipe: dict[str, Any]) -> None:
    assert RecipeRequest.model_validate(recipe).resolve().preset == recipe["preset"]
