"""A request changes a preset, and only in what its method reads."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.recipe import readers_of
from app.contracts.recipes.request import RecipeRequest
from app.contracts.recipes.static import StaticRecipe


@pytest.mark.parametrize("name", PRESETS)
def test_a_resolved_recipe_is_a_request_for_itself(name: PresetName) -> None:
    recipe = PRESETS[name]
    assert RecipeRequest.model_validate_json(recipe.model_dump_json()).resolve() == recipe


def test_what_was_changed_and_resolved_can_be_sent_again() -> None:
    changed = RecipeRequest(preset="int8-balanced", calibration_method="min_max").resolve()
    assert isinstance(changed, StaticRecipe)
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
        ("reduce_range", False, False),
        ("reduce_range", "auto", "auto"),
        ("reduce_range", None, True),
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
        ({"reduce_range": "maybe"}, "true, false or 'auto'"),
        ({"preset": "int8-dynamic", "reduce_range": 7}, "true, false or 'auto'"),
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
        {"preset": "float16", "method": "static", "calibration_method": "percentile", "percentiles": [99.9]},
        {"preset": "int8-dynamic", "calibration_method": None, "smoothquant_alpha": None},
        {"preset": "int8-accurate", "method": "float16", "nodes_to_exclude": ["n"]},
    ],
)
def test_what_the_method_reads_is_accepted(recipe: dict[str, Any]) -> None:
    assert RecipeRequest.model_validate(recipe).resolve().preset == recipe["preset"]


VALUES: dict[str, Any] = {
    "weights_dtype": "int8", "activations_dtype": "uint8", "calibration_method": "mse", "percentiles": [99.0],
    "calibration_samples": 3, "per_channel": False, "reduce_range": False, "equalize": "on", "smoothquant_alpha": 0.5,
    "rounding": "gptq", "bias_correction": True, "runtime_form": True, "op_types_to_exclude": ["Conv"],
    "nodes_to_exclude": ["n"],
}  # fmt: skip


@pytest.mark.parametrize("method", ["dynamic", "float16"])
@pytest.mark.parametrize("preset", PRESETS)
def test_exactly_what_the_method_does_not_read_is_refused(preset: PresetName, method: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        RecipeRequest.model_validate({"preset": preset, "method": method, **VALUES})
    errors = refusal.value.errors()
    assert {error["loc"] for error in errors} == {(name,) for name in VALUES if method not in readers_of(name)}
    assert {error["type"] for error in errors} == {"unread"}


def test_the_refusal_of_an_unread_field_names_the_method_and_the_way_out() -> None:
    with pytest.raises(ValidationError) as refusal:
        RecipeRequest.model_validate({"preset": "float16", "per_channel": True})  # the default is refused as well
    (found,) = refusal.value.errors()
    assert found["msg"] == "The method `float16` does not read `per_channel`"
    assert found["ctx"]["hint"] == 'Leave `per_channel` out, or set `method` to "static" or "dynamic".'


def test_a_method_that_is_refused_itself_refuses_nothing_else() -> None:
    with pytest.raises(ValidationError) as refusal:
        RecipeRequest.model_validate({"preset": "float16", "method": "int4", "equalize": "on"})
    assert [error["loc"] for error in refusal.value.errors()] == [("method",)]


def test_another_method_keeps_what_both_read_and_has_its_own_defaults_for_the_rest() -> None:
    to_dynamic = RecipeRequest(preset="int8-accurate", method="dynamic", per_channel=False).resolve()
    assert to_dynamic == DynamicRecipe(preset="int8-accurate", per_channel=False)
    to_static = RecipeRequest(preset="int8-dynamic", method="static", nodes_to_exclude=("n",)).resolve()
    assert to_static == StaticRecipe(preset="int8-dynamic", nodes_to_exclude=("n",))


@pytest.mark.parametrize(
    ("field", "length", "most"), [("op_types_to_exclude", 256, "256"), ("nodes_to_exclude", 4096, "4096")]
)
def test_lists_have_an_end(field: str, length: int, most: str) -> None:
    assert RecipeRequest.model_validate({field: ["a"] * length}).resolve()
    with pytest.raises(ValidationError, match=f"at most {most} items"):
        RecipeRequest.model_validate({field: ["a"] * (length + 1)})


def test_the_schema_tells_what_each_field_means_and_which_methods_read_it() -> None:
    fields = RecipeRequest.model_json_schema()["properties"]
    assert list(fields) == ["preset", "method", *VALUES]
    assert all(field["description"] for field in fields.values())
    assert {name: tuple(field["x-methods"]) for name, field in fields.items() if name != "preset"} == {
        name: readers_of(name) for name in ("method", *VALUES)
    }
    assert fields["method"]["anyOf"][0]["enum"] == ["static", "dynamic", "float16"]
    assert {"const": "auto", "type": "string"} in fields["reduce_range"]["anyOf"]
    # what one name means with each of them
    assert re.match("`static`: Limit pairs .* `dynamic`: Weights of 7 bits", fields["reduce_range"]["description"])
