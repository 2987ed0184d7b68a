"""The methods, by the kind of recipe that asks for each. A new one is a file or folder beside this and a line here."""

from typing import Any

from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.float16 import Float16Recipe
from app.contracts.recipes.recipe import AnyRecipe
from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.methods.dynamic import Dynamic
from workers.pipeline.methods.float16 import Float16
from workers.pipeline.methods.method import Method
from workers.pipeline.methods.static.method import Static


def method_of(recipe: AnyRecipe) -> Method[Any]:
    match recipe:
        case StaticRecipe():
            return Static()
        case DynamicRecipe():
            return Dynamic()
        case Float16Recipe():
            return Float16()
