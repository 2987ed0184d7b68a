"""Any recipe: which one it is, its `method` says."""

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field, TypeAdapter

from app.contracts.model import Contract
from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.float16 import Float16Recipe
from app.contracts.recipes.static import StaticRecipe

_Union = StaticRecipe | DynamicRecipe | Float16Recipe
AnyRecipe = Annotated[_Union, Field(discriminator="method")]
RECIPE: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)

RECIPES: Mapping[str, type[Contract]] = {kind.model_fields["method"].default: kind for kind in get_args(_Union)}
"""By method. A method reads the fields of its model, and no others."""


def readers_of(field: str) -> tuple[str, ...]:
    """The methods that read a field."""
    return tuple(method for method, kind in RECIPES.items() if field in kind.model_fields)
