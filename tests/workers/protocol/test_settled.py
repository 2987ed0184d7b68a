"""What is left to the worker has one value on one processor, and everything else stays as it was asked for."""

from typing import Any

import pytest

from app.contracts.recipes.presets import PRESETS
from workers.protocol.settled import settled


@pytest.mark.parametrize("preset", ["int8-fast", "int8-accurate", "int8-dynamic"])
@pytest.mark.parametrize(
    ("asked", "has_vnni", "found"),
    [("auto", True, False), ("auto", False, True), (True, True, True), (False, False, False)],
)
def test_the_limit_is_left_out_only_where_it_is_not_needed_or_not_wanted(
    preset: Any, asked: Any, has_vnni: bool, found: bool
) -> None:
    recipe = PRESETS[preset].model_copy(update={"reduce_range": asked})
    assert settled(recipe, has_vnni=has_vnni) == recipe.model_copy(update={"reduce_range": found})


def test_presets_ask_for_files_that_are_right_on_any_cpu() -> None:
    assert {getattr(recipe, "reduce_range", True) for recipe in PRESETS.values()} == {True}
    assert settled(PRESETS["float16"], has_vnni=True) == PRESETS["float16"]
