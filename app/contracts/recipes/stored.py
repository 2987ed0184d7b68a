"""The recipe of a job's row.

Rows from before recipes were a union hold every field that there was, whatever their method: what it did not read then
is left out now. So a row may have either shape, and reads the same.
"""

from collections.abc import Mapping
from typing import Any

from app.contracts.recipes.recipe import RECIPE, RECIPES, AnyRecipe

_FIELDS = frozenset(field for kind in RECIPES.values() for field in kind.model_fields)


def stored_recipe(stored: Mapping[str, Any]) -> AnyRecipe:
    """Raises ValidationError for a field that no method reads: another release's, which may not be ignored."""
    kind = RECIPES.get(stored.get("method", ""))
    unread = _FIELDS - set(kind.model_fields) if kind else frozenset[str]()
    return RECIPE.validate_python({name: value for name, value in stored.items() if name not in unread})
