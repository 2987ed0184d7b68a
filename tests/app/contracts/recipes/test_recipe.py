"""What holds for the union, whichever methods it has."""

from typing import Literal, get_origin

import pytest
from pydantic import ValidationError

from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.recipe import RECIPE, RECIPES, readers_of
from app.contracts.recipes.static import StaticRecipe


def test_the_method_tells_which_recipe_it_is() -> None:
    assert list(RECIPES) == ["static", "dynamic", "float16"]
    for method, kind in RECIPES.items():
        assert type(RECIPE.validate_python({"preset": "float16", "method": method})) is kind


def test_every_method_reads_what_every_request_has() -> None:
    for field in ("preset", "method", "op_types_to_exclude", "nodes_to_exclude"):
        assert readers_of(field) == tuple(RECIPES)


def test_a_field_that_several_methods_read_has_one_type() -> None:
    """So that a request can hold it before the method is known; a choice may be another one in each."""
    for name in {name for kind in RECIPES.values() for name in kind.model_fields}:
        first, *others = [RECIPES[method].model_fields[name].rebuild_annotation() for method in readers_of(name)]
        for other in others:
            assert other == first or get_origin(first) is get_origin(other) is Literal, name


def test_every_field_is_described() -> None:
    for method, kind in RECIPES.items():
        described = {name for name, field in kind.model_fields.items() if field.description}
        assert described == set(kind.model_fields) - {"preset"}, method


def test_a_preset_is_called_what_it_is_listed_under() -> None:
    assert {name: recipe.preset for name, recipe in PRESETS.items()} == {name: name for name in PRESETS}


def test_a_recipe_refuses_what_its_method_does_not_read() -> None:
    with pytest.raises(ValidationError, match="rounding"):
        RECIPE.validate_python({"preset": "float16", "method": "float16", "rounding": "nearest"})


def test_the_wire_is_flat() -> None:
    assert list(StaticRecipe(preset="int8-fast").model_dump())[:3] == ["preset", "method", "weights_dtype"]
